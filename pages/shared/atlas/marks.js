// The marks of the poles, alike on every map.

const TURN = 2 * Math.PI;
const POLES = ["virtue", "vice", "neutral"];

// The outline of a pole's mark of some radius around (x, y): a disc, a cross, an open diamond.
function markPath(pen, pole, x, y, r) {
  pen.beginPath();
  if (pole === 0) pen.arc(x, y, r, 0, TURN);
  else if (pole === 1) {
    const arm = r * 0.85;
    pen.moveTo(x - arm, y - arm);
    pen.lineTo(x + arm, y + arm);
    pen.moveTo(x + arm, y - arm);
    pen.lineTo(x - arm, y + arm);
  } else {
    pen.moveTo(x, y - r);
    pen.lineTo(x + r, y);
    pen.lineTo(x, y + r);
    pen.lineTo(x - r, y);
    pen.closePath();
  }
}

function mark(pen, pole, x, y, r, colour) {
  pen.fillStyle = pen.strokeStyle = colour;
  pen.lineWidth = pole === 1 ? 0.55 * r : 0.4 * r;
  markPath(pen, pole, x, y, r);
  if (pole === 0) pen.fill();
  else pen.stroke();
}
