// How a map is drawn, with any pen that has the few strokes used here: a canvas, or SvgPen below.
// Colours and places come from outside; nothing is looked up on the page.

const OWN = "#E6007A";
const FADED = "rgba(150,150,150,0.22)";

// The marks of all items as pixels: 20,000 images are too slow for a canvas, their pixels are not.
class Stamps {
  constructor(colours, radius, ratio) {
    const wide = Math.ceil(2 * (radius + 2) * ratio);
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = wide;
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const pixels = () => pen.getImageData(0, 0, wide, wide).data;
    this.colours = [...colours, FADED].map((colour) => {
      pen.clearRect(0, 0, wide, wide);
      pen.fillStyle = colour;
      pen.fillRect(0, 0, wide, wide);
      const [red, green, blue, alpha] = pixels();
      return [red, green, blue, alpha * (colour === FADED ? 1 : 0.82)];
    });
    // Of each pole, the pixels that its mark covers: column, row, how much (to 255).
    this.masks = POLES.map((_, pole) => {
      pen.clearRect(0, 0, wide, wide);
      mark(pen, pole, wide / 2, wide / 2, radius * ratio, "black");
      const found = [];
      pixels().forEach((value, at) => {
        const place = at >> 2;
        if (at % 4 === 3 && value)
          found.push((place % wide) - (wide >> 1), Math.floor(place / wide) - (wide >> 1), value);
      });
      return Int32Array.from(found);
    });
    this.half = wide;
  }

  // Lays a mark over an opaque picture; x and y in its pixels.
  stamp({ data, width, height }, colour, pole, x, y) {
    const [red, green, blue, most] = this.colours[colour], mask = this.masks[pole];
    const left = Math.round(x), top = Math.round(y), { half } = this;
    const cut = left < half || top < half || left + half >= width || top + half >= height;
    for (let i = 0; i < mask.length; i += 3) {
      const px = left + mask[i], py = top + mask[i + 1];
      if (cut && (px < 0 || py < 0 || px >= width || py >= height)) continue;
      const at = 4 * (py * width + px), alpha = (mask[i + 2] * most) | 0; // to 255 squared
      data[at] += ((red - data[at]) * alpha) >> 16;
      data[at + 1] += ((green - data[at + 1]) * alpha) >> 16;
      data[at + 2] += ((blue - data[at + 2]) * alpha) >> 16;
    }
  }
}

function star(pen, x, y, r, ink) {
  pen.beginPath();
  for (let corner = 0; corner < 10; corner++) {
    const far = corner % 2 ? 0.45 * r : r, turn = (corner * TURN) / 10 - TURN / 4;
    pen[corner ? "lineTo" : "moveTo"](x + far * Math.cos(turn), y + far * Math.sin(turn));
  }
  pen.closePath();
  pen.fillStyle = OWN;
  pen.fill();
  pen.strokeStyle = ink;
  pen.lineWidth = 1;
  pen.stroke();
}

// Words with a halo of the ground's colour, legible among points.
function words(pen, text, x, y, look) {
  pen.lineWidth = 4;
  pen.strokeStyle = look.paper;
  pen.fillStyle = look.ink;
  pen.strokeText(text, x, y);
  pen.fillText(text, x, y);
}

function font(pen, size, look, weight = 400) {
  pen.font = `${weight} ${size}px ${look.family}`;
}

// --- the picture ---

// Round numbers for an axis, about five of them.
function ticks(low, high) {
  const raw = (high - low) / 5, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((one) => one * power >= raw) * power;
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high && found.length < 12; at++)
    found.push(at * step);
  const places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return found.map((one) => [one, (one + 0).toFixed(places).replace("-", "−")]);
}

function axes(pen, titles, view, look) {
  const { width, height } = view;
  const line = (x, y, toX, toY, alpha) => {
    pen.globalAlpha = alpha;
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(toX, toY);
    pen.stroke();
    pen.globalAlpha = 1;
  };
  pen.strokeStyle = pen.fillStyle = look.ink;
  pen.lineWidth = 1;
  font(pen, 11, look);
  pen.textBaseline = "alphabetic";
  for (const [value, text] of ticks(view.x(0), view.x(width))) {
    const at = view.sx(value);
    line(at, 0, at, height, value === 0 ? 0.5 : 0.1);
    pen.textAlign = "center";
    if (at > 40 && at < width - 20) pen.fillText(text, at, height - 24);
  }
  for (const [value, text] of ticks(view.y(height), view.y(0))) {
    const at = view.sy(value);
    line(0, at, width, at, value === 0 ? 0.5 : 0.1);
    pen.textAlign = "left";
    if (at > 14 && at < height - 44) pen.fillText(text, 24, at - 3);
  }
  font(pen, 12, look);
  pen.textAlign = "center";
  pen.fillText(titles[0], width / 2, height - 7);
  pen.save();
  pen.translate(15, height / 2);
  pen.rotate(-TURN / 4);
  pen.fillText(titles[1], 0, 0);
  pen.restore();
}

function polyline(pen, points, view) {
  pen.beginPath();
  for (let i = 0; i < points.length; i += 2)
    pen[i ? "lineTo" : "moveTo"](view.sx(points[i]), view.sy(points[i + 1]));
}

function arrow(pen, x, y, toX, toY, heads) {
  const long = Math.hypot(toX - x, toY - y);
  pen.moveTo(x, y);
  pen.lineTo(toX, toY);
  if (!heads || long < 4) return;
  const ux = (toX - x) / long, uy = (toY - y) / long, head = Math.min(7, 0.5 * long);
  pen.moveTo(toX - head * (ux + 0.5 * uy), toY - head * (uy - 0.5 * ux));
  pen.lineTo(toX, toY);
  pen.lineTo(toX - head * (ux - 0.5 * uy), toY - head * (uy + 0.5 * ux));
}

// What is drawn beneath the points.
function paintLines(pen, map) {
  const { lines, view, look } = map;
  for (const one of lines) {
    pen.setLineDash(one.dash);
    pen.strokeStyle = one.colour;
    pen.lineWidth = one.width;
    polyline(pen, one.points, view);
    pen.stroke();
    pen.setLineDash([]);
    if (!one.label || one.points.length < 4) continue;
    const middle = 2 * Math.floor(one.points.length / 4);
    font(pen, 11, look);
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    words(pen, one.label, view.sx(one.points[middle]), view.sy(one.points[middle + 1]), look);
  }
}

// What is drawn on top of the points.
function paintOver(pen, map) {
  const { arrows, view, look, places, marked, shown, own } = map;
  for (const one of arrows) {
    for (const grey of [true, false]) {
      pen.strokeStyle = grey ? FADED : one.colour || look.ink;
      pen.lineWidth = grey ? 0.75 : 1.25;
      pen.globalAlpha = grey ? 1 : 0.75;
      pen.beginPath();
      for (let i = 0; i < one.start.length / 2; i++) {
        const row = one.rows?.[i] ?? -1;
        if (row >= 0 && (!shown[row] || map.isLit(row) === grey)) continue;
        if (row < 0 && grey) continue;
        const ends = [2 * i, 2 * i + 1].flatMap((at) => [one.start[at], one.end[at]]);
        if (!ends.every(Number.isFinite)) continue;
        const [x, toX, y, toY] = ends;
        arrow(pen, view.sx(x), view.sy(y), view.sx(toX), view.sy(toY), one.heads);
      }
      pen.stroke();
    }
    pen.globalAlpha = 1;
  }
  pen.lineWidth = 1.25;
  pen.globalAlpha = 0.7;
  for (const one of map.trails) {
    pen.strokeStyle = one.colour;
    polyline(pen, one.points, view);
    pen.stroke();
  }
  pen.globalAlpha = 1;
  pen.strokeStyle = OWN;
  pen.lineWidth = 2;
  for (const row of marked) {
    const x = view.sx(places[2 * row]), y = view.sy(places[2 * row + 1]);
    if (!shown[row] || !(x === x && y === y)) continue;
    pen.beginPath();
    pen.arc(x, y, 8, 0, TURN);
    pen.stroke();
  }
  const [px, py] = [view.sx(places[2 * map.point]), view.sy(places[2 * map.point + 1])];
  if (map.point !== null && px === px && py === py) {
    for (const [colour, wide] of [[look.paper, 6], [OWN, 2.5]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = wide;
      pen.beginPath();
      pen.arc(px, py, 10, 0, TURN);
      pen.stroke();
    }
  }
  if (map.badge) {
    font(pen, 15, look, 600);
    pen.textAlign = "left";
    pen.textBaseline = "top";
    words(pen, map.badge, 12, 10, look);
  }
  if (!own) return;
  const x = view.sx(own[0]), y = view.sy(own[1]);
  star(pen, x, y, 10, look.paper);
  font(pen, 13, look, 600);
  pen.textAlign = "center";
  pen.textBaseline = "alphabetic";
  words(pen, "you", x, y - 14, look);
}

// An ellipse of half of a pole's members, as corners: x, y, then the matrix xx, xy, yy.
function ellipse(five) {
  const [x, y, xx, xy, yy] = five, a = Math.sqrt(xx), b = xy / a, c = Math.sqrt(yy - b * b);
  const corners = [];
  if (!(a > 0 && c > 0)) return corners;
  for (let step = 0; step <= 48; step++) {
    const u = Math.cos((step * TURN) / 48), v = Math.sin((step * TURN) / 48);
    corners.push(x + a * u, y + b * u + c * v);
  }
  return corners;
}

// The poles' names and ellipses; a name that would lie on another one steps aside.
function paintCentres(pen, map) {
  const { view, look, centres } = map, taken = [];
  for (const { five, colour, pole } of centres) {
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = 1.75;
    pen.setLineDash(pole ? [5, 4] : []);
    polyline(pen, ellipse(five), view);
    pen.globalAlpha = 0.02;
    pen.fill();
    pen.globalAlpha = 1;
    pen.stroke();
    pen.setLineDash([]);
  }
  font(pen, 13, look, 600);
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  for (const { five, name, colour, pole } of centres) {
    const x = view.sx(five[0]), y = view.sy(five[1]);
    if (!(x > 0 && x < view.width && y > 0 && y < view.height)) continue;
    const half = pen.measureText(name).width / 2 + 14;
    const [atX, atY] = aside(x, y, half, taken, view);
    taken.push([atX - half, atY - 9, atX + half, atY + 9]);
    if (Math.hypot(atX - x, atY - y) > 14) {
      pen.strokeStyle = look.ink;
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(atX, atY);
      pen.stroke();
    }
    words(pen, name, atX + 7, atY, look);
    mark(pen, pole, atX + 7 - half + 6, atY, 4.5, look.paper);
    mark(pen, pole, atX + 7 - half + 6, atY, 4, colour);
  }
}

// The nearest place at which a name covers no other and stays on the map.
function aside(x, y, half, taken, view) {
  let found = [x, y], best = Infinity;
  for (const far of [0, 20, 40, 60, 85])
    for (let way = 0; way < (far ? 12 : 1); way++) {
      const atX = x + 1.6 * far * Math.cos((way * TURN) / 12);
      const atY = y + far * Math.sin((way * TURN) / 12);
      let bad = far / 400;
      if (atX < half || atX > view.width - half || atY < 12 || atY > view.height - 12) bad += 5;
      for (const [left, top, right, bottom] of taken) {
        const wide = Math.min(right, atX + half) - Math.max(left, atX - half);
        const high = Math.min(bottom, atY + 9) - Math.max(top, atY - 9);
        if (wide > 0 && high > 0) bad += (wide * high) / (36 * half);
      }
      if (bad < best - 1e-9) (best = bad), (found = [atX, atY]);
      if (best <= far / 400) return found;
    }
  return found;
}

// Everything, from below; ``put`` sets the mark of one item, ``around`` is called with what sets all.
function paint(pen, map, put, around = (act) => act()) {
  if (map.titles) axes(pen, map.titles, map.view, map.look);
  paintLines(pen, map);
  const { view, places, shown } = map, { width, height } = view;
  around(() => {
    for (const grey of map.some ? [true, false] : [false])
      for (const row of map.order) {
        if (!shown[row] || (map.some && map.isLit(row) === grey)) continue;
        const x = view.sx(places[2 * row]), y = view.sy(places[2 * row + 1]);
        if (x > -9 && y > -9 && x < width + 9 && y < height + 9) put(row, x, y, grey);
      }
  });
  paintCentres(pen, map);
  paintOver(pen, map);
}
