/**
 * Shapes as rows of pixels. A pixel (x, y) covers the square from (x, y) to (x + 1, y + 1) and belongs to a shape that
 * holds its centre. Every function calls `emit(y, x0, x1)` for the pixels x0 <= x < x1 of a row, inside the image or not.
 *
 * @typedef {(y: number, x0: number, x1: number) => void} Emit
 * @typedef {[number, number]} Point
 */

/**
 * A stroke of a round brush from one point to another, its radius changing evenly between them (pen pressure).
 * @param {Point} from
 * @param {Point} to
 * @param {number} fromRadius pixels
 * @param {number} toRadius pixels
 * @param {Emit} emit
 */
export function strokeSpans(from, to, fromRadius, toRadius, emit) {
  const length = Math.hypot(to[0] - from[0], to[1] - from[1]);
  const widest = Math.max(fromRadius, toRadius, 0.5);
  const y0 = Math.floor(Math.min(from[1], to[1]) - widest);
  const y1 = Math.ceil(Math.max(from[1], to[1]) + widest);
  const steps = Math.max(1, Math.ceil(length / Math.max(0.5, Math.min(fromRadius, toRadius) / 4)));
  const left = new Float64Array(y1 - y0 + 1).fill(Infinity);
  const right = new Float64Array(y1 - y0 + 1).fill(-Infinity);
  for (let step = 0; step <= steps; step++) {
    const t = step / steps;
    const x = from[0] + (to[0] - from[0]) * t;
    const y = from[1] + (to[1] - from[1]) * t;
    const radius = Math.max(0.5, fromRadius + (toRadius - fromRadius) * t);
    for (let row = Math.floor(y - radius); row <= y + radius; row++) {
      const dy = row + 0.5 - y;
      const half = radius * radius - dy * dy;
      if (half < 0) continue;
      const reach = Math.sqrt(half);
      const x0 = Math.ceil(x - reach - 0.5);
      const x1 = Math.floor(x + reach - 0.5) + 1;
      if (x1 <= x0) continue;
      left[row - y0] = Math.min(left[row - y0], x0);
      right[row - y0] = Math.max(right[row - y0], x1);
    }
  }
  if (fromRadius <= 0.75 && toRadius <= 0.75) {
    // A brush of one pixel always marks the pixel it stands on.
    for (let step = 0; step <= steps; step++) {
      const x = Math.floor(from[0] + ((to[0] - from[0]) * step) / steps);
      const row = Math.floor(from[1] + ((to[1] - from[1]) * step) / steps) - y0;
      left[row] = Math.min(left[row], x);
      right[row] = Math.max(right[row], x + 1);
    }
  }
  for (let row = 0; row < left.length; row++) if (left[row] < right[row]) emit(y0 + row, left[row], right[row]);
}

/**
 * The inside of a polygon by the even-odd rule.
 * @param {Point[]} points at least three
 * @param {Emit} emit
 */
export function polygonSpans(points, emit) {
  let top = Infinity;
  let bottom = -Infinity;
  for (const [, y] of points) {
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  for (let row = Math.floor(top); row <= Math.ceil(bottom); row++) {
    const y = row + 0.5;
    const crossings = [];
    for (let i = 0; i < points.length; i++) {
      const [xa, ya] = points[i];
      const [xb, yb] = points[(i + 1) % points.length];
      if (ya <= y !== yb <= y) crossings.push(xa + ((y - ya) / (yb - ya)) * (xb - xa));
    }
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const x0 = Math.ceil(crossings[i] - 0.5);
      const x1 = Math.ceil(crossings[i + 1] - 0.5);
      if (x0 < x1) emit(row, x0, x1);
    }
  }
}

/**
 * @param {[number, number, number, number]} box x0, y0, x1, y1
 * @param {Emit} emit
 */
export function boxSpans([xa, ya, xb, yb], emit) {
  const x0 = Math.round(Math.min(xa, xb));
  const x1 = Math.round(Math.max(xa, xb));
  for (let y = Math.round(Math.min(ya, yb)); y < Math.round(Math.max(ya, yb)); y++) if (x0 < x1) emit(y, x0, x1);
}

/**
 * Fewer points for the same line: those nearer than `tolerance` to the line without them go (Douglas and Peucker, 1973).
 * @param {Point[]} points
 * @param {number} tolerance pixels
 * @returns {Point[]}
 */
export function simplify(points, tolerance) {
  if (points.length < 3) return points.slice();
  const keep = new Uint8Array(points.length);
  keep[0] = keep[points.length - 1] = 1;
  const stack = [[0, points.length - 1]];
  while (stack.length) {
    const [first, last] = /** @type {[number, number]} */ (stack.pop());
    let worst = tolerance;
    let split = -1;
    for (let i = first + 1; i < last; i++) {
      const distance = distanceToSegment(points[i], points[first], points[last]);
      if (distance > worst) {
        worst = distance;
        split = i;
      }
    }
    if (split < 0) continue;
    keep[split] = 1;
    stack.push([first, split], [split, last]);
  }
  return points.filter((_, i) => keep[i]);
}

/**
 * @param {Point} point
 * @param {Point} from
 * @param {Point} to
 * @returns {number} pixels
 */
export function distanceToSegment(point, from, to) {
  const dx = to[0] - from[0];
  const dy = to[1] - from[1];
  const length = dx * dx + dy * dy;
  const t = length ? Math.max(0, Math.min(1, ((point[0] - from[0]) * dx + (point[1] - from[1]) * dy) / length)) : 0;
  return Math.hypot(point[0] - from[0] - t * dx, point[1] - from[1] - t * dy);
}
