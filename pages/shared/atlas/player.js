// Frames of a map (layers, or two models): played, or looked at one by one, with a curve beneath.

const REST = 350; // milliseconds between two frames
const MODEL = "#2F6FDE";
const TRAILED = 60; // items of a selection whose way is drawn
const BEHIND = 3; // frames that a way goes back

class Player {
  constructor(chart, root) {
    this.chart = chart;
    this.root = root;
    this.at = 0;
    root.hidden = true;
    const row = make("div", root, "row");
    this.button = make("button", row, "play");
    this.button.type = "button";
    this.button.onclick = () => (this.playing ? this.pause() : this.play());
    this.range = make("input", row);
    Object.assign(this.range, { type: "range", min: 0 });
    this.range.oninput = () => {
      this.pause();
      this.go(Number(this.range.value));
    };
    this.name = make("output", row);
    this.open = make("button", row, "open");
    this.open.type = "button";
    this.open.onclick = () => chart.report("frame", Math.round(this.at));
    this.canvas = make("canvas", root, "curve");
    this.canvas.setAttribute("role", "img");
    this.canvas.onclick = ({ offsetX }) => {
      this.pause();
      const last = this.frames.names.length - 1, wide = this.canvas.clientWidth - 16;
      this.go(Math.min(last, Math.max(0, Math.round(((offsetX - 8) / wide) * last))));
    };
    this.told = make("p", root, "figure");
    this.showPlaying();
  }

  update(data) {
    const { frames } = data;
    this.root.hidden = !frames;
    const anew = this.frames?.held !== frames?.held;
    if (anew) this.places = null;
    if (frames && (anew || this.frames.at !== frames.at)) this.at = frames.at;
    this.frames = frames;
    if (!frames) return this.pause();
    this.range.max = frames.names.length - 1;
    this.range.step = frames.slides ? 0.01 : 1;
    const what = frames.span ? "Share of the change" : "Between the two";
    this.range.setAttribute("aria-label", frames.slides ? what : "Layer shown");
    this.centres = frames.centres.map(floats);
    this.curve = frames.curve && floats(frames.curve.numbers);
    this.canvas.hidden = this.told.hidden = !this.curve;
    if (this.curve) this.canvas.setAttribute("aria-label", this.words());
    this.showPlaying();
  }

  // The places have come, in a message of their own.
  heard() {
    if (!this.frames || this.places || !hub.held.has(this.frames.held)) return;
    this.places = hub.held.get(this.frames.held);
  }

  // Whether another frame is seen than the page's own.
  away() {
    return this.places && (this.playing || this.at !== this.frames.at);
  }

  frame(number) {
    const wide = 2 * this.chart.n;
    return this.places.subarray(number * wide, (number + 1) * wide);
  }

  show() {
    const { names, slides, at } = this.frames, near = Math.round(this.at);
    this.range.value = this.at;
    const words = this.where(near);
    this.name.textContent = words;
    this.range.setAttribute("aria-valuetext", words);
    this.open.hidden = slides || near === at || this.playing;
    this.open.textContent = `Open ${names[near]}`;
    if (this.curve) this.told.textContent = this.figure(near);
  }

  // What the place between the frames is called.
  where(near) {
    const { names, slides, span } = this.frames;
    if (span) {
      const share = span[0] + (this.at / (names.length - 1)) * (span[1] - span[0]);
      const name = near === this.at && names[near];
      return name ? `${share.toFixed(2)} · ${name}` : share.toFixed(2);
    }
    if (!slides || near === this.at) return names[near];
    return `${names[0]} → ${names[1]}, ${Math.round(100 * this.at)} %`;
  }

  figure(number) {
    const plain = (value) => value.toFixed(2).replace(/^(-?)0/, "$1").replace("-", "−");
    const [value, low, high, least, most] = this.curve.slice(5 * number, 5 * number + 5);
    const { title } = this.frames.curve;
    if (value !== value) return `${title}: not measured here`;
    return `${title} ${plain(value)} [${plain(low)}, ${plain(high)}]; ` +
      `shuffled labels ${plain(least)} to ${plain(most)} (95 %)`;
  }

  words() {
    const { names, curve, span } = this.frames;
    const wide = span && (span[1] - span[0]) / (names.length - 1);
    const told = (name, number) => (span ? (span[0] + number * wide).toFixed(2) : name);
    return `${curve.title} over ${span ? "shares" : "layers"}: ` +
      names.map((name, number) => `${told(name, number)}, ${this.figure(number)}`).join(". ");
  }

  showPlaying() {
    this.button.textContent = this.playing ? "❚❚" : "▶";
    const what = this.frames?.slides ? "Play from one to the other" : "Play over layers";
    this.button.setAttribute("aria-label", this.playing ? "Pause" : what);
    if (this.frames) this.show();
  }

  // Moves to a frame: by a morph, or at once where the hand slides.
  go(to) {
    if (!this.places) return;
    const { chart } = this, below = Math.floor(to), share = to - below;
    this.at = to;
    const between = (of) => {
      const from = of(below);
      return share ? blend(new Float32Array(from.length), from, of(below + 1), share) : from;
    };
    const centres = between((one) => this.centres[one] ?? new Float32Array(0));
    const slid = this.frames.slides && !this.playing;
    chart.moveTo(between((one) => this.frame(one)), centres, slid ? 0 : MORPH);
    this.show();
  }

  play() {
    if (!this.places) return;
    this.playing = true;
    if (this.at >= this.frames.names.length - 1) this.go(0);
    this.next = performance.now() + MORPH + REST;
    this.showPlaying();
    this.chart.ask();
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    this.showPlaying();
  }

  step(now) {
    if (!this.playing) return;
    if (now >= this.next) {
      const last = this.frames.names.length - 1;
      this.go(Math.min(Math.floor(this.at) + 1, last));
      this.next = now + MORPH + REST;
      if (this.at >= last) this.pause();
    }
    this.chart.ask();
  }

  // Where the cursor is: it moves with the points.
  cursor() {
    const { morph, box } = this.chart;
    if (!morph) this.shownAt = this.at;
    else this.shownAt += (this.at - (this.shownAt ?? this.at)) * 0.15;
    return box && this.shownAt;
  }

  draw(look) {
    const { canvas, curve } = this;
    if (!curve || !canvas.clientWidth) return;
    const ratio = globalThis.devicePixelRatio || 1;
    const wide = canvas.clientWidth, high = canvas.clientHeight, m = curve.length / 5;
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(high * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const known = [...curve].filter((one) => one === one);
    const low = Math.min(0, ...known), top = Math.max(0, ...known);
    const sx = (at) => 8 + (at * (wide - 16)) / Math.max(1, m - 1);
    const sy = (value) => high - 4 - ((value - low) / (top - low || 1)) * (high - 8);
    const band = (from, to, colour, alpha) => {
      pen.fillStyle = colour;
      pen.globalAlpha = alpha;
      for (let i = 0; i + 1 < m; i++) {
        const ends = [5 * i + from, 5 * i + 5 + from, 5 * i + 5 + to, 5 * i + to].map((k) => curve[k]);
        if (!ends.every(Number.isFinite)) continue;
        pen.beginPath();
        ends.forEach((value, k) => pen.lineTo(sx(i + (k === 1 || k === 2)), sy(value)));
        pen.fill();
      }
      pen.globalAlpha = 1;
    };
    band(3, 4, "#8C8C8C", 0.35);
    band(1, 2, MODEL, 0.3);
    const line = (x, y, toX, toY) => {
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(toX, toY);
      pen.stroke();
    };
    pen.strokeStyle = look.ink;
    pen.globalAlpha = 0.3;
    line(8, sy(0), wide - 8, sy(0));
    pen.globalAlpha = 1;
    pen.strokeStyle = MODEL;
    pen.lineWidth = 2;
    for (let i = 0; i + 1 < m; i++)
      if (Number.isFinite(curve[5 * i]) && Number.isFinite(curve[5 * i + 5]))
        line(sx(i), sy(curve[5 * i]), sx(i + 1), sy(curve[5 * i + 5]));
    const at = sx(this.cursor());
    pen.strokeStyle = OWN;
    line(at, 0, at, high);
  }

  // The way of chosen and clicked items over the last frames, to where they are now.
  trails(chosen) {
    if (!this.places || this.frames.slides || this.at === 0) return [];
    const { n, places, category, data, shown } = this.chart;
    const rows = chosen ? [...chosen.keys()].filter((row) => chosen[row]) : [];
    const some = rows.length <= TRAILED ? rows : [];
    if (data.point !== null && !some.includes(data.point)) some.push(data.point);
    const last = Math.ceil(this.at) - 1;
    return some.filter((row) => shown[row]).map((row) => {
      const points = [];
      for (let frame = Math.max(0, last - BEHIND + 1); frame <= last; frame++)
        points.push(...this.places.subarray(2 * (frame * n + row), 2 * (frame * n + row) + 2));
      points.push(places[2 * row], places[2 * row + 1]);
      return { points, colour: data.colours[category[row]] };
    });
  }
}
