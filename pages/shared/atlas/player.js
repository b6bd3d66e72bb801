// Frames of a map (layers, or two models), played or looked at one by one.

const REST = 350; // milliseconds between two frames

class Player {
  constructor(chart, root) {
    this.chart = chart;
    this.root = root;
    this.at = 0; // between two frames while it moves
    root.hidden = true;
    this.button = make("button", root, "play", "▶");
    this.button.type = "button";
    this.button.onclick = () => (this.playing ? this.pause() : this.play());
    this.range = make("input", root);
    Object.assign(this.range, { type: "range", min: 0 });
    this.range.oninput = () => {
      this.pause();
      this.go(Number(this.range.value));
    };
    this.name = make("output", root);
    this.showPlaying();
  }

  update(data) {
    const { frames } = data;
    this.root.hidden = !frames;
    if (!frames) {
      this.places = this.frames = null;
      return;
    }
    const anew = !this.frames || this.frames.held !== frames.held;
    if (anew || this.frames.at !== frames.at) this.at = frames.at;
    this.frames = frames;
    this.range.max = frames.names.length - 1;
    this.range.step = frames.slides ? 0.01 : 1;
    this.range.setAttribute("aria-label", frames.slides ? "Between the two" : "Layer");
    if (anew) this.places = null;
    this.centres = frames.centres.map(floats);
    this.show();
    this.heard();
  }

  // The places have come, in a message of their own.
  heard() {
    if (!this.frames || this.places || !hub.held.has(this.frames.held)) return;
    this.places = hub.held.get(this.frames.held);
    this.chart.target = this.frame(Math.round(this.at));
    this.chart.box = this.chart.bounds();
    this.chart.ask();
  }

  frame(number) {
    const wide = 2 * this.chart.n;
    return this.places.subarray(number * wide, (number + 1) * wide);
  }

  show() {
    const { names, slides } = this.frames, near = Math.round(this.at);
    this.range.value = this.at;
    const words = slides && near !== this.at
      ? `${names[0]} → ${names[1]}, ${Math.round(100 * this.at)} %`
      : names[near];
    this.name.textContent = words;
    this.range.setAttribute("aria-valuetext", words);
  }

  showPlaying() {
    this.button.textContent = this.playing ? "❚❚" : "▶";
    this.button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
  }

  // Moves to a frame: by a morph, or at once where the hand slides.
  go(to, ms = MORPH) {
    if (!this.places) return;
    const { chart } = this, below = Math.floor(to), share = to - below;
    this.at = to;
    const between = (of) => {
      const from = of(below);
      return share ? blend(new Float32Array(from.length), from, of(below + 1), share) : from;
    };
    const centres = between((one) => this.centres[one] ?? new Float32Array(0));
    const slid = this.frames.slides && !this.playing;
    chart.moveTo(between((one) => this.frame(one)), centres, slid ? 0 : ms);
    this.show();
  }

  play() {
    if (!this.places) return;
    this.playing = true;
    const last = this.frames.names.length - 1;
    if (this.at >= last) this.go(0);
    this.next = performance.now() + MORPH + REST;
    this.showPlaying();
    this.chart.ask();
  }

  pause() {
    this.playing = false;
    this.showPlaying();
  }

  step(now) {
    if (!this.playing) return;
    if (now >= this.next) {
      this.go(Math.min(Math.floor(this.at) + 1, this.frames.names.length - 1));
      this.next = now + MORPH + REST;
      if (this.at >= this.frames.names.length - 1) this.pause();
    }
    this.chart.ask();
  }

  trails() {
    return [];
  }
}
