// A map as a file that says what it is: title, legend, frame, set, licence; PNG or SVG, one drawing.

const HEAD = 52, LINE = 17, MARGIN = 14; // pixels

const escaped = (text) =>
  String(text).replace(/[&<>"]/g, (one) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[one]);
const short = (number) => Number(number.toFixed(2));

// A pen that writes SVG: of a canvas's strokes, those that are used here.
class SvgPen {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.parts = [];
    this.path = "";
    this.dash = [];
    this.turns = [""];
    this.globalAlpha = 1;
    this.lineWidth = 1;
    this.measure = document.createElement("canvas").getContext("2d");
  }

  beginPath() { this.path = ""; }
  moveTo(x, y) { this.path += `M${short(x)} ${short(y)}`; }
  lineTo(x, y) { this.path += `${this.path ? "L" : "M"}${short(x)} ${short(y)}`; }
  closePath() { this.path += "Z"; }
  setLineDash(dash) { this.dash = dash; }
  save() { this.turns.push(this.turns.at(-1)); }
  restore() { this.turns.pop(); }
  translate(x, y) { this.turns.push(`${this.turns.pop()}translate(${short(x)} ${short(y)})`); }
  rotate(angle) { this.turns.push(`${this.turns.pop()}rotate(${short((360 * angle) / TURN)})`); }

  // Whole circles only.
  arc(x, y, r) {
    const [left, wide] = [short(x - r), short(2 * r)];
    this.path += `M${left} ${short(y)}a${short(r)} ${short(r)} 0 1 0 ${wide} 0` +
      `a${short(r)} ${short(r)} 0 1 0 ${-wide} 0Z`;
  }

  rect(x, y, wide, high) {
    this.path += `M${short(x)} ${short(y)}h${short(wide)}v${short(high)}h${short(-wide)}Z`;
  }

  turn() { return this.turns.at(-1) ? ` transform="${this.turns.at(-1)}"` : ""; }
  alpha() { return this.globalAlpha < 1 ? ` opacity="${this.globalAlpha}"` : ""; }

  fill() {
    this.parts.push(`<path d="${this.path}" fill="${escaped(this.fillStyle)}"${this.alpha()}${this.turn()}/>`);
  }

  line() {
    const dash = this.dash.length ? ` stroke-dasharray="${this.dash.join(" ")}"` : "";
    return `stroke="${escaped(this.strokeStyle)}" stroke-width="${short(this.lineWidth)}"${dash}`;
  }

  stroke() {
    this.parts.push(`<path d="${this.path}" fill="none" ${this.line()} stroke-linecap="round" ` +
      `stroke-linejoin="round"${this.alpha()}${this.turn()}/>`);
  }

  text(words, x, y, look) {
    const anchor = { left: "start", center: "middle", right: "end" }[this.textAlign];
    const base = this.textBaseline === "middle" ? ` dominant-baseline="central"` : "";
    this.parts.push(`<text x="${short(x)}" y="${short(y)}" style="font:${escaped(this.font)}" ` +
      `textLength="${short(this.measureText(words).width)}" lengthAdjust="spacingAndGlyphs" ` +
      `text-anchor="${anchor}"${base} ${look}${this.alpha()}${this.turn()}>${escaped(words)}</text>`);
  }

  fillText(words, x, y) { this.text(words, x, y, `fill="${escaped(this.fillStyle)}"`); }
  strokeText(words, x, y) { this.text(words, x, y, `fill="none" stroke-linejoin="round" ${this.line()}`); }

  measureText(words) {
    this.measure.font = this.font;
    return this.measure.measureText(words);
  }

  open(x, y, wide, high) {
    this.parts.push(`<svg x="${short(x)}" y="${short(y)}" width="${short(wide)}" height="${short(high)}">`);
  }

  close() { this.parts.push("</svg>"); }

  file(title) {
    const size = `width="${this.width}" height="${this.height}"`;
    return `<svg xmlns="http://www.w3.org/2000/svg" ${size} viewBox="0 0 ${this.width} ${this.height}">` +
      `<title>${escaped(title)}</title>${this.parts.join("")}</svg>`;
  }
}

// Words in as many lines as they need; returns how many.
function lines(pen, text, x, y, wide, draw = true) {
  let line = "", count = 0;
  const end = () => {
    if (draw) pen.fillText(line, x, y + count * LINE);
    count++;
  };
  for (const word of text.split(" ")) {
    const longer = line ? `${line} ${word}` : word;
    if (line && pen.measureText(longer).width > wide) {
      end();
      line = word;
    } else line = longer;
  }
  end();
  return count;
}

// The legend in rows; returns how high it is.
function drawLegend(pen, data, look, x, y, wide, draw = true) {
  const { names, poles, scale, title } = data.legend;
  let left = x, top = y;
  font(pen, 12.5, look);
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  const entry = (text, sign) => {
    const long = pen.measureText(text).width + 30;
    if (left > x && left + long > x + wide) (left = x), (top += LINE + 2);
    if (draw) {
      sign(left + 6, top);
      pen.fillStyle = look.ink;
      pen.fillText(text, left + 15, top);
    }
    left += long;
  };
  if (scale) {
    const [low, high] = scale.span.map((one) => String(Number(one.toPrecision(3))));
    entry(`${title}: ${low}`, () => {});
    scale.steps.forEach((colour, step) => {
      pen.fillStyle = colour;
      pen.beginPath();
      pen.rect(left - 8 + 2 * step, top - 5, 2.3, 10);
      if (draw) pen.fill();
    });
    left += 2 * scale.steps.length - 14;
    entry(high, () => {});
  }
  for (const [name, colour] of names)
    entry(name.replace("-", " – "), (sx, sy) => mark(pen, 0, sx, sy, 4.5, colour));
  poles.forEach(([name, colour], pole) =>
    entry(name, (sx, sy) => mark(pen, pole, sx, sy, 4.5, colour || look.ink)));
  return top + LINE - y;
}

// Everything with a pen; its height is asked first, with a pen that only measures.
function drawFile(pen, chart, wide, high, draw = true) {
  const { data, player } = chart, look = chart.look(), inner = wide - 2 * MARGIN;
  const frame = player.frames && player.where(Math.round(player.at));
  const shown = frame && player.at !== player.frames.at ? ` · shown: ${frame}` : "";
  const legend = drawLegend(pen, data, look, MARGIN, HEAD + high + 18, inner, false);
  const foot = HEAD + high + 20 + legend;
  font(pen, 11.5, look);
  const rows = lines(pen, data.source, MARGIN, 0, inner, false);
  const height = foot + rows * LINE + 8;
  if (!draw) return height;
  pen.fillStyle = look.paper;
  pen.beginPath();
  pen.rect(0, 0, wide, height);
  pen.fill();
  pen.fillStyle = look.ink;
  pen.textAlign = "left";
  pen.textBaseline = "alphabetic";
  font(pen, 16, look, 600);
  pen.fillText(data.title, MARGIN, 24);
  font(pen, 12.5, look);
  pen.fillText(data.subtitle + shown, MARGIN, 43);
  font(pen, 11.5, look);
  lines(pen, data.source, MARGIN, foot + 12, inner);
  drawLegend(pen, data, look, MARGIN, HEAD + high + 18, inner);
  pen.open(0, HEAD, wide, high);
  const map = chart.map(wide, high), radius = chart.radius();
  paint(pen, map, (row, x, y, faded) => {
    pen.globalAlpha = faded ? 1 : 0.82;
    mark(pen, chart.pole[row], x, y, radius, faded ? FADED : data.colours[chart.category[row]]);
    pen.globalAlpha = 1;
  });
  pen.close();
  return height;
}

function saveMap(chart, kind) {
  const wide = chart.base.clientWidth, high = chart.base.clientHeight;
  const measure = new SvgPen(wide, 0), height = Math.ceil(drawFile(measure, chart, wide, high, false));
  const save = (blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${chart.data.file}.${kind}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  if (kind === "svg") {
    const pen = new SvgPen(wide, height);
    drawFile(pen, chart, wide, high);
    save(new Blob([pen.file(chart.data.title)], { type: "image/svg+xml" }));
    return;
  }
  const canvas = document.createElement("canvas"), ratio = 3; // of the screen's resolution
  canvas.width = wide * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.lineCap = pen.lineJoin = "round";
  pen.open = (x, y, w, h) => {
    pen.save();
    pen.translate(x, y);
    pen.beginPath();
    pen.rect(0, 0, w, h);
    pen.clip();
  };
  pen.close = () => pen.restore();
  drawFile(pen, chart, wide, high);
  canvas.toBlob(save);
}
