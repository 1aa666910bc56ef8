/** The outline of a piece of a label as a polygon along the sides of its pixels. */

import { flood } from "./flood.js";
import { polygonSpans, simplify } from "./raster.js";

/**
 * Follow the outer outline of the piece that holds a pixel, the piece on the right hand.
 * Filling the polygon gives the piece back exactly, its holes filled.
 * @param {Uint8Array} labels row by row
 * @param {number} width
 * @param {number} height
 * @param {number} x a pixel of the piece
 * @param {number} y
 * @returns {[number, number][]} corners, in order
 */
export function traceContour(labels, width, height, x, y) {
  const value = labels[y * width + x];
  const state = new Uint8Array(labels.length);
  for (let i = 0; i < labels.length; i++) if (labels[i] !== value) state[i] = 1;
  flood(state, width, y * width + x, 2, new Int32Array(labels.length));
  const inside = (/** @type {number} */ px, /** @type {number} */ py) =>
    px >= 0 && py >= 0 && px < width && py < height && state[py * width + px] === 2;
  const first = state.indexOf(2); // row by row the first pixel: its upper side is on the outline
  const startX = first % width;
  const startY = Math.floor(first / width);
  const steps = [
    [1, 0],
    [0, 1],
    [-1, 0],
    [0, -1],
  ]; // right, down, left, up
  // Of a corner (cx, cy), the pixels ahead on the left hand and ahead on the right hand, for each direction.
  const ahead = [
    [
      [0, -1],
      [0, 0],
    ],
    [
      [0, 0],
      [-1, 0],
    ],
    [
      [-1, 0],
      [-1, -1],
    ],
    [
      [-1, -1],
      [0, -1],
    ],
  ];
  /** @type {[number, number][]} */
  const corners = [[startX, startY]];
  let cx = startX + 1;
  let cy = startY;
  let direction = 0;
  while (cx !== startX || cy !== startY) {
    const [left, right] = ahead[direction];
    let turn = 0;
    if (!inside(cx + right[0], cy + right[1])) turn = 1;
    else if (inside(cx + left[0], cy + left[1])) turn = 3;
    if (turn) {
      corners.push([cx, cy]);
      direction = (direction + turn) % 4;
    }
    cx += steps[direction][0];
    cy += steps[direction][1];
  }
  return corners;
}

/**
 * The piece of a label at a place as a polygon with few points, and the rows of the piece, which go from the label then:
 * holes inside it that are of another class stay.
 * @param {import("./patch.js").Patch} patch the bounding box of the class
 * @param {number} value class number
 * @param {number} x a pixel of the piece, in the image
 * @param {number} y
 * @param {number} tolerance pixels by which the polygon may leave the outline
 * @returns {{points: [number, number][], spans: import("./patch.js").Spans}}
 */
export function outlinePolygon(patch, value, x, y, tolerance) {
  const { labels, width, height } = patch;
  const corners = traceContour(labels, width, height, x - patch.x, y - patch.y);
  /** @type {number[]} */
  const spans = [];
  polygonSpans(corners, (row, x0, x1) => {
    for (let column = x0; column < x1; column++) {
      if (labels[row * width + column] !== value) continue;
      const first = column;
      while (column < x1 && labels[row * width + column] === value) column++;
      spans.push(patch.y + row, patch.x + first, patch.x + column, 0);
    }
  });
  const closed = simplify([...corners, corners[0]], tolerance);
  const points = closed.slice(0, -1).map(([px, py]) => /** @type {[number, number]} */ ([px + patch.x, py + patch.y]));
  return { points, spans: Int32Array.from(spans) };
}
