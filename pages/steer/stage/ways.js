// Where the points lie under some strengths, as core has worked it out: no drawing here.
class Ways {
  constructor(data) {
    this.data = data;
    this.n = data.x.length;
    this.px = new Float64Array(this.n);
    this.py = new Float64Array(this.n);
    this.plain = this.bounds(data.x, data.y);
    const [left, low, right, high] = this.plain.box;
    this.span = Math.max(right - left, high - low); // a map width
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

  // Places under some doses, as core has them; returns their bounds and middle.
  place(doses) {
    if (this.data.paths) return this.follow(this.lengths(doses));
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

  // How far each row of the paths goes: [x, y, x, y, …], straight between the knots.
  lengths(doses) {
    const { knots, ways } = this.data.paths, q = knots.length, m = ways.length / (2 * q * doses.length);
    const moved = new Float64Array(2 * m);
    doses.forEach((dose, axis) => {
      if (!dose) return;
      const [below, part] = between(knots, dose), at = 2 * m * (q * axis + below);
      for (let j = 0; j < 2 * m; j++) {
        const near = ways[at + j] ?? NaN, far = ways[at + 2 * m + j] ?? NaN;
        moved[j] += near + part * (far - near);
      }
    });
    return moved;
  }

  // The mean of the ways that there are.
  mean(moved) {
    let dx = 0, dy = 0, count = 0;
    for (let j = 0; j < moved.length; j += 2) {
      if (moved[j] !== moved[j] || moved[j + 1] !== moved[j + 1]) continue;
      dx += moved[j], dy += moved[j + 1], count++;
    }
    return [dx / (count || 1), dy / (count || 1)];
  }

  // Rows go their own way, all others the mean of these; so does what is called their middle.
  follow(moved, rows = this.data.paths.rows ?? this.data.x.map((_, i) => i)) {
    const { x, y } = this.data, [dx, dy] = this.mean(moved);
    for (let i = 0; i < this.n; i++) {
      this.px[i] = x[i] === null ? NaN : x[i] + dx;
      this.py[i] = y[i] === null ? NaN : y[i] + dy;
    }
    rows.forEach((row, j) => {
      this.px[row] = x[row] === null ? NaN : x[row] + moved[2 * j];
      this.py[row] = y[row] === null ? NaN : y[row] + moved[2 * j + 1];
    });
    const { box } = this.bounds(this.px, this.py);
    return { box, x: this.plain.x + dx, y: this.plain.y + dy };
  }

  // On the way from the preview to where the points really lie; a part is 1 when one is there.
  settle(doses, found, parts) {
    const { x, y } = this.data, rows = found.rows ?? x.map((_, i) => i);
    const own = this.lengths(doses), rest = this.mean(own);
    const moved = new Float64Array(2 * rows.length);
    rows.forEach((row, j) => {
      [found.x[j] - x[row], found.y[j] - y[row]].forEach((way, axis) => {
        const before = 2 * j < own.length ? own[2 * j + axis] : rest[axis];
        moved[2 * j + axis] = before + parts[j] * ((found.x[j] === null ? NaN : way) - before);
      });
    });
    return this.follow(moved, rows);
  }

  // How long the sum of all pushes is, in residual norms.
  length(doses) {
    const { gram } = this.data, k = doses.length;
    let square = 0;
    for (let j = 0; j < k; j++)
      for (let l = 0; l < k; l++) square += doses[j] * doses[l] * gram[j * k + l];
    return Math.sqrt(Math.max(square, 0));
  }

  // Where equally long pushes in control directions take the middle: [x, y] of each.
  tips(length) {
    const { lengths, ways } = this.data.fan, m = lengths.length, tips = [];
    const [below, part] = between(lengths, length);
    for (let at = 2 * below; at < ways.length; at += 2 * m) {
      const step = (j) => ways[at + j] + part * (ways[at + 2 + j] - ways[at + j]);
      tips.push([step(0), step(1)]);
    }
    return tips;
  }
}

// The knot below a value, and how far it is on the way to the next; straight on beyond the ends.
function between(knots, at) {
  let below = 0;
  while (below < knots.length - 2 && knots[below + 1] <= at) below++;
  return [below, (at - knots[below]) / (knots[below + 1] - knots[below])];
}

function quantile(sorted, share) {
  const at = share * (sorted.length - 1), low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}
