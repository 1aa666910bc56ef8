/** Which part of the image the canvas shows. Screen points are CSS pixels of the canvas; screen = image * scale + offset. */

/** @typedef {[number, number]} Point */

const LARGEST = 64;

export class Viewport {
  constructor() {
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.width = 1;
    this.height = 1;
    this.imageWidth = 1;
    this.imageHeight = 1;
    /** Whether the whole image is shown, so that it stays so when the window changes. */
    this.fitted = true;
  }

  /**
   * @param {number} width of the canvas
   * @param {number} height of the canvas
   */
  resize(width, height) {
    const centre = this.toImage([this.width / 2, this.height / 2]);
    this.width = width;
    this.height = height;
    if (this.fitted) this.fit();
    else this.centre(centre);
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  setImage(width, height) {
    this.imageWidth = width;
    this.imageHeight = height;
    this.fit();
  }

  get smallest() {
    return Math.min(1, Math.min(this.width / this.imageWidth, this.height / this.imageHeight)) / 2;
  }

  /** Show the whole image with a small margin. */
  fit() {
    const margin = 24;
    this.scale = Math.max(
      0.01,
      Math.min((this.width - margin) / this.imageWidth, (this.height - margin) / this.imageHeight),
    );
    this.centre([this.imageWidth / 2, this.imageHeight / 2]);
    this.fitted = true;
  }

  /** @param {Point} point of the image that goes to the middle */
  centre([x, y]) {
    this.x = this.width / 2 - x * this.scale;
    this.y = this.height / 2 - y * this.scale;
  }

  /**
   * @param {number} scale screen pixels an image pixel
   * @param {Point} [around] a screen point that stays where it is
   */
  zoomTo(scale, around = [this.width / 2, this.height / 2]) {
    const [x, y] = this.toImage(around);
    this.scale = Math.max(this.smallest, Math.min(LARGEST, scale));
    this.x = around[0] - x * this.scale;
    this.y = around[1] - y * this.scale;
    this.fitted = false;
    this.keepInSight();
  }

  /**
   * @param {number} dx screen pixels
   * @param {number} dy
   */
  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.keepInSight();
  }

  /** At least a corner of the image stays on the canvas. */
  keepInSight() {
    const margin = 40;
    this.x = Math.min(this.width - margin, Math.max(margin - this.imageWidth * this.scale, this.x));
    this.y = Math.min(this.height - margin, Math.max(margin - this.imageHeight * this.scale, this.y));
  }

  /** @param {Point} point @returns {Point} */
  toImage([x, y]) {
    return [(x - this.x) / this.scale, (y - this.y) / this.scale];
  }

  /** @param {Point} point @returns {Point} */
  toScreen([x, y]) {
    return [x * this.scale + this.x, y * this.scale + this.y];
  }

  /** @returns {{x: number, y: number, width: number, height: number}} the part of the image on the canvas, whole pixels */
  visible() {
    const [x0, y0] = this.toImage([0, 0]);
    const [x1, y1] = this.toImage([this.width, this.height]);
    const x = Math.max(0, Math.floor(x0));
    const y = Math.max(0, Math.floor(y0));
    return {
      x,
      y,
      width: Math.max(0, Math.min(this.imageWidth, Math.ceil(x1)) - x),
      height: Math.max(0, Math.min(this.imageHeight, Math.ceil(y1)) - y),
    };
  }
}
