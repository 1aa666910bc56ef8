/**
 * Repairs of one class of a label: fill its holes, smooth its outline, keep its largest piece. Each gives the rows of
 * pixels that change; they count as drawn by hand.
 */

import { flood } from "./flood.js";
import { spansWhere } from "./patch.js";

/**
 * @typedef {import("./patch.js").Patch} Patch
 * @typedef {import("./patch.js").Spans} Spans
 */

/**
 * Background that no path of background pixels (up, down, left, right) joins to the outside becomes the class.
 * @param {Patch} patch the bounding box of the class
 * @param {number} value class number
 * @returns {Spans}
 */
export function fillHoles(patch, value) {
  const { width, height, labels } = patch;
  // One pixel of margin on every side, from which the outside is flooded.
  const across = width + 2;
  const state = new Uint8Array(across * (height + 2)); // 1: the class, 2: outside
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) if (labels[y * width + x] === value) state[(y + 1) * across + x + 1] = 1;
  }
  flood(state, across, 0, 2, new Int32Array(state.length));
  return spansWhere(patch, (pixel, now) => {
    const hole = now === 0 && state[(Math.floor(pixel / width) + 1) * across + (pixel % width) + 1] === 0;
    return hole ? value : now;
  });
}

/**
 * @param {number} radius of {@link smooth}, pixels
 * @returns {number} pixels that its patch must have around the bounding box, where the image has them
 */
export function smoothingMargin(radius) {
  return 2 * radius + 1;
}

/**
 * A pixel takes the class where most of the square of (2 radius + 1)^2 pixels around it, averaged twice, has it.
 * Outside the image the nearest pixel inside counts. Pixels of other classes stay.
 * @param {Patch} patch the bounding box with a margin of {@link smoothingMargin}
 * @param {number} value class number
 * @param {number} radius pixels
 * @returns {Spans}
 */
export function smooth(patch, value, radius) {
  const { box } = patch;
  const margin = smoothingMargin(radius);
  const width = box.width + 2 * margin;
  const height = box.height + 2 * margin;
  const left = patch.x - (box.x - margin); // columns of the field outside the image
  const above = patch.y - (box.y - margin);
  let field = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const from = Math.min(patch.height - 1, Math.max(0, y - above)) * patch.width;
    for (let x = 0; x < width; x++) {
      const column = Math.min(patch.width - 1, Math.max(0, x - left));
      if (patch.labels[from + column] === value) field[y * width + x] = 1;
    }
  }
  for (let pass = 0; pass < 2; pass++) {
    field = averageDown(averageAcross(field, width, height, radius), width, height, radius);
  }
  return spansWhere(patch, (pixel, now) => {
    if (now !== 0 && now !== value) return now;
    const row = Math.floor(pixel / patch.width);
    return field[(row + above) * width + pixel - row * patch.width + left] > 0.5 ? value : 0;
  });
}

/**
 * All pieces of the class but the largest become background (pixels that touch at a side are one piece).
 * @param {Patch} patch the bounding box of the class
 * @param {number} value class number
 * @returns {Spans}
 */
export function keepLargest(patch, value) {
  const { width, labels } = patch;
  const state = labels.map((label) => (label === value ? 0 : 1)); // 0: to be reached, 2: reached, 3: of the largest
  const queue = new Int32Array(state.length);
  let largest = -1;
  let most = 0;
  for (let i = state.indexOf(0); i >= 0; i = state.indexOf(0, i + 1)) {
    const size = flood(state, width, i, 2, queue);
    if (size > most) [largest, most] = [i, size];
  }
  if (largest < 0) return new Int32Array();
  for (let i = 0; i < state.length; i++) if (state[i] === 2) state[i] = 0;
  flood(state, width, largest, 3, queue);
  return spansWhere(patch, (pixel, now) => (now === value && state[pixel] !== 3 ? 0 : now));
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
