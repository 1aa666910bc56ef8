/**
 * The canvas: the picture, the label over it and the marks over both, each a layer of its own, and the pointer that
 * works the tool. A layer is drawn again only when it changed; of the label, only the rectangle that changed.
 */

import { h } from "../dom.js";
import { union } from "../mask/label.js";
import { heatmap } from "./heatmap.js";
import { drawCrosshair, drawGuidance } from "./marks.js";
import { makePalette, paintOverlay } from "./overlay.js";
import { Picture } from "./picture.js";
import { Pointers } from "./pointers.js";
import { Viewport } from "./viewport.js";

/**
 * @typedef {import("../mask/label.js").Rect} Rect
 * @typedef {[number, number]} Point
 */

/** Pixels the label's layer may have: more would make panning slow on a large screen of high density. */
const OVERLAY_PIXELS = 2.5e6;

export class Stage {
  /**
   * @param {HTMLElement} host
   * @param {import("../workspace.js").Workspace} workspace
   */
  constructor(host, workspace) {
    this.host = host;
    this.workspace = workspace;
    this.view = new Viewport();
    this.layers = {
      picture: h("canvas", { "aria-hidden": "true" }),
      label: h("canvas", { "aria-hidden": "true" }),
      marks: h("canvas", {
        class: "marks",
        id: "canvas",
        tabIndex: 0,
        role: "application",
        "aria-label": "Image. Arrow keys move the crosshair, Enter works the tool, question mark shows all keys.",
      }),
    };
    host.append(...Object.values(this.layers));
    /** @type {Picture | null} */
    this.picture = null;
    /** Crosshair of the keyboard, image pixels. @type {Point | null} */
    this.crosshair = null;
    /** Where the pointer is, image pixels. @type {Point | null} */
    this.hover = null;
    this.stale = { picture: true, marks: true };
    /** Of the label's layer, image pixels; "all" after a move. @type {Rect | "all" | null} */
    this.staleLabel = "all";
    this.frame = 0;
    /** The map shown, as colours. @type {{plane: import("../mask/answer.js").Plane, canvas: HTMLCanvasElement} | null} */
    this.map = null;
    this.pointers = new Pointers(this);
    new ResizeObserver(() => this.resize()).observe(host);
    workspace.settings.addEventListener("change", () => this.redraw());
    workspace.addEventListener("annotation", () => this.open());
    workspace.addEventListener("change", () => this.refresh());
  }

  /** @returns {number} device pixels a CSS pixel */
  get density() {
    return window.devicePixelRatio || 1;
  }

  /** @returns {number} pixels of the label's layer a CSS pixel */
  get fineness() {
    return Math.min(this.density, Math.sqrt(OVERLAY_PIXELS / (this.view.width * this.view.height)));
  }

  resize() {
    const { clientWidth, clientHeight } = this.host;
    this.view.resize(Math.max(1, clientWidth), Math.max(1, clientHeight));
    for (const [name, canvas] of Object.entries(this.layers)) {
      const density = name === "label" ? this.fineness : this.density;
      canvas.width = Math.round(this.view.width * density);
      canvas.height = Math.round(this.view.height * density);
    }
    this.redraw();
  }

  /** Another image is open. */
  async open() {
    const { annotation, api } = this.workspace;
    this.picture?.close();
    this.picture = null;
    this.crosshair = null;
    this.map = null;
    if (annotation) {
      const { item } = annotation;
      this.view.setImage(item.width, item.height);
      annotation.mask.onChange((bounds) => {
        if (this.workspace.annotation === annotation) this.labelChanged(bounds);
      });
      const picture = new Picture(api, item, () => this.redraw());
      this.picture = picture;
      this.redraw();
      try {
        await picture.load();
      } catch (error) {
        if (/** @type {Error} */ (error).name !== "AbortError") this.workspace.failed(error, () => this.open());
      }
    }
    this.redraw();
  }

  /** Guidance or maps changed; the label tells of itself. */
  refresh() {
    this.stale.picture = this.stale.marks = true;
    this.schedule();
  }

  redraw() {
    this.stale.picture = this.stale.marks = true;
    this.staleLabel = "all";
    this.picture?.refine(this.view, this.density);
    this.schedule();
  }

  redrawMarks() {
    this.stale.marks = true;
    this.schedule();
  }

  /** @param {Rect} bounds image pixels */
  labelChanged(bounds) {
    if (this.staleLabel !== "all") this.staleLabel = union(this.staleLabel, bounds);
    this.schedule();
  }

  schedule() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      if (this.stale.picture) this.drawPicture();
      if (this.staleLabel) this.drawLabel();
      if (this.stale.marks) this.drawMarks();
    });
  }

  /**
   * @param {"picture" | "marks"} name
   * @returns {CanvasRenderingContext2D} emptied, in CSS pixels
   */
  begin(name) {
    this.stale[name] = false;
    const canvas = this.layers[name];
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(this.density, 0, 0, this.density, 0, 0);
    return context;
  }

  drawPicture() {
    const context = this.begin("picture");
    const { annotation, settings } = this.workspace;
    const { brightness, contrast, map } = settings.values;
    if (!annotation || !this.picture) return;
    context.filter =
      brightness === 100 && contrast === 100 ? "none" : `brightness(${brightness}%) contrast(${contrast}%)`;
    this.picture.draw(context, this.view);
    context.filter = "none";
    const plane = map === "none" ? null : this.workspace.plane(map);
    if (!plane) return;
    if (this.map?.plane !== plane) this.map = { plane, canvas: heatmap(plane) };
    context.imageSmoothingEnabled = true;
    const { item } = annotation;
    context.drawImage(
      this.map.canvas,
      this.view.x,
      this.view.y,
      item.width * this.view.scale,
      item.height * this.view.scale,
    );
  }

  drawLabel() {
    const canvas = this.layers.label;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const { annotation, settings } = this.workspace;
    const stale = this.staleLabel;
    this.staleLabel = null;
    const { visible, fill, outline } = settings.values;
    if (!annotation || !visible || !this.picture?.whole) {
      context.clearRect(0, 0, canvas.width, canvas.height);
      return;
    }
    const { view, fineness } = this;
    const line = Math.max(1, Math.round(2 * fineness));
    const transform = { scale: view.scale * fineness, x: view.x * fineness, y: view.y * fineness };
    const bounds =
      stale === "all" || !stale ? { x: 0, y: 0, width: annotation.item.width, height: annotation.item.height } : stale;
    const margin = line + 2;
    const x0 = Math.max(0, Math.floor(bounds.x * transform.scale + transform.x) - margin);
    const y0 = Math.max(0, Math.floor(bounds.y * transform.scale + transform.y) - margin);
    const x1 = Math.min(canvas.width, Math.ceil((bounds.x + bounds.width) * transform.scale + transform.x) + margin);
    const y1 = Math.min(canvas.height, Math.ceil((bounds.y + bounds.height) * transform.scale + transform.y) + margin);
    if (stale === "all") context.clearRect(0, 0, canvas.width, canvas.height);
    if (x0 >= x1 || y0 >= y1) return;
    const rect = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
    const palette = makePalette(this.workspace.colours, fill / 100, outline / 100);
    const pixels = paintOverlay(annotation.mask, transform, rect, palette, line);
    context.putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), rect.width, rect.height), x0, y0);
  }

  drawMarks() {
    const context = this.begin("marks");
    const { annotation, settings } = this.workspace;
    if (!annotation) return;
    if (settings.values.visible)
      drawGuidance(
        context,
        this.view,
        annotation.guidance,
        this.workspace.colourOf(annotation.guidance.polygon?.value),
      );
    this.workspace.tool.draw?.(context, this);
    if (this.crosshair) drawCrosshair(context, this.view.toScreen(this.crosshair));
  }

  /** @param {number} factor */
  zoom(factor) {
    this.view.zoomTo(this.view.scale * factor, this.crosshair ? this.view.toScreen(this.crosshair) : undefined);
    this.moved();
  }

  fit() {
    this.view.fit();
    this.moved();
  }

  /** One image pixel a device pixel. */
  actualSize() {
    this.view.zoomTo(1 / this.density);
    this.moved();
  }

  /** The view moved. */
  moved() {
    this.redraw();
    this.workspace.dispatchEvent(new Event("view"));
  }
}
