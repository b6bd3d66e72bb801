// Sliders, and the map whose points they move while a thumb is dragged. Mounted twice, so that each
// stands in its own column and the map's numbers are not sent again with every strength; the two
// meet here. All words are set as text, never as HTML.
const stage = (globalThis.moralscopeStage ??= { strengths: {}, heard: new EventTarget() });

const make = (name, owner, words = "") => {
  const one = document.createElement(name);
  one.textContent = words;
  owner?.append(one);
  return one;
};
const percent = (value) =>
  value === 0 ? "0 %" : `${value > 0 ? "+" : "−"}${Math.abs(value)} %`;

function tell(strengths) {
  stage.strengths = strengths;
  stage.heard.dispatchEvent(new Event("moved"));
}

// --- the sliders ---

class Sliders {
  constructor(root) {
    this.root = root;
    this.rows = new Map();
    this.waiting = []; // reported, not yet said back
    this.said = "";
  }

  end() {}

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
    const go = make("div", this.root);
    go.className = "go";
    this.write = make("button", go, "Write ↓");
    this.write.type = "button";
    this.write.title = "Write plain and steered texts, below";
    this.write.onclick = () => {
      document.querySelector(".st-key-write button:not(:disabled)")?.click();
      document.querySelector(".st-key-write")?.scrollIntoView({ block: "start" });
    };
    this.warning = make("p", go);
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
    Object.assign(input, { type: "range", min: -data.most, max: data.most, step: 1 });
    input.setAttribute("aria-label", `${axis.vice} ← → ${axis.virtue}`);
    input.style.setProperty("--colour", axis.colour);
    const zero = make("button", row, "0");
    zero.type = "button";
    zero.setAttribute("aria-label", `${axis.vice} ← → ${axis.virtue} to zero`);
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

  // The safe range in the axis's colour, the rest grey, a notch at zero.
  paint(axis) {
    const row = this.rows.get(axis.name);
    row.axis = axis;
    const at = (value) => `${(50 + (50 * value) / this.data.most).toFixed(1)}%`;
    const rest = "color-mix(in srgb, var(--st-text-color) 22%, transparent)";
    const notch = "linear-gradient(var(--st-text-color), var(--st-text-color)) 50% / 2px 100%";
    const safe = axis.safe
      ? `linear-gradient(90deg, ${rest} ${at(axis.safe[0])}, ${axis.colour} ${at(axis.safe[0])},` +
        ` ${axis.colour} ${at(axis.safe[1])}, ${rest} ${at(axis.safe[1])})`
      : `linear-gradient(${rest}, ${rest})`;
    row.input.style.setProperty("--track", `${notch} no-repeat, ${safe}`);
  }

  strengths() {
    return Object.fromEntries(
      [...this.rows].map(([name, { input }]) => [name, Number(input.value)]),
    );
  }

  show() {
    const now = this.strengths();
    const beyond = [];
    for (const [name, { input, output, zero, axis }] of this.rows) {
      const value = now[name];
      const far = axis.safe && (value < axis.safe[0] || value > axis.safe[1]);
      output.textContent = percent(value);
      output.className = far ? "beyond" : value === 0 ? "off" : "";
      input.setAttribute("aria-valuetext", percent(value));
      zero.disabled = value === 0;
      if (far) beyond.push(`${value > 0 ? axis.virtue : axis.vice} ${percent(Math.abs(value))}`);
    }
    const unknown = this.data.axes.some((axis) => !axis.safe && now[axis.name] !== 0);
    this.warning.textContent = beyond.length
      ? `⚠ Beyond the safe range: ${beyond.join(", ")}. The text may fall apart.`
      : unknown
        ? "Safe range not measured: see below."
        : "";
    const shares = Object.entries(now).map(([name, value]) => [name, value / 100]);
    tell(Object.fromEntries(shares));
  }

  send() {
    const now = this.strengths();
    this.waiting.push(JSON.stringify(now));
    this.report(now);
  }
}

// --- the map ---

const PUSH = "#E6007A";
const GREY = "#8C8C8C";
const PAD = 26;
const STAMP = 10;

class Picture {
  constructor(root) {
    this.root = root;
    const frame = make("div", root);
    frame.className = "picture";
    this.canvas = make("canvas", frame);
    this.canvas.setAttribute("role", "img");
    this.tip = make("div", frame);
    this.tip.className = "tip";
    this.moved = make("p", root);
    this.moved.className = "moved";
    this.legend = make("div", root);
    this.legend.className = "legend";
    this.ask = () => {
      this.waits ??= requestAnimationFrame(() => {
        this.waits = undefined;
        this.draw();
      });
    };
    stage.heard.addEventListener("moved", this.ask);
    this.sizes = new ResizeObserver(this.ask);
    this.sizes.observe(this.canvas);
    frame.ontransitionend = this.ask; // another theme has other colours: see the style
    this.canvas.onpointermove = (event) => this.point(event);
    this.canvas.onpointerleave = () => (this.tip.textContent = "");
  }

  end() {
    stage.heard.removeEventListener("moved", this.ask);
    this.sizes.disconnect();
    cancelAnimationFrame(this.waits);
  }

  update(data) {
    if (this.data !== data) {
      this.data = data;
      this.stamped = undefined;
      this.n = data.x.length;
      this.px = new Float64Array(this.n);
      this.py = new Float64Array(this.n);
      this.plain = this.bounds(data.x, data.y);
      this.canvas.setAttribute("aria-label", data.alt);
      this.explain();
    }
    this.ask();
  }

  explain() {
    this.legend.replaceChildren();
    for (const [name, colour] of this.data.colours) {
      const one = make("span", this.legend);
      make("i", one).style.background = colour;
      one.append(name);
    }
    for (const [sign, name, colour] of this.data.signs) {
      const one = make("span", this.legend);
      const mark = make("b", one, sign);
      if (colour) mark.style.color = colour;
      one.append(name);
    }
  }

  bounds(xs, ys) {
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    let sumX = 0, sumY = 0, count = 0;
    for (let i = 0; i < xs.length; i++) {
      const x = xs[i], y = ys[i];
      if (x === null || y === null || x !== x || y !== y) continue;
      if (x < box[0]) box[0] = x;
      if (y < box[1]) box[1] = y;
      if (x > box[2]) box[2] = x;
      if (y > box[3]) box[3] = y;
      sumX += x, sumY += y, count++;
    }
    return { box, x: sumX / count, y: sumY / count };
  }

  // Places under some doses, exactly as core has them; returns their bounds and middle.
  place(doses) {
    const { x, y, along, bend } = this.data, k = doses.length;
    if (!bend) {
      let dx = 0, dy = 0;
      for (let j = 0; j < k; j++) dx += doses[j] * along[2 * j], dy += doses[j] * along[2 * j + 1];
      for (let i = 0; i < this.n; i++) {
        this.px[i] = x[i] === null ? NaN : x[i] + dx;
        this.py[i] = y[i] === null ? NaN : y[i] + dy;
      }
    } else {
      let square = 0;
      for (let j = 0; j < k; j++)
        for (let l = 0; l < k; l++) square += doses[j] * doses[l] * bend.gram[j * k + l];
      for (let i = 0; i < this.n; i++) {
        const length = bend.length[i];
        let dx = 0, dy = 0, onto = 0;
        for (let j = 0; j < k; j++) {
          if (!doses[j]) continue;
          dx += doses[j] * along[2 * (i * k + j)];
          dy += doses[j] * along[2 * (i * k + j) + 1];
          onto += doses[j] * bend.onto[i * k + j];
        }
        const now = Math.sqrt(length * length + 2 * onto + square);
        this.px[i] = x[i] === null ? NaN : (x[i] * length + dx) / now;
        this.py[i] = y[i] === null ? NaN : (y[i] * length + dy) / now;
      }
    }
    return this.bounds(this.px, this.py);
  }

  // How long the sum of all pushes is, in residual norms.
  length(doses) {
    const { gram } = this.data, k = doses.length;
    let square = 0;
    for (let j = 0; j < k; j++)
      for (let l = 0; l < k; l++) square += doses[j] * doses[l] * gram[j * k + l];
    return Math.sqrt(Math.max(square, 0));
  }

  draw() {
    if (!this.data || !this.canvas.isConnected) return;
    const { data, canvas } = this;
    const doses = data.axes.map((name) => stage.strengths[name] ?? data.fixed[name] ?? 0);
    const control = data.axes.map(() => 0);
    control[data.axes.indexOf("random")] = this.length(doses);
    const other = this.place(control);
    const now = this.place(doses);

    const ratio = Math.min(devicePixelRatio || 1, 2);
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    if (this.ratio !== ratio) this.stamped = undefined;
    this.ratio = ratio;
    const style = getComputedStyle(this.root);
    const ink = style.getPropertyValue("--st-text-color").trim() || style.color;
    const paper = style.getPropertyValue("--st-background-color").trim();
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);

    // Ghosts, points and both arrows are always in sight; the unit is the same both ways.
    const box = this.plain.box.slice();
    const within = [now.box, [other.x, other.y, other.x, other.y]];
    for (const [left, low, right, high] of within) {
      box[0] = Math.min(box[0], left);
      box[1] = Math.min(box[1], low);
      box[2] = Math.max(box[2], right);
      box[3] = Math.max(box[3], high);
    }
    const unit = Math.min(
      (width - 2 * PAD) / (box[2] - box[0] || 1),
      (height - 2 * PAD) / (box[3] - box[1] || 1),
    );
    const left = width / 2 - (unit * (box[0] + box[2])) / 2;
    const top = height / 2 + (unit * (box[1] + box[3])) / 2;
    const sx = (x) => left + unit * x, sy = (y) => top - unit * y;
    this.seen = { sx, sy };

    if (data.titles) this.axesLines(pen, sx(0), sy(0), width, height, ink);
    const pushed = doses.some((one) => one !== 0);
    if (pushed) {
      pen.fillStyle = ink;
      pen.globalAlpha = 0.3;
      for (let i = 0; i < this.n; i++) {
        if (data.x[i] === null || data.y[i] === null) continue;
        pen.fillRect(Math.round(sx(data.x[i])) - 1, Math.round(sy(data.y[i])) - 1, 2, 2);
      }
    }
    pen.globalAlpha = 0.8;
    this.marks(pen, sx, sy);
    pen.globalAlpha = 1;
    const from = [sx(this.plain.x), sy(this.plain.y)];
    if (pushed) {
      this.arrow(pen, from, [sx(other.x), sy(other.y)], GREY, paper);
      this.arrow(pen, from, [sx(now.x), sy(now.y)], PUSH, paper);
    }
    const wide = this.plain.box, span = Math.max(wide[2] - wide[0], wide[3] - wide[1]);
    this.ruler(pen, unit * span, height, ink);
    const far = (one) => Math.hypot(one.x - this.plain.x, one.y - this.plain.y) / span;
    canvas.dataset.shift = [now.x - this.plain.x, now.y - this.plain.y]
      .map((one) => (one / span).toFixed(4))
      .join(" ");
    this.moved.textContent = pushed
      ? `The middle of the points moves by ${far(now).toFixed(2)} map widths; along a random ` +
        `direction of equal length by ${far(other).toFixed(2)}.`
      : "Nothing is pushed: the points lie where the plain model has them. Drag a slider.";
  }

  marks(pen, sx, sy) {
    const stamps = this.stamps(), { group } = this.data, half = STAMP / 2;
    for (let i = 0; i < this.n; i++) {
      const x = sx(this.px[i]), y = sy(this.py[i]);
      if (x === x && y === y) pen.drawImage(stamps[group[i]], x - half, y - half, STAMP, STAMP);
    }
  }

  // A small picture of each mark: to stamp it is cheaper than to draw it.
  stamps() {
    this.stamped ??= this.data.groups.map(([colour, shape]) => {
      const one = document.createElement("canvas"), half = STAMP / 2;
      one.width = one.height = STAMP * this.ratio;
      const pen = one.getContext("2d");
      pen.scale(this.ratio, this.ratio);
      pen.translate(half, half);
      pen.fillStyle = pen.strokeStyle = colour;
      pen.lineWidth = 1.5;
      pen.beginPath();
      if (shape === "virtue") pen.arc(0, 0, 3, 0, 6.2832);
      else if (shape === "vice") {
        pen.moveTo(-2.6, -2.6);
        pen.lineTo(2.6, 2.6);
        pen.moveTo(2.6, -2.6);
        pen.lineTo(-2.6, 2.6);
      } else {
        pen.moveTo(0, -3.2);
        pen.lineTo(3.2, 0);
        pen.lineTo(0, 3.2);
        pen.lineTo(-3.2, 0);
        pen.closePath();
      }
      if (shape === "virtue") pen.fill();
      else pen.stroke();
      return one;
    });
    return this.stamped;
  }

  arrow(pen, [x, y], [toX, toY], colour, paper) {
    const long = Math.hypot(toX - x, toY - y);
    if (long < 3) return;
    const ux = (toX - x) / long, uy = (toY - y) / long, head = Math.min(11, long);
    const line = () => {
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(toX, toY);
      pen.moveTo(toX - head * (ux + 0.55 * uy), toY - head * (uy - 0.55 * ux));
      pen.lineTo(toX, toY);
      pen.lineTo(toX - head * (ux - 0.55 * uy), toY - head * (uy + 0.55 * ux));
    };
    pen.lineCap = pen.lineJoin = "round";
    for (const [ink, wide] of [[paper, 6], [colour, 3]]) {
      pen.strokeStyle = ink;
      pen.lineWidth = wide;
      line();
      pen.stroke();
    }
  }

  axesLines(pen, x, y, width, height, ink) {
    pen.strokeStyle = pen.fillStyle = ink;
    pen.globalAlpha = 0.3;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x, 0);
    pen.lineTo(x, height);
    pen.moveTo(0, y);
    pen.lineTo(width, y);
    pen.stroke();
    pen.globalAlpha = 0.85;
    pen.font = `12px ${getComputedStyle(this.root).fontFamily}`;
    pen.textAlign = "right";
    pen.fillText(this.data.titles[0], width - 8, height - 10);
    pen.save();
    pen.translate(16, 8);
    pen.rotate(-Math.PI / 2);
    pen.fillText(this.data.titles[1], 0, 0);
    pen.restore();
  }

  ruler(pen, long, height, ink) {
    pen.globalAlpha = 0.85;
    pen.strokeStyle = pen.fillStyle = ink;
    pen.lineWidth = 1.5;
    const shown = Math.max(2, long), y = height - 14;
    pen.beginPath();
    pen.moveTo(12, y - 4);
    pen.lineTo(12, y);
    pen.lineTo(12 + shown, y);
    pen.lineTo(12 + shown, y - 4);
    pen.stroke();
    pen.font = `11px ${getComputedStyle(this.root).fontFamily}`;
    pen.textAlign = "left";
    pen.fillText("1 map width", 16, y - 6);
    pen.globalAlpha = 1;
  }

  point(event) {
    if (!this.seen) return;
    const { sx, sy } = this.seen, { offsetX: x, offsetY: y } = event;
    let nearest = -1, best = 100;
    for (let i = 0; i < this.n; i++) {
      const far = (sx(this.px[i]) - x) ** 2 + (sy(this.py[i]) - y) ** 2;
      if (far < best) (best = far), (nearest = i);
    }
    this.tip.textContent = nearest < 0 ? "" : this.data.texts[nearest];
    this.tip.style.top = `${y + 14}px`;
    this.tip.style.left = `${Math.min(x + 10, Math.max(0, this.canvas.clientWidth - 200))}px`;
  }
}

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const root = parentElement.querySelector(".stage");
  root.drawn ??= data.part === "map" ? new Picture(root) : new Sliders(root);
  root.drawn.report = (strengths) => setStateValue("strengths", strengths);
  root.drawn.update(data);
  // Called before each new call as well: what stays on the page goes on.
  return () => setTimeout(() => {
    if (!root.isConnected) root.drawn.end();
  });
}
