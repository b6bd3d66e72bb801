// The map, on a canvas: it draws what it is given; where points lie, ways.js knows.
const PUSH = "#E6007A";
const GREY = "#8C8C8C";
const PAD = 26;
const STAMP = 10;
const DOT = 3; // radius of a mark

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
    this.how = make("p", root);
    this.how.className = "how";
    const folded = make("details", root); // open where there is room for it
    folded.open = innerWidth > 640;
    make("summary", folded, "Legend");
    this.legend = make("div", folded);
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
      this.ways = new Ways(data);
      this.root.classList.toggle("told", Boolean(data.told));
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
      mark.setAttribute("aria-hidden", "true");
      if (colour) mark.style.color = colour;
      one.append(name);
    }
  }

  draw() {
    if (!this.data || !this.canvas.isConnected) return;
    const { data, canvas, ways } = this, { plain } = ways, written = stage.marks;
    const doses = data.axes.map((name) => stage.strengths[name] ?? data.fixed[name] ?? 0);
    const tips = ways.tips(ways.length(doses));
    const settled = this.settled(), parts = settled && this.progress(settled);
    const now = settled ? ways.settle(doses, settled, parts) : ways.place(doses);

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

    // Ghosts, points, arrow and fan are always in sight; the unit is the same both ways.
    const box = plain.box.slice();
    const ends = tips.map(([x, y]) => [plain.x + x, plain.y + y]);
    const spots = [...ends, ...written.map(({ x, y }) => [x, y])];
    const within = [now.box, ...spots.map(([x, y]) => [x, y, x, y])];
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
      for (let i = 0; i < ways.n; i++) {
        if (data.x[i] === null || data.y[i] === null) continue;
        pen.fillRect(Math.round(sx(data.x[i])) - 1, Math.round(sy(data.y[i])) - 1, 2, 2);
      }
    }
    pen.globalAlpha = 0.8;
    this.marks(pen, sx, sy);
    pen.globalAlpha = 1;
    if (data.ringed) this.rings(pen, sx, sy, ink, settled?.rows ?? data.paths.rows);
    const from = [sx(plain.x), sy(plain.y)];
    if (pushed) {
      const fan = () => this.fan(pen, from, ends.map(([x, y]) => [sx(x), sy(y)]), paper);
      if (!data.told) fan();
      arrow(pen, from, [sx(now.x), sy(now.y)], PUSH, paper);
      if (data.told) fan(); // a few, which may go the same way
    }
    new Written(written, sx, sy).draw(pen, ink, paper);
    const { span } = ways;
    this.ruler(pen, unit * span, height, ink);
    canvas.dataset.shift = [now.x - plain.x, now.y - plain.y]
      .map((one) => (one / span).toFixed(4))
      .join(" ");
    this.moved.textContent = pushed
      ? this.nearest(doses) ?? this.told(Math.hypot(now.x - plain.x, now.y - plain.y) / span, tips, span)
      : "Nothing is pushed: the points lie where the plain model has them. Drag a slider.";
    this.how.textContent = settled ? this.off(settled) : data.how;
    const lie = parts?.slice(0, settled.own).every((part) => part === 1);
    canvas.dataset.state = !data.paths ? "exact" : lie ? "settled" : "preview";
  }

  // What the server has found at just these strengths, for a map whose ways are a preview.
  settled() {
    const { settled } = stage, { paths } = this.data;
    const fits = paths && settled && isAt(settled.strengths);
    return fits && settled.own === (paths.rows?.length ?? this.ways.n) ? settled : null;
  }

  // How far each point is on its way there; drawn again until they are.
  progress({ since }) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return since.map(() => 1);
    const now = performance.now();
    const parts = since.map((start) => Math.min(1, (now - start) / SETTLE_MS));
    if (parts.some((part) => part < 1)) this.ask();
    return parts;
  }

  off({ apart, most, x }) {
    const [median, far] = [apart, most].map((one) => one.toFixed(3).replace(/^0/, ""));
    return (
      `Settled: the preview was ${median} map widths off (median of ${x.length.toLocaleString("en")} ` +
      `actions), at most ${far}.`
    );
  }

  // What core says of the knot that is nearest, where it does: of all but the plain one.
  nearest([dose]) {
    const { told, paths } = this.data;
    if (!told) return undefined;
    const far = paths.knots.map((knot) => (knot ? Math.abs(knot - dose) : Infinity));
    return told[far.indexOf(Math.min(...far))];
  }

  // A figure beside its controls: their median and 95 % range.
  told(own, tips, span) {
    const far = tips.map(([x, y]) => Math.hypot(x, y) / span).sort((a, b) => a - b);
    const [middle, low, high] = [0.5, 0.025, 0.975].map((share) => short(quantile(far, share)));
    return (
      `The middle of the points moves by ${short(own)} map widths; ${far.length} control ` +
      `directions of equal length: ${middle} [${low}, ${high}].`
    );
  }

  // Control directions: thin lines with a dot at their tips.
  fan(pen, [x, y], tips, paper) {
    pen.strokeStyle = GREY;
    pen.globalAlpha = 0.45;
    pen.lineWidth = 1;
    pen.beginPath();
    for (const [toX, toY] of tips) pen.moveTo(x, y), pen.lineTo(toX, toY);
    pen.stroke();
    pen.globalAlpha = 1;
    for (const [colour, radius] of [[paper, 4], [GREY, 2.6]]) {
      pen.fillStyle = colour;
      for (const [toX, toY] of tips) {
        pen.beginPath();
        pen.arc(toX, toY, radius, 0, 6.2832);
        pen.fill();
      }
    }
  }

  marks(pen, sx, sy) {
    const stamps = this.stamps(), { group } = this.data, { px, py } = this.ways;
    const half = STAMP / 2;
    for (let i = 0; i < px.length; i++) {
      const x = sx(px[i]), y = sy(py[i]);
      if (x === x && y === y) pen.drawImage(stamps[group[i]], x - half, y - half, STAMP, STAMP);
    }
  }

  // Around the points that the model itself follows.
  rings(pen, sx, sy, ink, rows) {
    const { px, py } = this.ways;
    pen.strokeStyle = ink;
    pen.lineWidth = 1;
    pen.beginPath();
    for (const row of rows) {
      const x = sx(px[row]), y = sy(py[row]);
      if (x === x && y === y) pen.moveTo(x + 6, y), pen.arc(x, y, 6, 0, 6.2832);
    }
    pen.stroke();
  }

  // A small picture of each mark: to stamp it is cheaper than to draw it.
  stamps() {
    this.stamped ??= this.data.groups.map(([colour, shape]) => {
      const one = document.createElement("canvas"), half = STAMP / 2;
      one.width = one.height = STAMP * this.ratio;
      const pen = one.getContext("2d");
      pen.scale(this.ratio, this.ratio);
      pen.translate(half, half);
      mark(pen, POLES.indexOf(shape), 0, 0, DOT, colour);
      return one;
    });
    return this.stamped;
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
    pen.font = this.letters(0.75);
    pen.textAlign = "right";
    pen.fillText(this.data.titles[0], width - 8, height - 10);
    pen.save();
    pen.translate(16, 8);
    pen.rotate(-Math.PI / 2);
    pen.fillText(this.data.titles[1], 0, 0);
    pen.restore();
  }

  // A font that grows with the page's letters.
  letters(rem) {
    const page = parseFloat(getComputedStyle(document.documentElement).fontSize);
    return `${rem * page}px ${getComputedStyle(this.root).fontFamily}`;
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
    pen.font = this.letters(0.69);
    pen.textAlign = "left";
    pen.fillText("1 map width", 16, y - 6);
    pen.globalAlpha = 1;
  }

  point(event) {
    if (!this.seen) return;
    const { sx, sy } = this.seen, { offsetX: x, offsetY: y } = event, { px, py } = this.ways;
    const near = new Written(stage.marks, sx, sy).at(x, y);
    let nearest = -1, best = 100;
    for (let i = 0; near === "" && i < px.length; i++) {
      const far = (sx(px[i]) - x) ** 2 + (sy(py[i]) - y) ** 2;
      if (far < best) (best = far), (nearest = i);
    }
    this.tip.textContent = near || (nearest < 0 ? "" : this.data.texts[nearest]);
    this.tip.style.top = `${y + 14}px`;
    this.tip.style.left = `${Math.min(x + 10, Math.max(0, this.canvas.clientWidth - 200))}px`;
  }
}
