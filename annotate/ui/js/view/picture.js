/**
 * The image behind the label: a view of the whole of at most VIEW pixels, and, where the annotator is closer than that
 * shows, the part in sight at its native resolution.
 */

/**
 * @typedef {import("./viewport.js").Viewport} Viewport
 * @typedef {{low: number, high: number} | null} Window of a 16-bit image, in its own units; null leaves it to the server
 * @typedef {{bitmap: ImageBitmap, x: number, y: number, width: number, height: number}} Part
 */

const VIEW = 2048;
const PART = 2048;
const WAIT_MS = 140;
const KEPT = 8;

export class Picture {
  /**
   * @param {import("../store/api.js").Api} api
   * @param {import("../mask/annotation.js").Item} item
   * @param {() => void} arrived called when there is more to draw
   */
  constructor(api, item, arrived) {
    this.api = api;
    this.item = item;
    this.arrived = arrived;
    /** @type {Window} */
    this.window = null;
    /** @type {ImageBitmap | null} */
    this.whole = null;
    /** @type {Part[]} */
    this.parts = [];
    this.loading = new AbortController();
    /** The part that is on its way. @type {AbortController | null} */
    this.fetching = null;
  }

  /** @returns {Promise<void>} after the view of the whole is there */
  async load() {
    this.loading.abort();
    this.loading = new AbortController();
    const { signal } = this.loading;
    const blob = await this.api.blob(`${this.api.image(this.item.id)}/view`, { max: VIEW, ...this.window }, signal);
    const bitmap = await createImageBitmap(blob);
    if (signal.aborted) return;
    this.parts = [];
    this.whole = bitmap;
    this.arrived();
  }

  /** @param {Window} window */
  async setWindow(window) {
    this.window = window;
    await this.load().catch((error) => {
      if (error.name !== "AbortError") throw error;
    });
  }

  close() {
    this.loading.abort();
    this.fetching?.abort();
    clearTimeout(this.timer);
  }

  /**
   * @param {CanvasRenderingContext2D} context in CSS pixels
   * @param {Viewport} view
   */
  draw(context, view) {
    if (!this.whole) return;
    const { item } = this;
    context.imageSmoothingEnabled = view.scale < 3;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.whole, view.x, view.y, item.width * view.scale, item.height * view.scale);
    for (const part of this.parts) {
      const [x, y] = view.toScreen([part.x, part.y]);
      context.drawImage(part.bitmap, x, y, part.width * view.scale, part.height * view.scale);
    }
  }

  /**
   * Fetch the part in sight where the view of the whole is too coarse for it.
   * @param {Viewport} view
   * @param {number} density device pixels a CSS pixel
   */
  refine(view, density) {
    clearTimeout(this.timer);
    if (!this.whole) return;
    const coarse = this.whole.width / this.item.width;
    if (coarse >= 1 || view.scale * density <= coarse * 1.15) return;
    this.timer = setTimeout(() => this.fetchPart(view, density), WAIT_MS);
  }

  /**
   * @param {Viewport} view
   * @param {number} density
   */
  async fetchPart(view, density) {
    const seen = view.visible();
    if (!seen.width || !seen.height) return;
    const wanted = Math.min(1, view.scale * density);
    const covered = this.parts.some(
      (part) =>
        part.x <= seen.x &&
        part.y <= seen.y &&
        part.x + part.width >= seen.x + seen.width &&
        part.y + part.height >= seen.y + seen.height &&
        part.bitmap.width / part.width >= wanted * 0.85,
    );
    if (covered) return;
    const margin = 0.15;
    const x = Math.max(0, Math.floor(seen.x - seen.width * margin));
    const y = Math.max(0, Math.floor(seen.y - seen.height * margin));
    const width = Math.min(this.item.width - x, Math.ceil(seen.width * (1 + 2 * margin)));
    const height = Math.min(this.item.height - y, Math.ceil(seen.height * (1 + 2 * margin)));
    this.fetching?.abort();
    const fetching = new AbortController();
    this.fetching = fetching;
    try {
      const query = { x, y, width, height, max: PART, ...this.window };
      const blob = await this.api.blob(`${this.api.image(this.item.id)}/region`, query, fetching.signal);
      const bitmap = await createImageBitmap(blob);
      if (fetching.signal.aborted) return;
      // Finer parts are drawn over coarser ones.
      this.parts = [...this.parts.slice(1 - KEPT), { bitmap, x, y, width, height }];
      this.parts.sort((first, second) => first.bitmap.width / first.width - second.bitmap.width / second.width);
      this.arrived();
    } catch {
      // The coarse view stays; the next move asks again, and a lost server is told of at the top.
    }
  }
}
