/** The outline of a piece of a label as a polygon along the sides of its pixels. */

import { flood } from "./flood.js";

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
