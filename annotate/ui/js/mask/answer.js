/** The model's answers put into a label; pixels drawn by hand stay as they are. */

/**
 * @typedef {import("./label.js").Edit} Edit
 * @typedef {{width: number, height: number, data: Uint8Array}} Plane one byte a pixel, of the image's size or smaller
 */

/** The threshold, in percent, at which the server's own mask is taken as it is. */
export const DEFAULT_THRESHOLD = 50;

/**
 * Each pixel not drawn by hand takes the class of the model's mask.
 * @param {Edit} edit
 * @param {Plane} plane class numbers; with `only`, 0 and 1
 * @param {number | null} [only] the class the mask speaks of; pixels of other classes then stay where it is 0
 */
export function applyMask(edit, plane, only = null) {
  const { mask } = edit;
  const columns = nearest(mask.width, plane.width);
  const rows = nearest(mask.height, plane.height);
  const same = plane.width === mask.width && plane.height === mask.height;
  for (let index = 0; index < mask.columns * mask.rows; index++) {
    const { x, y, width, height } = mask.tileRect(index);
    let touched = false;
    for (let row = y; row < y + height; row++) {
      const from = rows[row] * plane.width;
      const start = same ? firstChange(edit.mask, plane, row * mask.width + x, width, only) : 0;
      for (let column = x + start, i = row * mask.width + x + start; column < x + width; column++, i++) {
        const found = plane.data[from + columns[column]];
        const now = mask.labels[i];
        const value = only === null ? found : found ? only : now === only ? 0 : now;
        if (mask.hand[i] || now === value) continue;
        if (!touched) {
          touched = true;
          edit.touch({ x, y, width, height });
        }
        mask.labels[i] = value;
      }
    }
  }
}

/**
 * @param {import("./label.js").LabelMask} mask
 * @param {Plane} plane of the image's size
 * @param {number} start pixel
 * @param {number} count of pixels
 * @param {number | null} only
 * @returns {number} how many of them the answer leaves as they are, up to the first that it does not
 */
function firstChange({ labels }, { data }, start, count, only) {
  let i = start;
  const end = start + count;
  if (only === null) while (i < end && data[i] === labels[i]) i++;
  else while (i < end && (data[i] ? labels[i] === only : labels[i] !== only)) i++;
  return i - start;
}

/**
 * Each pixel not drawn by hand is of the class where its probability reaches the threshold; where it does not, the class
 * is taken away and other classes stay. A plane smaller than the image is interpolated linearly.
 * @param {Edit} edit
 * @param {Plane} plane probability, 0 to 255
 * @param {number} percent threshold
 * @param {number} value class number
 */
export function applyThreshold(edit, plane, percent, value) {
  const { mask } = edit;
  const threshold = Math.max(1, Math.round((percent / 100) * 255));
  const across = linear(mask.width, plane.width);
  const down = linear(mask.height, plane.height);
  for (let index = 0; index < mask.columns * mask.rows; index++) {
    const { x, y, width, height } = mask.tileRect(index);
    const side = oneSide(plane, threshold, across, down, { x, y, width, height });
    let touched = false;
    for (let row = y; row < y + height; row++) {
      const above = down.first[row] * plane.width;
      const below = down.second[row] * plane.width;
      const wy = down.weight[row];
      const first = row * mask.width + x;
      if (side === false && !mask.labels.subarray(first, first + width).includes(value)) continue;
      for (let column = x, i = row * mask.width + x; column < x + width; column++, i++) {
        if (mask.hand[i]) continue;
        let inside = side;
        if (inside === null) {
          const left = across.first[column];
          const right = across.second[column];
          const wx = across.weight[column];
          const upper = plane.data[above + left] * (1 - wx) + plane.data[above + right] * wx;
          const lower = plane.data[below + left] * (1 - wx) + plane.data[below + right] * wx;
          inside = upper * (1 - wy) + lower * wy >= threshold - 1e-6;
        }
        if (inside ? mask.labels[i] === value : mask.labels[i] !== value) continue;
        if (!touched) {
          touched = true;
          edit.touch({ x, y, width, height });
        }
        mask.labels[i] = inside ? value : 0;
      }
    }
  }
}

/**
 * @param {Plane} plane
 * @param {number} threshold 1 to 255
 * @param {ReturnType<typeof linear>} across
 * @param {ReturnType<typeof linear>} down
 * @param {import("./label.js").Rect} tile
 * @returns {boolean | null} whether all of a tile reaches the threshold, or nothing of it; null where its pixels differ
 */
function oneSide(plane, threshold, across, down, { x, y, width, height }) {
  const x0 = across.first[x];
  const x1 = across.second[x + width - 1];
  const side = plane.data[down.first[y] * plane.width + x0] >= threshold;
  for (let row = down.first[y]; row <= down.second[y + height - 1]; row++) {
    for (let i = row * plane.width + x0; i <= row * plane.width + x1; i++)
      if (plane.data[i] >= threshold !== side) return null;
  }
  return side;
}

/**
 * Every click holds where no hand drew: where its own pixel is wrong, a disc around it becomes of the class, or background.
 * @param {Edit} edit
 * @param {{x: number, y: number, positive: boolean, value: number}[]} clicks in order
 * @param {number} radius pixels
 */
export function applyClicks(edit, clicks, radius) {
  const { mask } = edit;
  for (const click of clicks) {
    const own = Math.floor(click.y) * mask.width + Math.floor(click.x);
    if (mask.hand[own] || (mask.labels[own] === click.value) === click.positive) continue;
    const rect = edit.touch(around(click, radius));
    if (!rect) continue;
    for (let y = rect.y; y < rect.y + rect.height; y++) {
      for (let x = rect.x; x < rect.x + rect.width; x++) {
        const i = y * mask.width + x;
        if (mask.hand[i] || Math.hypot(x + 0.5 - click.x, y + 0.5 - click.y) > radius) continue;
        if (click.positive) mask.labels[i] = click.value;
        else if (mask.labels[i] === click.value) mask.labels[i] = 0;
      }
    }
  }
}

/**
 * A new click where a hand drew the opposite: the click is the later word, so its disc changes and stays drawn by hand.
 * @param {Edit} edit
 * @param {{x: number, y: number, positive: boolean, value: number}} click
 * @param {number} radius pixels
 * @returns {boolean} whether anything was changed
 */
export function overruleHand(edit, click, radius) {
  const { mask } = edit;
  const i = Math.floor(click.y) * mask.width + Math.floor(click.x);
  if (!mask.hand[i] || (mask.labels[i] === click.value) === click.positive) return false;
  const rect = edit.touch(around(click, radius));
  if (!rect) return false;
  for (let y = rect.y; y < rect.y + rect.height; y++) {
    for (let x = rect.x; x < rect.x + rect.width; x++) {
      if (Math.hypot(x + 0.5 - click.x, y + 0.5 - click.y) > radius) continue;
      mask.labels[y * mask.width + x] = click.positive ? click.value : 0;
      mask.hand[y * mask.width + x] = 1;
    }
  }
  return true;
}

/**
 * Give the pixels drawn by hand back to the model.
 * @param {Edit} edit
 */
export function releaseHand(edit) {
  const { mask } = edit;
  for (let index = 0; index < mask.columns * mask.rows; index++) {
    const rect = mask.tileRect(index);
    for (let y = rect.y; y < rect.y + rect.height; y++) {
      const from = y * mask.width + rect.x;
      if (mask.hand.subarray(from, from + rect.width).indexOf(1) < 0) continue;
      edit.touch({ x: rect.x, y, width: rect.width, height: 1 });
      mask.hand.fill(0, from, from + rect.width);
    }
  }
}

/**
 * Take another label as it is; nothing counts as drawn by hand then.
 * @param {Edit} edit
 * @param {Plane} plane of the image's size
 */
export function replaceLabel(edit, plane) {
  const { mask } = edit;
  if (plane.width !== mask.width || plane.height !== mask.height) {
    throw new Error(`The label is ${plane.width} x ${plane.height}, the image ${mask.width} x ${mask.height} pixels.`);
  }
  edit.touch({ x: 0, y: 0, width: mask.width, height: mask.height });
  mask.labels.set(plane.data);
  mask.hand.fill(0);
}

/**
 * @param {number} width of the image
 * @param {number} height of the image
 * @returns {number} radius of a click's disc, pixels
 */
export function clickRadius(width, height) {
  return Math.max(3, Math.round(Math.max(width, height) / 512));
}

/**
 * @param {{x: number, y: number}} point
 * @param {number} radius
 */
function around({ x, y }, radius) {
  const reach = Math.ceil(radius) + 1;
  return { x: Math.floor(x) - reach, y: Math.floor(y) - reach, width: 2 * reach + 1, height: 2 * reach + 1 };
}

/**
 * @param {number} size of the image
 * @param {number} small of the plane
 */
function nearest(size, small) {
  return Int32Array.from({ length: size }, (_, i) => Math.min(small - 1, Math.floor(((i + 0.5) * small) / size)));
}

/**
 * @param {number} size of the image
 * @param {number} small of the plane
 */
function linear(size, small) {
  const first = new Int32Array(size);
  const second = new Int32Array(size);
  const weight = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    const at = Math.max(0, Math.min(small - 1, ((i + 0.5) * small) / size - 0.5));
    first[i] = Math.floor(at);
    second[i] = Math.min(small - 1, first[i] + 1);
    weight[i] = at - first[i];
  }
  return { first, second, weight };
}
