// One map: what is seen of it, and what mouse, fingers and keys do.

const MORPH = 400; // milliseconds
const REACH = 12; // pixels from a point at which it is met
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

function make(name, owner, look = "", text = "") {
  const one = document.createElement(name);
  if (look) one.className = look;
  one.textContent = text;
  owner?.append(one);
  return one;
}

function bytes(text) {
  const plain = atob(text), found = new Uint8Array(plain.length);
  for (let i = 0; i < plain.length; i++) found[i] = plain.charCodeAt(i);
  return found;
}
const floats = (text) => new Float32Array(bytes(text).buffer);

class Chart {
  constructor(root) {
    this.root = root;
    this.zoom = { k: 1, x: 0, y: 0 };
    this.mode = matchMedia("(pointer: coarse)").matches ? null : "box";
    this.fingers = new Map();
    this.frame = make("div", root, "frame");
    this.frame.setAttribute("role", "figure");
    this.base = make("canvas", this.frame, "base");
    this.over = make("canvas", this.frame, "over");
    this.over.tabIndex = 0;
    this.over.setAttribute("role", "application");
    this.tip = make("div", this.frame, "tip");
    this.hint = make("div", this.frame, "hint");
    this.live = make("p", root, "heard");
    this.live.setAttribute("aria-live", "polite");
    const bar = make("div", root, "bar");
    this.player = new Player(this, make("div", bar, "player"));
    this.tools = make("div", bar, "tools");
    this.tool("box", "Select", "Drag a box to select; with Alt pressed, draw around");
    this.tool("move", "Move", "Drag moves the map, as with Shift pressed");
    this.button("+", "Zoom in", () => this.zoomBy(1.5), "aid");
    this.button("−", "Zoom out", () => this.zoomBy(1 / 1.5), "aid");
    this.button("All", "Show the whole map", () => this.whole(), "aid");
    for (const kind of ["png", "svg"])
      this.button(kind.toUpperCase(), `Save as ${kind.toUpperCase()}`, () => saveMap(this, kind));
    this.link = this.button("Link", "Zoom all maps together", () => {
      this.group.linked = !this.group.linked;
      this.group.tell("linked");
      this.lead();
    });
    this.layers = make("span", this.tools, "layers");
    this.listen();
    this.sizes = new ResizeObserver(() => this.ask());
    this.sizes.observe(this.base);
    this.frame.ontransitionend = () => this.ask(); // another theme: see the style
  }

  button(sign, name, act, look = "") {
    const one = make("button", this.tools, look, sign);
    one.type = "button";
    one.title = name;
    one.setAttribute("aria-label", name);
    one.onclick = act;
    return one;
  }

  tool(mode, name, title) {
    const one = this.button(name, name, () => {
      this.mode = this.mode === mode ? null : mode;
      this.showMode();
    }, "aid");
    one.title = title;
    one.dataset.mode = mode;
    this.showMode();
  }

  showMode() {
    for (const one of this.tools.querySelectorAll("[data-mode]"))
      one.setAttribute("aria-pressed", one.dataset.mode === this.mode);
    this.over.dataset.mode = this.mode ?? "";
  }

  end() {
    this.group?.leave(this);
    this.sizes.disconnect();
    this.player.pause();
    cancelAnimationFrame(this.waits);
  }

  // --- data ---

  update(data) {
    if (this.data === data) return;
    if (this.group !== groupOf(data.group)) {
      this.group?.leave(this);
      this.group = groupOf(data.group);
      this.group.join(this);
    }
    const before = this.data;
    this.data = data;
    this.root.classList.toggle("small", data.small);
    if (data.small) this.mode = null;
    this.showMode();
    const places = floats(data.places);
    this.category = bytes(data.category);
    this.pole = bytes(data.pole);
    this.lines = data.lines.map((one) => ({ ...one, points: floats(one.points) }));
    this.arrows = data.arrows.map((one) =>
      ({ ...one, start: floats(one.start), end: floats(one.end) }));
    this.stamps = null;
    this.player.update(data);
    const centres = data.centres ? floats(data.centres) : new Float32Array(0);
    if (!before || this.n !== this.pole.length) this.begin(places, centres);
    else if (before.places !== data.places) this.moveTo(places, centres);
    if (!before || `${before.chosen}` !== `${data.chosen}`) this.group.choose(data.chosen, this.n);
    this.frame.setAttribute("aria-label", data.alt);
    this.over.setAttribute("aria-label", `${data.title}: ${this.n} points. Arrow keys go from ` +
      "point to point, Enter opens one, plus and minus zoom, 0 shows all, Escape clears.");
    this.titles = data.axes;
    this.foundations = data.names.map(([, foundation]) => foundation);
    this.switches();
    this.showLink();
    this.player.heard();
    this.filter();
    this.ask();
  }

  begin(places, centres) {
    this.n = this.pole.length;
    this.places = places.slice();
    this.target = places;
    this.centres = this.centresTo = centres;
    this.shown = new Uint8Array(this.n);
    this.order = shuffled(this.n);
    this.box = this.bounds();
    this.zoom = { k: 1, x: 0, y: 0 };
    this.morph = null;
  }

  // Lets the points go to other places; at once where motion is not wanted.
  moveTo(places, centres, ms = MORPH) {
    const { box, centres: named } = this, from = this.places.slice();
    this.target = places;
    this.centresTo = centres;
    if (still() || !ms) {
      this.places.set(places);
      this.centres = centres;
      this.box = this.bounds();
      this.morph = null;
    } else this.morph = { from, named, box, to: this.bounds(), start: performance.now(), ms };
    this.ask();
  }

  // Where all is in view: the limits that maps share, or what the points and the star take;
  // away from the page's own frame, what those of all frames do, so that the map stands still.
  bounds() {
    const { limits, own } = this.data;
    if (limits) return [limits[0][0], limits[1][0], limits[0][1], limits[1][1]];
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    const stretch = (all) => {
      for (let i = 0; i + 1 < all.length; i += 2) {
        const x = all[i], y = all[i + 1];
        if (!(x === x && y === y)) continue;
        if (x < box[0]) box[0] = x;
        if (y < box[1]) box[1] = y;
        if (x > box[2]) box[2] = x;
        if (y > box[3]) box[3] = y;
      }
    };
    stretch(this.player.away() ? this.player.places : this.target);
    if (own) stretch(own);
    return box[0] <= box[2] ? box : [-1, -1, 1, 1];
  }

  words(row) {
    const held = hub.held.get(this.data.words);
    return held ? [held.texts[row], held.notes[row]] : [];
  }

  // --- what is seen ---

  ask() {
    this.waits ??= requestAnimationFrame((now) => {
      this.waits = undefined;
      this.draw(now);
    });
  }

  filter() {
    const { only } = this.group, names = this.data.legend.names.map(([name]) => name);
    const some = names.some((name) => only.has(name)), poled = POLES.some((one) => only.has(one));
    for (let row = 0; row < this.n; row++)
      this.shown[row] =
        (!some || only.has(names[this.category[row]])) && (!poled || only.has(POLES[this.pole[row]]));
    this.ask();
  }

  step(now) {
    const { morph } = this;
    if (!morph) return;
    const share = Math.min(1, Math.max(0, (now - morph.start) / morph.ms));
    const eased = share < 0.5 ? 2 * share * share : 1 - 2 * (1 - share) ** 2;
    blend(this.places, morph.from, this.target, eased);
    const named = morph.named.length === this.centresTo.length ? morph.named : this.centresTo;
    this.centres = blend(new Float32Array(named.length), named, this.centresTo, eased);
    this.box = morph.box.map((one, i) => one + (morph.to[i] - one) * eased);
    if (share === 1) this.morph = null;
    else this.ask();
  }

  // From the map's coordinates to pixels and back.
  viewOf(width, height) {
    const [left, low, right, top] = this.box, { k, x: dx, y: dy } = this.zoom;
    const pad = this.titles ? [52, 16, 16, 46] : [18, 18, 18, 18]; // left, top, right, bottom
    const wide = width - pad[0] - pad[2], high = height - pad[1] - pad[3];
    let ux = wide / (right - left || 1), uy = high / (top - low || 1);
    if (!this.titles) ux = uy = Math.min(ux, uy);
    const x0 = pad[0] + wide / 2 - (ux * (left + right)) / 2;
    const y0 = pad[1] + high / 2 + (uy * (low + top)) / 2;
    return {
      width, height,
      sx: (x) => (x0 + ux * x) * k + dx, sy: (y) => (y0 - uy * y) * k + dy,
      x: (px) => ((px - dx) / k - x0) / ux, y: (py) => (y0 - (py - dy) / k) / uy,
    };
  }

  look() {
    const style = getComputedStyle(this.root);
    return {
      ink: style.color, family: style.fontFamily,
      paper: style.getPropertyValue("--st-background-color").trim() || "white",
    };
  }

  // All that ``paint`` asks.
  map(width, height) {
    const { player } = this, away = player.away(), seen = (one) =>
      !this.group.off.has(one.layer) && (one.frame === null || one.frame === player.at);
    const { chosen } = this.group, some = chosen !== null && chosen.length === this.n;
    return {
      view: this.viewOf(width, height), look: this.look(), titles: this.titles,
      places: this.places, shown: this.shown, order: this.order, some,
      isLit: (row) => !some || chosen[row] === 1,
      lines: this.lines.filter(seen), arrows: this.arrows.filter(seen),
      centres: this.group.off.has("Names") ? [] : this.named(), marked: this.data.marked, point: this.data.point, own: away ? null : this.data.own, trails: player.trails(some && chosen),
      badge: away && !player.frames.slides ? player.frames.names[Math.round(player.at)] : "",
    };
  }

  // The poles whose members are shown.
  named() {
    const { only } = this.group, found = [];
    const some = POLES.some((one) => only.has(one));
    for (let at = 0; 5 * at < this.centres.length; at++) {
      const [name, foundation, colour] = this.data.names[at], pole = at % 2;
      if (some && !only.has(POLES[pole])) continue;
      if (this.foundations.some((one) => only.has(one)) && !only.has(foundation)) continue;
      found.push({ name, colour, pole, five: this.centres.subarray(5 * at, 5 * at + 5) });
    }
    return found;
  }

  radius() {
    return this.n > 5000 || this.data.small || this.base.clientWidth < 480 ? 2.6 : 3.8;
  }

  size(canvas) {
    const width = this.base.clientWidth, height = this.base.clientHeight;
    const ratio = globalThis.devicePixelRatio || 1;
    const wide = Math.round(width * ratio), high = Math.round(height * ratio);
    if (canvas.width !== wide || canvas.height !== high) (canvas.width = wide), (canvas.height = high);
    const pixels = { alpha: false, willReadFrequently: true };
    const pen = canvas.getContext("2d", canvas === this.base ? pixels : {});
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.lineCap = pen.lineJoin = "round";
    return [pen, width, height, ratio];
  }

  draw(now) {
    if (!this.data || !this.base.isConnected || !this.base.clientWidth) return;
    this.player.step(now);
    this.step(now);
    const [pen, width, height, ratio] = this.size(this.base);
    const size = `${this.radius()} ${ratio}`;
    if (this.stamps?.size !== size)
      this.stamps = Object.assign(new Stamps(this.data.colours, this.radius(), ratio), { size });
    const map = this.map(width, height), grey = this.data.colours.length;
    this.view = map.view;
    pen.fillStyle = map.look.paper;
    pen.fillRect(0, 0, width, height);
    let image;
    const put = (row, x, y, faded) => {
      const colour = faded ? grey : this.category[row];
      this.stamps.stamp(image, colour, this.pole[row], ratio * x, ratio * y);
    };
    paint(pen, map, put, (act) => {
      image = pen.getImageData(0, 0, this.base.width, this.base.height);
      act();
      pen.putImageData(image, 0, 0);
    });
    this.drawOver();
    this.player.draw(map.look);
    this.base.dataset.drawn = "yes";
  }

  // The point that is met, and the box or line that is being drawn.
  drawOver() {
    const [pen] = this.size(this.over), { paper, ink } = this.look(), row = this.group.hovered;
    const [x, y] = this.spot(row);
    if (x === x && y === y && this.shown[row]) {
      for (const [colour, wide] of [[paper, 5], [ink, 2]]) {
        pen.strokeStyle = colour;
        pen.lineWidth = wide;
        pen.beginPath();
        pen.arc(x, y, 9, 0, TURN);
        pen.stroke();
      }
      mark(pen, this.pole[row], x, y, this.radius() + 1.2, this.data.colours[this.category[row]]);
    }
    if (!this.drag?.path) return;
    pen.strokeStyle = ink;
    pen.fillStyle = ink;
    pen.lineWidth = 1;
    pen.setLineDash([4, 3]);
    pen.beginPath();
    this.drag.path.forEach(([px, py], i) => pen[i ? "lineTo" : "moveTo"](px, py));
    pen.closePath();
    pen.stroke();
    pen.setLineDash([]);
    pen.globalAlpha = 0.06;
    pen.fill();
    pen.globalAlpha = 1;
  }

  spot(row) {
    return row >= 0 && row < this.n && this.view
      ? [this.view.sx(this.places[2 * row]), this.view.sy(this.places[2 * row + 1])]
      : [NaN, NaN];
  }

  // --- zoom ---

  zoomBy(factor, x = this.base.clientWidth / 2, y = this.base.clientHeight / 2) {
    const k = Math.min(60, Math.max(1, this.zoom.k * factor)), f = k / this.zoom.k;
    this.zoom = { k, x: x - (x - this.zoom.x) * f, y: y - (y - this.zoom.y) * f };
    this.pan(0, 0);
  }

  // At least the middle of the window stays on the map.
  pan(dx, dy) {
    const { k } = this.zoom, hold = (at, size) =>
      Math.min(size / 2, Math.max(size / 2 - size * k, at));
    this.zoom.x = hold(this.zoom.x + dx, this.base.clientWidth);
    this.zoom.y = hold(this.zoom.y + dy, this.base.clientHeight);
    this.lead();
    this.ask();
  }

  whole() {
    this.zoom = { k: 1, x: 0, y: 0 };
    this.lead();
    this.ask();
  }

  // Maps of one scale that are linked show the same part.
  lead() {
    if (!this.group.linked || !this.data.limits) return;
    const { k, x, y } = this.zoom, { clientWidth: wide, clientHeight: high } = this.base;
    for (const one of this.group.members)
      if (one !== this && one.data.limits) {
        const { clientWidth, clientHeight } = one.base;
        one.zoom = { k, x: (x * clientWidth) / wide, y: (y * clientHeight) / high };
        one.ask();
      }
  }

  showLink() {
    this.link.hidden = !this.data.limits;
    this.link.setAttribute("aria-pressed", this.group.linked);
  }

  // --- the hand ---

  nearest(x, y, reach = REACH) {
    let found = -1, best = reach * reach;
    for (let row = 0; row < this.n; row++) {
      if (!this.shown[row]) continue;
      const dx = this.view.sx(this.places[2 * row]) - x;
      const dy = this.view.sy(this.places[2 * row + 1]) - y, far = dx * dx + dy * dy;
      if (far < best) (best = far), (found = row);
    }
    return found;
  }

  listen() {
    const { over } = this;
    over.onpointerdown = (event) => this.down(event);
    over.onpointermove = (event) => this.moved(event);
    over.onpointerup = over.onpointercancel = (event) => this.up(event);
    over.onpointerleave = (event) => event.pointerType !== "touch" && this.meet(-1);
    over.onkeydown = (event) => this.key(event);
    over.onblur = () => this.meet(-1);
    over.ondblclick = () => (this.group.chosen ? this.choose([]) : this.whole());
    over.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    // Two fingers zoom the map, not the page.
    const two = (event) => event.touches.length > 1 && event.preventDefault();
    over.addEventListener("touchstart", two, { passive: false });
    over.addEventListener("touchmove", two, { passive: false });
  }

  down(event) {
    if (!this.view) return;
    const at = [event.offsetX, event.offsetY];
    this.fingers.set(event.pointerId, at);
    if (this.fingers.size === 2) {
      this.drag = null;
      return;
    }
    if (event.button > 1) return;
    if (event.pointerType !== "touch" || this.mode) this.over.setPointerCapture(event.pointerId);
    const move = event.button === 1 || event.shiftKey || this.mode === "move";
    const act = move ? "move" : this.mode === "box" ? (event.altKey ? "line" : "box") : null;
    this.drag = { from: at, last: at, act, far: false };
  }

  moved(event) {
    if (!this.view) return;
    const at = [event.offsetX, event.offsetY], { drag } = this;
    if (this.fingers.size === 2) return this.pinch(event.pointerId, at);
    if (!drag) return this.meet(this.nearest(...at), at);
    drag.far ||= Math.hypot(at[0] - drag.from[0], at[1] - drag.from[1]) > 4;
    if (!drag.far || !drag.act) return;
    this.meet(-1);
    if (drag.act === "move") this.pan(at[0] - drag.last[0], at[1] - drag.last[1]);
    else if (drag.act === "line") (drag.path ??= [drag.from]).push(at);
    else {
      const [x, y] = drag.from;
      drag.path = [[x, y], [at[0], y], at, [x, at[1]]];
    }
    drag.last = at;
    this.drawOver();
  }

  pinch(id, at) {
    const before = [...this.fingers.values()];
    this.fingers.set(id, at);
    const after = [...this.fingers.values()];
    const gap = ([a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
    const middle = ([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    const [x, y] = middle(before), [toX, toY] = middle(after);
    this.zoomBy(gap(after) / gap(before), x, y);
    this.pan(toX - x, toY - y);
  }

  up(event) {
    this.fingers.delete(event.pointerId);
    const { drag } = this;
    this.drag = null;
    if (!drag || event.type === "pointercancel") return this.drawOver();
    if (drag.path) this.choose(this.inside(drag.path));
    else if (!drag.far) this.open(this.nearest(...drag.from));
    this.drawOver();
  }

  // The items within a closed line.
  inside(path) {
    const found = [];
    for (let row = 0; row < this.n; row++) {
      const [x, y] = this.spot(row);
      if (!this.shown[row] || !(x === x && y === y)) continue;
      let within = false;
      path.forEach(([ax, ay], i) => {
        const [bx, by] = path[(i || path.length) - 1];
        if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
      });
      if (within) found.push(row);
    }
    return found;
  }

  choose(rows) {
    this.group.choose(rows, this.n);
    this.report("chosen", rows);
  }

  open(row) {
    this.meet(row, this.spot(row));
    if (row >= 0) this.report("point", row);
  }

  // Marks the same item on all maps; with a place, says what it is there.
  meet(row, at = null) {
    const [text, note] = row >= 0 && at ? this.words(row) : [];
    this.tip.textContent = text ?? "";
    if (text) {
      make("small", this.tip, "", note);
      const wide = this.base.clientWidth, high = this.base.clientHeight;
      this.tip.style.left = `${Math.max(4, Math.min(at[0] + 14, wide - this.tip.offsetWidth - 4))}px`;
      const below = at[1] + 16 + this.tip.offsetHeight < high;
      this.tip.style.top = `${below ? at[1] + 16 : at[1] - 12 - this.tip.offsetHeight}px`;
    }
    this.group.meet(row);
  }

  wheel(event) {
    const focused = this.root.getRootNode().activeElement === this.over;
    if (!event.ctrlKey && !event.metaKey && !focused) {
      this.hint.textContent = "Ctrl and wheel zoom; so does the wheel once the map is clicked";
      clearTimeout(this.hinted);
      this.hinted = setTimeout(() => (this.hint.textContent = ""), 1500);
      return;
    }
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY / (event.ctrlKey ? 150 : 400)), event.offsetX, event.offsetY);
  }

  // --- the keys ---

  key(event) {
    const ways = {
      ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
    };
    const way = ways[event.key], { hovered } = this.group;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (way && event.shiftKey) this.pan(-60 * way[0], -60 * way[1]);
    else if (way) this.walk(way);
    else if (event.key === "Enter" || event.key === " ") this.open(hovered);
    else if (event.key === "+" || event.key === "=") this.zoomBy(1.5);
    else if (event.key === "-") this.zoomBy(1 / 1.5);
    else if (event.key === "0") this.whole();
    else if (event.key === "Escape" && this.group.chosen) this.choose([]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // To the nearest point that lies that way; at first to the one nearest to the middle.
  walk([wayX, wayY]) {
    const from = this.spot(this.group.hovered), { clientWidth, clientHeight } = this.base;
    let next = -1, best = Infinity;
    if (from[0] !== from[0] || from[1] !== from[1])
      next = this.nearest(clientWidth / 2, clientHeight / 2, Infinity);
    else
      for (let row = 0; row < this.n; row++) {
        if (!this.shown[row] || row === this.group.hovered) continue;
        const [x, y] = this.spot(row), dx = x - from[0], dy = y - from[1];
        const along = dx * wayX + dy * wayY, aside = Math.abs(dx * wayY - dy * wayX);
        if (!(along > 0.5) || aside > along) continue;
        const far = along + aside;
        if (far < best) (best = far), (next = row);
      }
    if (next < 0) return void (this.live.textContent = "No point further that way.");
    const [x, y] = this.spot(next);
    const out = (at, size) => (at < 0 ? 40 - at : at > size ? size - 40 - at : 0);
    const [dx, dy] = [out(x, clientWidth), out(y, clientHeight)];
    if (dx || dy) this.pan(dx, dy);
    this.meet(next, [x + dx, y + dy]);
    this.live.textContent = this.words(next).join(". ");
  }

  // Which layers of lines, names and arrows are seen.
  switches() {
    const names = new Set([...this.lines, ...this.arrows].map((one) => one.layer));
    if (this.data.centres) names.add("Names");
    if (this.layers.dataset.names === [...names].join()) return;
    this.layers.dataset.names = [...names].join();
    this.layers.replaceChildren();
    for (const name of names) {
      const one = make("button", this.layers, "", name);
      one.type = "button";
      one.setAttribute("aria-pressed", !this.group.off.has(name));
      one.onclick = () => {
        if (!this.group.off.delete(name)) this.group.off.add(name);
        this.group.tell("switched");
      };
    }
  }

  heard(what) {
    if (what === "met") return void (this.view && this.drawOver());
    if (what === "filtered") return this.filter();
    if (what === "linked") return this.showLink();
    for (const one of this.layers.children)
      one.setAttribute("aria-pressed", !this.group.off.has(one.textContent));
    this.player.heard();
    this.ask();
  }
}

// What lies between two rows of numbers; where one has none, the second.
function blend(into, from, to, share) {
  for (let i = 0; i < to.length; i++) {
    const moved = from[i] + (to[i] - from[i]) * share;
    into[i] = moved === moved ? moved : to[i];
  }
  return into;
}

// The same order each time, not that of the table: no group lies on top of all others.
function shuffled(n) {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  let seed = 12345;
  for (let i = n - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const j = seed % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
