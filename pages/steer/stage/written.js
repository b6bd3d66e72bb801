// Texts on the map: a square for each, hollow where nothing was steered, and an arrow from plain to
// steered; smaller ones for their sentences, tied to the text they are of.
class Written {
  constructor(marks, sx, sy) {
    this.marks = marks.map((one) => ({ ...one, sx: sx(one.x), sy: sy(one.y) }));
  }

  draw(pen, ink, paper) {
    const whole = this.marks.filter((one) => !one.sentence);
    const inkOf = (one) => (one.written === "plain" ? ink : PUSH);
    for (const one of this.marks) {
      if (!one.sentence) continue;
      const of = whole.find((it) => it.sample === one.sample && it.written === one.written);
      if (of) this.tie(pen, of, one, inkOf(one));
      this.square(pen, one, 3, inkOf(one), paper);
    }
    for (const one of whole) {
      const to = whole.find((it) => it.sample === one.sample && it.written !== one.written);
      if (one.written === "plain" && to) arrow(pen, [one.sx, one.sy], [to.sx, to.sy], ink, paper);
    }
    for (const one of whole) this.square(pen, one, 5.5, inkOf(one), paper);
  }

  tie(pen, from, to, colour) {
    pen.strokeStyle = colour;
    pen.globalAlpha = 0.35;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(from.sx, from.sy);
    pen.lineTo(to.sx, to.sy);
    pen.stroke();
    pen.globalAlpha = 1;
  }

  square(pen, { sx, sy, written }, half, colour, paper) {
    pen.fillStyle = paper;
    pen.fillRect(sx - half - 2, sy - half - 2, 2 * half + 4, 2 * half + 4);
    pen.lineWidth = 2;
    pen.strokeStyle = pen.fillStyle = colour;
    if (written === "steered") pen.fillRect(sx - half, sy - half, 2 * half, 2 * half);
    else pen.strokeRect(sx - half + 1, sy - half + 1, 2 * half - 2, 2 * half - 2);
  }

  // What stands at a place, in words; nothing if nothing does.
  at(x, y) {
    let found = "", best = 81;
    for (const one of this.marks) {
      const far = (one.sx - x) ** 2 + (one.sy - y) ** 2;
      if (far >= best) continue;
      best = far;
      found = `${one.written}${one.sentence ? `, sentence ${one.sentence}` : " text"}: ${one.text}`;
    }
    return found;
  }
}

function arrow(pen, [x, y], [toX, toY], colour, paper) {
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
