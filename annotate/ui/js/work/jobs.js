/** What takes long on a large image: done in the worker, so that the page goes on answering. */

import { outlinePolygon } from "../mask/contour.js";
import { fillHoles, keepLargest, smooth } from "../mask/morphology.js";
import { decodePng, encodePng } from "../mask/png.js";
import { encodeRuns } from "../mask/rle.js";

export const JOBS = {
  fillHoles,
  keepLargest,
  smooth,
  outlinePolygon,
  decodePng,
  encodePng,

  /**
   * @param {Uint8Array} labels
   * @param {number} width
   * @param {number} height
   * @param {number} value class number
   * @returns {Promise<Blob | null>} PNG that is 1 where the class is; null where it is nowhere
   */
  async encodeClass(labels, width, height, value) {
    if (!labels.includes(value)) return null;
    for (let i = 0; i < labels.length; i++) labels[i] = labels[i] === value ? 1 : 0;
    return encodePng(labels, width, height);
  },

  /** @param {ArrayBuffer} buffer PNG @returns {Promise<import("../mask/guidance.js").PackedPlane>} */
  async decodePacked(buffer) {
    const { width, height, data } = await decodePng(buffer);
    return { width, height, runs: encodeRuns(data) };
  },
};
