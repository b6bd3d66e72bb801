// The sliders, and the keys: the hand's side of the stage.
class Sliders {
  constructor(root) {
    this.root = root;
    this.rows = new Map();
    this.waiting = []; // reported, not yet said back
    this.said = "";
    this.keys = (event) => this.key(event);
    document.addEventListener("keydown", this.keys);
  }

  end() {
    document.removeEventListener("keydown", this.keys);
  }

  // Space writes, Esc stops or leaves the stage, unless what has the focus wants the key.
  key(event) {
    const press = (name) => {
      const button = document.querySelector(`.st-key-${name} button:not(:disabled)`);
      button?.click();
      return Boolean(button);
    };
    if (event.key === "Escape" && !press("stop") && location.search.includes("stage=1"))
      press("stage-alone");
    if (event.key !== " " || event.ctrlKey || event.metaKey || event.altKey) return;
    const [target] = event.composedPath();
    const free = target === document.body || this.root.contains(target);
    const { top, bottom } = this.root.getBoundingClientRect();
    if (!free || target.tagName === "BUTTON" || bottom < 0 || top > innerHeight) return;
    if (press("write")) event.preventDefault();
  }

  // A strength that comes back late does not undo what the hand has done since.
  update(data) {
    if (this.shape !== JSON.stringify(data.axes.map((one) => one.name))) this.build(data);
    this.data = data;
    for (const axis of data.axes) this.paint(axis);
    const now = JSON.stringify(data.strengths);
    const place = this.waiting.lastIndexOf(now);
    if (place >= 0) this.waiting.splice(0, place + 1);
    else if (now !== this.said) {
      this.waiting = [];
      for (const { name } of data.axes) this.rows.get(name).input.value = data.strengths[name];
    }
    this.said = now;
    this.show();
  }

  build(data) {
    this.shape = JSON.stringify(data.axes.map((one) => one.name));
    this.root.replaceChildren();
    this.rows.clear();
    for (const axis of data.axes) this.row(axis, data);
    this.warning = make("p", this.root);
    this.warning.className = "warning";
    this.warning.setAttribute("role", "status");
    for (const { name } of data.axes) this.rows.get(name).input.value = data.strengths[name];
    this.said = JSON.stringify(data.strengths);
  }

  row(axis, data) {
    const row = make("div", this.root);
    row.className = "axis";
    const names = make("div", row);
    names.className = "names";
    make("span", names, axis.vice);
    const output = make("output", names);
    make("span", names, axis.virtue);
    const input = make("input", row);
    Object.assign(input, { type: "range", min: data.least, max: data.most, step: 1 });
    input.setAttribute("aria-label", axis.label);
    input.style.setProperty("--colour", axis.colour);
    const zero = make("button", row, "0");
    zero.type = "button";
    zero.setAttribute("aria-label", `${axis.label} to zero`);
    const reset = () => {
      input.value = 0;
      this.show();
      this.send();
    };
    zero.onclick = reset;
    input.oninput = () => this.show();
    input.onchange = () => this.send();
    input.onkeydown = (event) => {
      if (event.key !== "0") return;
      event.preventDefault();
      reset();
    };
    this.rows.set(axis.name, { input, output, zero, axis });
  }

  // The safe range in the axis's colour, the rest grey, a notch where nothing or all is done.
  paint(axis) {
    const row = this.rows.get(axis.name);
    row.axis = axis;
    const { least, most, notch: mark } = this.data;
    const at = (value) => `${((100 * (value - least)) / (most - least)).toFixed(1)}%`;
    const rest = "color-mix(in srgb, var(--st-text-color) 22%, transparent)";
    const notch = `linear-gradient(var(--st-text-color), var(--st-text-color)) ${at(mark)} / 2px 100%`;
    const safe = axis.safe
      ? `linear-gradient(90deg, ${rest} ${at(axis.safe[0])}, ${axis.colour} ${at(axis.safe[0])},` +
        ` ${axis.colour} ${at(axis.safe[1])}, ${rest} ${at(axis.safe[1])})`
      : `linear-gradient(${rest}, ${rest})`;
    row.input.style.setProperty("--track", `${notch} no-repeat, ${safe}`);
  }

  // A share has no sign, and some have names.
  words(value) {
    const { least, names = {} } = this.data;
    const said = least < 0 ? percent(value) : `${value} %`;
    return names[value] ? `${said}, ${names[value]}` : said;
  }

  strengths() {
    return Object.fromEntries(
      [...this.rows].map(([name, { input }]) => [name, Number(input.value)]),
    );
  }

  show() {
    const now = this.strengths(), both = this.data.least < 0; // ways to go
    const beyond = [];
    for (const [name, { input, output, zero, axis }] of this.rows) {
      const value = now[name];
      const far = axis.safe && (value < axis.safe[0] || value > axis.safe[1]);
      output.textContent = this.words(value);
      output.className = far ? "beyond" : value === 0 ? "off" : "";
      input.setAttribute("aria-valuetext", output.textContent);
      zero.disabled = value === 0;
      if (far) beyond.push(`${value > 0 ? axis.virtue : axis.vice} ${percent(Math.abs(value))}`);
    }
    const unknown = this.data.axes.some((axis) => !axis.safe && now[axis.name] !== 0);
    this.warning.textContent = beyond.length
      ? `⚠ Beyond ${this.data.beyond}${both ? `: ${beyond.join(", ")}` : ""}. The text may fall apart.`
      : unknown
        ? "Safe range not measured: see below."
        : "";
    const shares = Object.entries(now).map(([name, value]) => [name, value / 100]);
    tell(Object.fromEntries(shares));
  }

  send() {
    const now = this.strengths();
    this.waiting.push(JSON.stringify(now));
    this.report("strengths", now);
  }
}
