/**
 * Repairs of one class of a label: fill its holes, smooth its outline, keep its largest piece.
 * Each works inside the class's bounding box and marks what it changes as drawn by hand.
 */

import { flood } from "./flood.js";

/**
 * @typedef {import("./label.js").LabelMask} LabelMask
 * @typedef {import("./label.js").Edit} Edit
 * @typedef {import("./label.js").Rect} Rect
 */

/**
 * @param {LabelMask} mask
 * @param {number} value class number
 * @returns {Rect | null} the bounding box of the class, null where it has no pixel
 */
export function boundingBox(mask, value) {
  const { labels, width, height } = mask;
  let x0 = width;
  let x1 = -1;
  let y0 = -1;
  let y1 = -1;
  for (let y = 0; y < height; y++) {
    const row = labels.subarray(y * width, (y + 1) * width);
    const first = row.indexOf(value);
    if (first < 0) continue;
    x0 = Math.min(x0, first);
    x1 = Math.max(x1, row.lastIndexOf(value));
    if (y0 < 0) y0 = y;
    y1 = y;
  }
  return y0 < 0 ? null : { x: x0, y: y0, width: x1 - x0 + 1, height: y1 - y0 + 1 };
}

/**
 * Background that no path of background pixels (up, down, left, right) joins to the outside becomes the class.
 * @param {Edit} edit
 * @param {number} value class number
 * @returns {number} pixels filled
 */
export function fillHoles(edit, value) {
  const { mask } = edit;
  const box = boundingBox(mask, value);
  if (!box) return 0;
  // One pixel of margin on every side, from which the outside is flooded.
  const width = box.width + 2;
  const height = box.height + 2;
  const state = new Uint8Array(width * height); // 1: the class, 2: outside
  for (let y = 0; y < box.height; y++) {
    const from = (box.y + y) * mask.width + box.x;
    for (let x = 0; x < box.width; x++) if (mask.labels[from + x] === value) state[(y + 1) * width + x + 1] = 1;
  }
  flood(state, width, 0, 2, new Int32Array(state.length));
  edit.touch(box);
  let filled = 0;
  for (let y = 1; y <= box.height; y++) {
    for (let x = 1; x <= box.width; x++) {
      if (state[y * width + x]) continue;
      const pixel = (box.y + y - 1) * mask.width + box.x + x - 1;
      if (mask.labels[pixel] !== 0) continue;
      edit.write(pixel, value);
      filled++;
    }
  }
  return filled;
}

/**
 * A pixel takes the class where most of the square of (2 radius + 1)^2 pixels around it, averaged twice, has it.
 * Outside the image the nearest pixel inside counts. Pixels of other classes stay.
 * @param {Edit} edit
 * @param {number} value class number
 * @param {number} radius pixels
 * @returns {number} pixels changed
 */
export function smooth(edit, value, radius) {
  const { mask } = edit;
  const box = boundingBox(mask, value);
  if (!box) return 0;
  const margin = 2 * radius + 1;
  const width = box.width + 2 * margin;
  const height = box.height + 2 * margin;
  let field = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const from = Math.min(mask.height - 1, Math.max(0, box.y + y - margin)) * mask.width;
    for (let x = 0; x < width; x++) {
      const column = Math.min(mask.width - 1, Math.max(0, box.x + x - margin));
      if (mask.labels[from + column] === value) field[y * width + x] = 1;
    }
  }
  for (let pass = 0; pass < 2; pass++) {
    field = averageDown(averageAcross(field, width, height, radius), width, height, radius);
  }
  edit.touch({ x: box.x - margin, y: box.y - margin, width, height });
  let changed = 0;
  for (let y = 0; y < height; y++) {
    const row = box.y + y - margin;
    if (row < 0 || row >= mask.height) continue;
    for (let x = 0; x < width; x++) {
      const column = box.x + x - margin;
      if (column < 0 || column >= mask.width) continue;
      const now = mask.labels[row * mask.width + column];
      const wanted = field[y * width + x] > 0.5 ? value : 0;
      if (now === wanted || (now !== 0 && now !== value)) continue;
      edit.write(row * mask.width + column, wanted);
      changed++;
    }
  }
  return changed;
}

/**
 * All pieces of the class but the largest become background (pixels that touch at a side are one piece).
 * @param {Edit} edit
 * @param {number} value class number
 * @returns {number} pieces removed
 */
export function keepLargest(edit, value) {
  const { mask } = edit;
  const box = boundingBox(mask, value);
  if (!box) return 0;
  const width = box.width + 2;
  const state = new Uint8Array(width * (box.height + 2)).fill(1);
  for (let y = 0; y < box.height; y++) {
    const from = (box.y + y) * mask.width + box.x;
    for (let x = 0; x < box.width; x++) if (mask.labels[from + x] === value) state[(y + 1) * width + x + 1] = 0;
  }
  const queue = new Int32Array(state.length);
  /** @type {Int32Array[]} */
  const pieces = [];
  for (let i = 0; i < state.length; i++) if (!state[i]) pieces.push(queue.slice(0, flood(state, width, i, 3, queue)));
  pieces.sort((first, second) => second.length - first.length);
  edit.touch(box);
  for (const piece of pieces.slice(1)) {
    for (const i of piece) edit.write((box.y + Math.floor(i / width) - 1) * mask.width + box.x + (i % width) - 1, 0);
  }
  return Math.max(0, pieces.length - 1);
}

/**
 * Running mean of 2 radius + 1 values along the rows, the ends repeated.
 * @param {Float32Array} field
 * @param {number} width
 * @param {number} height
 * @param {number} radius
 */
function averageAcross(field, width, height, radius) {
  const result = new Float32Array(field.length);
  const size = 2 * radius + 1;
  for (let y = 0; y < height; y++) {
    const start = y * width;
    const end = start + width - 1;
    let sum = field[start] * radius;
    for (let i = 0; i <= radius; i++) sum += field[Math.min(end, start + i)];
    for (let i = start; i <= end; i++) {
      result[i] = sum / size;
      sum += field[Math.min(end, i + radius + 1)] - field[Math.max(start, i - radius)];
    }
  }
  return result;
}

/**
 * The same along the columns, row by row: memory is read in its order.
 * @param {Float32Array} field
 * @param {number} width
 * @param {number} height
 * @param {number} radius
 */
function averageDown(field, width, height, radius) {
  const result = new Float32Array(field.length);
  const size = 2 * radius + 1;
  const sums = new Float32Array(width);
  const row = (/** @type {number} */ y) => Math.min(height - 1, Math.max(0, y)) * width;
  for (let y = -radius; y <= radius; y++) {
    const from = row(y);
    for (let x = 0; x < width; x++) sums[x] += field[from + x];
  }
  for (let y = 0; y < height; y++) {
    const to = y * width;
    const enters = row(y + radius + 1);
    const leaves = row(y - radius);
    for (let x = 0; x < width; x++) {
      result[to + x] = sums[x] / size;
      sums[x] += field[enters + x] - field[leaves + x];
    }
  }
  return result;
}
