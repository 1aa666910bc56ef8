/** The brush and the eraser: round, of the pen's pressure, by hand. */

import { strokeSpans } from "../mask/raster.js";
import { drawRing } from "../view/marks.js";

/**
 * @typedef {import("../workspace.js").Workspace} Workspace
 * @typedef {import("../view/pointers.js").Touch} Touch
 * @typedef {import("../view/stage.js").Stage} Stage
 */

export class BrushTool {
  drags = true;

  /**
   * @param {Workspace} workspace
   * @param {boolean} erases
   */
  constructor(workspace, erases) {
    this.workspace = workspace;
    this.erases = erases;
    /** @type {{edit: import("../mask/label.js").Edit, point: [number, number], radius: number, value: number} | null} */
    this.stroke = null;
  }

  /** @param {Touch} touch */
  radius({ pen, pressure }) {
    const full = this.workspace.settings.values.size / 2;
    return pen ? full * (0.3 + 0.7 * Math.min(1, pressure * 1.4)) : full;
  }

  /** @param {Touch} touch */
  down(touch) {
    const { annotation, settings } = this.workspace;
    if (!annotation) return;
    const erases = this.erases !== touch.alternate || touch.eraser;
    this.stroke = {
      edit: annotation.begin(),
      point: touch.image,
      radius: this.radius(touch),
      value: erases ? 0 : settings.values.value,
    };
    this.move(touch);
  }

  /** @param {Touch} touch */
  move(touch) {
    const { stroke } = this;
    const { annotation, drafts } = this.workspace;
    if (!stroke || !annotation) return;
    annotation.worked = true;
    drafts.later(annotation); // half a stroke is work, too
    const radius = this.radius(touch);
    const protect = stroke.value !== 0 && this.workspace.settings.values.protect;
    strokeSpans(stroke.point, touch.image, stroke.radius, radius, (y, x0, x1) =>
      stroke.edit.fillSpan(y, x0, x1, stroke.value, protect),
    );
    stroke.point = touch.image;
    stroke.radius = radius;
    stroke.edit.flush();
  }

  up() {
    if (!this.stroke) return;
    this.workspace.annotation?.perform(this.stroke.value ? "Brush" : "Eraser", null);
    this.stroke = null;
  }

  cancel() {
    if (!this.stroke) return;
    this.stroke.edit.cancel();
    this.stroke = null;
    this.workspace.annotation?.perform("Brush", null);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Stage} stage
   */
  draw(context, stage) {
    const at = stage.crosshair ?? stage.hover;
    if (!at) return;
    const { settings } = this.workspace;
    const colour = this.erases ? "#ffffff" : this.workspace.colourOf(settings.values.value);
    drawRing(context, stage.view.toScreen(at), (settings.values.size / 2) * stage.view.scale, colour);
  }
}
