/** The part of a label that a repair works on, as a copy that another thread may have, and its result: rows of pixels. */

/**
 * @typedef {import("./label.js").LabelMask} LabelMask
 * @typedef {import("./label.js").Rect} Rect
 * @typedef {Rect & {labels: Uint8Array, box: Rect}} Patch class numbers of a rectangle of the image, row by row; `box` is
 *   the bounding box of the class to be repaired, in the image's pixels
 * @typedef {Int32Array} Spans of four numbers each: y, x0, x1 and the class that pixels x0 <= x < x1 of the row take
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
 * @param {LabelMask} mask
 * @param {number} value class number
 * @param {number} [margin] pixels around the bounding box, as far as the image goes
 * @returns {Patch | null} null where the class has no pixel
 */
export function patchOf(mask, value, margin = 0) {
  const box = boundingBox(mask, value);
  if (!box) return null;
  const x = Math.max(0, box.x - margin);
  const y = Math.max(0, box.y - margin);
  const width = Math.min(mask.width, box.x + box.width + margin) - x;
  const height = Math.min(mask.height, box.y + box.height + margin) - y;
  const labels = new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    const from = (y + row) * mask.width + x;
    labels.set(mask.labels.subarray(from, from + width), row * width);
  }
  return { x, y, width, height, labels, box };
}

/**
 * Rows of the pixels of a patch that are to change.
 * @param {Patch} patch
 * @param {(pixel: number, now: number) => number} wanted the class that a pixel (y * width + x of the patch) takes
 * @returns {Spans}
 */
export function spansWhere(patch, wanted) {
  const { labels, width, height } = patch;
  const spans = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0, i = y * width; x < width; x++, i++) {
      const value = wanted(i, labels[i]);
      if (value === labels[i]) continue;
      const first = x;
      while (x + 1 < width && labels[i + 1] !== value && wanted(i + 1, labels[i + 1]) === value) {
        x++;
        i++;
      }
      spans.push(patch.y + y, patch.x + first, patch.x + x + 1, value);
    }
  }
  return Int32Array.from(spans);
}

/**
 * @param {import("./label.js").Edit} edit
 * @param {Spans} spans
 */
export function paintSpans(edit, spans) {
  for (let i = 0; i < spans.length; i += 4) edit.fillSpan(spans[i], spans[i + 1], spans[i + 2], spans[i + 3]);
}
