// What the maps of a page share, the legend that filters them, and what is mounted where. All words
// are set as text, never as HTML.

const hub = (globalThis.moralscopeAtlas ??= { groups: new Map(), held: new Map() });

// The maps of one page: the same item is met, chosen and filtered on all of them.
class Group {
  constructor() {
    this.members = new Set();
    this.hovered = -1;
    this.chosen = null; // a byte for each item, or nothing
    this.only = new Set(); // entries of the legend that are pressed; none: all is shown
    this.off = new Set(); // layers that are switched off
    this.linked = true; // maps of one scale are zoomed together
  }

  join(one) {
    this.members.add(one);
  }

  leave(one) {
    this.members.delete(one);
  }

  tell(what) {
    for (const one of this.members) one.heard(what);
  }

  meet(row) {
    if (row === this.hovered) return;
    this.hovered = row;
    this.tell("met");
  }

  choose(rows, n) {
    this.chosen = rows.length ? new Uint8Array(n) : null;
    for (const row of rows) this.chosen[row] = 1;
    this.tell("chosen");
  }
}

function groupOf(name) {
  if (!hub.groups.has(name)) hub.groups.set(name, new Group());
  return hub.groups.get(name);
}

// Sent once and asked for by many; the oldest goes when there are many.
function hold({ name, kind, content }) {
  hub.held.delete(name);
  hub.held.set(name, kind === "places" ? floats(content) : content);
  if (hub.held.size > 12) hub.held.delete(hub.held.keys().next().value);
  for (const group of hub.groups.values()) group.tell("held");
}

class Held {
  update({ held }) {
    if (this.name !== held.name) hold(held);
    this.name = held.name;
  }

  end() {}
}

class Legend {
  constructor(root) {
    this.root = root;
  }

  end() {
    this.group?.leave(this);
  }

  update(data) {
    if (this.data === data) return;
    this.data = data;
    if (!hub.held.has(data.held.name)) hold(data.held);
    this.end();
    this.group = groupOf(data.group);
    this.group.join(this);
    const { names, poles, scale, title } = data.legend;
    this.root.replaceChildren();
    this.buttons = [];
    if (scale) this.scale(scale, title);
    if (names.length) this.part(title, names, () => "");
    const signs = { virtue: "●", vice: "✕", neutral: "◇" };
    this.part("Pole", poles, (name) => signs[name]);
    this.show();
  }

  part(title, entries, sign) {
    const part = make("div", this.root, "entries");
    part.setAttribute("role", "group");
    part.setAttribute("aria-label", `${title}: show only`);
    for (const [name, colour] of entries) {
      const one = make("button", part);
      one.type = "button";
      const seen = make("i", one, "", sign(name));
      seen.setAttribute("aria-hidden", "true");
      if (!sign(name)) seen.style.background = colour;
      else if (colour) seen.style.color = colour;
      one.append(name.replace("-", " – "));
      one.title = `Show only ${name} on all maps; once more, all`;
      one.onclick = () => {
        if (!this.group.only.delete(name)) this.group.only.add(name);
        this.group.tell("filtered");
      };
      this.buttons.push([name, one, entries]);
    }
  }

  scale({ span, steps }, title) {
    const one = make("span", this.root, "scale");
    const shown = (value) => String(Number(value.toPrecision(3))).replace("-", "−");
    make("span", one, "", title);
    make("span", one, "", shown(span[0]));
    make("i", one).style.background = `linear-gradient(90deg, ${steps.join()})`;
    make("span", one, "", shown(span[1]));
  }

  show() {
    for (const [name, one, entries] of this.buttons) {
      const some = entries.some(([other]) => this.group.only.has(other));
      one.setAttribute("aria-pressed", this.group.only.has(name));
      one.classList.toggle("out", some && !this.group.only.has(name));
    }
  }

  heard(what) {
    if (what === "filtered") this.show();
  }
}

const PARTS = { map: Chart, legend: Legend, held: Held };

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".atlas");
  root.drawn ??= new PARTS[data.part](root);
  root.drawn.report = setTriggerValue;
  root.drawn.update(data);
  // Called before each new call as well: what stays on the page goes on.
  return () => setTimeout(() => {
    if (!root.isConnected) root.drawn.end();
  });
}
