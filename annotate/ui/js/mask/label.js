/**
 * The label of one image at full resolution, in memory: a class number for each pixel, and whether a hand drew it.
 *
 * Pixels drawn by hand (`hand` is 1) are never changed by the model's answers. Changes go through an {@link Edit},
 * which keeps the tiles of TILE x TILE pixels that it touches as they were: the cost of an edit and of its undo
 * depends on the area touched, not on the image's size.
 */

import { decodeRuns, encodeRuns } from "./rle.js";

export const TILE = 256;

/**
 * @typedef {{x: number, y: number, width: number, height: number}} Rect
 * @typedef {{labels: Uint32Array, hand: Uint32Array}} TileRuns
 * @typedef {{tiles: Map<number, {before: TileRuns, after: TileRuns}>, bounds: Rect}} Change
 */

/**
 * @param {Rect | null} first
 * @param {Rect | null} second
 * @returns {Rect | null} the smallest rectangle with both in it
 */
export function union(first, second) {
  if (!first || !second) return first ?? second;
  const x = Math.min(first.x, second.x);
  const y = Math.min(first.y, second.y);
  return {
    x,
    y,
    width: Math.max(first.x + first.width, second.x + second.width) - x,
    height: Math.max(first.y + first.height, second.y + second.height) - y,
  };
}

export class LabelMask {
  /**
   * @param {number} width pixels
   * @param {number} height pixels
   */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.labels = new Uint8Array(width * height);
    this.hand = new Uint8Array(width * height);
    this.columns = Math.ceil(width / TILE);
    this.rows = Math.ceil(height / TILE);
    /** @type {((bounds: Rect) => void)[]} */
    this.listeners = [];
    /** Every tile as runs, for undo and drafts; null where it changed since. @type {(TileRuns | null)[]} */
    this.encoded = this.emptyTiles();
  }

  /**
   * @param {number} [hand] 1 for tiles that a hand emptied
   * @returns {TileRuns[]}
   */
  emptyTiles(hand = 0) {
    return Array.from({ length: this.columns * this.rows }, (_, index) => {
      const { width, height } = this.tileRect(index);
      const size = width * height * 256;
      return { labels: Uint32Array.of(size), hand: Uint32Array.of(size + hand) };
    });
  }

  /** @param {(bounds: Rect) => void} listener called with the rectangle that changed */
  onChange(listener) {
    this.listeners.push(listener);
  }

  /** @param {Rect | null} bounds */
  changed(bounds) {
    if (bounds) for (const listener of this.listeners) listener(bounds);
  }

  /**
   * @param {number} index
   * @returns {Rect}
   */
  tileRect(index) {
    const x = (index % this.columns) * TILE;
    const y = Math.floor(index / this.columns) * TILE;
    return { x, y, width: Math.min(TILE, this.width - x), height: Math.min(TILE, this.height - y) };
  }

  /**
   * @param {number} index
   * @returns {TileRuns}
   */
  tileRuns(index) {
    const known = this.encoded[index];
    if (known) return known;
    const { x, y, width, height } = this.tileRect(index);
    const [labels, hand] = [this.labels, this.hand].map((plane) => {
      const tile = new Uint8Array(width * height);
      for (let row = 0; row < height; row++) {
        const from = (y + row) * this.width + x;
        tile.set(plane.subarray(from, from + width), row * width);
      }
      return encodeRuns(tile);
    });
    const runs = { labels, hand };
    this.encoded[index] = runs;
    return runs;
  }

  /**
   * @param {number} index
   * @param {TileRuns} runs
   */
  setTile(index, runs) {
    const { x, y, width, height } = this.tileRect(index);
    for (const name of /** @type {const} */ (["labels", "hand"])) {
      const uniform = runs[name].length === 1;
      const tile = uniform ? null : decodeRuns(runs[name], new Uint8Array(width * height));
      for (let row = 0; row < height; row++) {
        const to = (y + row) * this.width + x;
        if (tile) this[name].set(tile.subarray(row * width, (row + 1) * width), to);
        else this[name].fill(runs[name][0] & 255, to, to + width);
      }
    }
    this.encoded[index] = runs;
  }

  /** @returns {Edit} */
  edit() {
    return new Edit(this);
  }

  /**
   * @param {Change} change
   * @param {"before" | "after"} side
   */
  apply(change, side) {
    for (const [index, sides] of change.tiles) this.setTile(index, sides[side]);
    this.changed(change.bounds);
  }

  /** @returns {Map<number, TileRuns>} every tile with anything in it; only what changed since the last call is encoded */
  encode() {
    const result = new Map();
    for (let index = 0; index < this.columns * this.rows; index++) {
      const runs = this.tileRuns(index);
      const empty =
        runs.labels.length === 1 && runs.hand.length === 1 && !(runs.labels[0] & 255) && !(runs.hand[0] & 255);
      if (!empty) result.set(index, runs);
    }
    return result;
  }

  /** @param {Map<number, TileRuns>} tiles what {@link encode} gave; the other tiles become empty */
  decode(tiles) {
    this.labels.fill(0);
    this.hand.fill(0);
    this.encoded = this.emptyTiles();
    for (const [index, runs] of tiles) this.setTile(index, runs);
    this.changed({ x: 0, y: 0, width: this.width, height: this.height });
  }
}

/** A change of a {@link LabelMask} that is being made; `commit` ends it. */
export class Edit {
  /** @param {LabelMask} mask */
  constructor(mask) {
    this.mask = mask;
    /** @type {Map<number, TileRuns>} */
    this.before = new Map();
    /** @type {Rect | null} */
    this.bounds = null;
    /** Since the last {@link flush}. @type {Rect | null} */
    this.dirty = null;
  }

  /**
   * Must be called before the pixels of a rectangle are written.
   * @param {Rect} rect clipped to the image by this function
   * @returns {Rect | null} the part inside the image
   */
  touch(rect) {
    const { mask } = this;
    const x0 = Math.max(0, rect.x);
    const y0 = Math.max(0, rect.y);
    const x1 = Math.min(mask.width, rect.x + rect.width);
    const y1 = Math.min(mask.height, rect.y + rect.height);
    if (x0 >= x1 || y0 >= y1) return null;
    for (let row = Math.floor(y0 / TILE); row * TILE < y1; row++) {
      for (let column = Math.floor(x0 / TILE); column * TILE < x1; column++) {
        const index = row * mask.columns + column;
        if (!this.before.has(index)) this.before.set(index, mask.tileRuns(index));
        mask.encoded[index] = null;
      }
    }
    const clipped = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
    this.bounds = union(this.bounds, clipped);
    this.dirty = union(this.dirty, clipped);
    return clipped;
  }

  /**
   * Fill pixels x0 <= x < x1 of a row by hand.
   * @param {number} y
   * @param {number} x0
   * @param {number} x1
   * @param {number} value class number
   * @param {boolean} [protect] leave the pixels of other classes alone
   */
  fillSpan(y, x0, x1, value, protect = false) {
    const clipped = this.touch({ x: x0, y, width: x1 - x0, height: 1 });
    if (!clipped) return;
    const { labels, hand, width } = this.mask;
    const start = y * width + clipped.x;
    const end = start + clipped.width;
    if (protect) {
      for (let i = start; i < end; i++) {
        if (labels[i] === 0 || labels[i] === value) {
          labels[i] = value;
          hand[i] = 1;
        }
      }
    } else {
      labels.fill(value, start, end);
      hand.fill(1, start, end);
    }
  }

  /** Empty everything by hand. */
  clear() {
    const { mask } = this;
    this.touch({ x: 0, y: 0, width: mask.width, height: mask.height });
    mask.labels.fill(0);
    mask.hand.fill(1);
    mask.encoded = mask.emptyTiles(1);
  }

  /** Tell the listeners what changed since the last call. */
  flush() {
    this.mask.changed(this.dirty);
    this.dirty = null;
  }

  /** @returns {Change | null} what changed, null for nothing */
  commit() {
    this.flush();
    /** @type {Change["tiles"]} */
    const tiles = new Map();
    for (const [index, before] of this.before) {
      const after = this.mask.tileRuns(index);
      if (!same(after.labels, before.labels) || !same(after.hand, before.hand)) tiles.set(index, { before, after });
    }
    this.before.clear();
    return tiles.size && this.bounds ? { tiles, bounds: this.bounds } : null;
  }

  /** Take everything back. */
  cancel() {
    for (const [index, runs] of this.before) this.mask.setTile(index, runs);
    this.before.clear();
    this.mask.changed(this.bounds);
  }
}

/**
 * @param {Uint32Array} first
 * @param {Uint32Array} second
 */
function same(first, second) {
  if (first === second) return true;
  return first.length === second.length && first.every((run, i) => run === second[i]);
}
