/**
 * Shapes as rows of pixels. A pixel (x, y) covers the square from (x, y) to (x + 1, y + 1) and belongs to a shape that
 * holds its centre. Every function calls `emit(y, x0, x1)` for the pixels x0 <= x < x1 of a row, inside the image or not.
 *
 * @typedef {(y: number, x0: number, x1: number) => void} Emit
 * @typedef {[number, number]} Point
 */

/**
 * A stroke of a round brush from one point to another, its radius changing evenly between them (pen pressure): the two
 * discs and what lies between them.
 * @param {Point} from
 * @param {Point} to
 * @param {number} fromRadius pixels
 * @param {number} toRadius pixels
 * @param {Emit} emit
 */
export function strokeSpans(from, to, fromRadius, toRadius, emit) {
  const widest = Math.max(fromRadius, toRadius, 0.5);
  const top = Math.floor(Math.min(from[1], to[1]) - widest);
  const bottom = Math.ceil(Math.max(from[1], to[1]) + widest);
  const length = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
  const [nx, ny] = [(from[1] - to[1]) / length, (to[0] - from[0]) / length]; // across the stroke
  /** @type {Point[]} */
  const between = [
    [from[0] + nx * fromRadius, from[1] + ny * fromRadius],
    [to[0] + nx * toRadius, to[1] + ny * toRadius],
    [to[0] - nx * toRadius, to[1] - ny * toRadius],
    [from[0] - nx * fromRadius, from[1] - ny * fromRadius],
  ];
  const left = new Float64Array(bottom - top + 1).fill(Infinity);
  const right = new Float64Array(bottom - top + 1).fill(-Infinity);
  const reach = (/** @type {number} */ row, /** @type {number} */ x0, /** @type {number} */ x1) => {
    left[row] = Math.min(left[row], x0);
    right[row] = Math.max(right[row], x1);
  };
  for (let row = 0; row < left.length; row++) {
    const y = top + row + 0.5;
    for (const [[cx, cy], radius] of /** @type {[Point, number][]} */ ([
      [from, fromRadius],
      [to, toRadius],
    ])) {
      const half = radius * radius - (y - cy) * (y - cy);
      if (half >= 0) reach(row, cx - Math.sqrt(half), cx + Math.sqrt(half));
    }
    between.forEach(([xa, ya], i) => {
      const [xb, yb] = between[(i + 1) % 4];
      if ((ya <= y && y <= yb) || (yb <= y && y <= ya)) {
        const x = ya === yb ? xa : xa + ((y - ya) / (yb - ya)) * (xb - xa);
        reach(row, x, x);
      }
    });
  }
  if (widest <= 0.75) {
    // A brush of one pixel always marks the pixel it stands on, and leaves no gap.
    const steps = Math.ceil(2 * length);
    for (let step = 0; step <= steps; step++) {
      const x = Math.floor(from[0] + ((to[0] - from[0]) * step) / steps) + 0.5;
      reach(Math.floor(from[1] + ((to[1] - from[1]) * step) / steps) - top, x, x);
    }
  }
  for (let row = 0; row < left.length; row++) {
    const x0 = Math.ceil(left[row] - 0.5);
    const x1 = Math.floor(right[row] - 0.5) + 1;
    if (x0 < x1) emit(top + row, x0, x1);
  }
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
  top = Math.floor(top);
  /** Where sides cross the middle of each row. @type {number[][]} */
  const rows = Array.from({ length: Math.ceil(bottom) - top + 1 }, () => []);
  points.forEach(([xa, ya], i) => {
    const [xb, yb] = points[(i + 1) % points.length];
    const low = Math.min(ya, yb);
    const high = Math.max(ya, yb);
    // Rows whose middle y fulfils low <= y < high.
    for (let row = Math.ceil(low - 0.5); row + 0.5 < high; row++)
      rows[row - top].push(xa + ((row + 0.5 - ya) / (yb - ya)) * (xb - xa));
  });
  rows.forEach((crossings, row) => {
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const x0 = Math.ceil(crossings[i] - 0.5);
      const x1 = Math.ceil(crossings[i + 1] - 0.5);
      if (x0 < x1) emit(top + row, x0, x1);
    }
  });
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
