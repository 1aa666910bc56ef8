/**
 * The polygon: points set one by one and dragged afterwards, a point more on any side, a point less with Alt or the right
 * button. It becomes part of the label with Enter, with another tool, or with the submission.
 */

import { insertPoint, movePoint, removePoint } from "../mask/guidance.js";
import { distanceToSegment } from "../mask/raster.js";
import { inImage } from "./guide.js";

/**
 * @typedef {import("../workspace.js").Workspace} Workspace
 * @typedef {import("../view/pointers.js").Touch} Touch
 * @typedef {[number, number]} Point
 */

/** Screen pixels within which a point or a side is taken hold of. */
const REACH = 10;

export class PolygonTool {
  drags = false;

  /** @param {Workspace} workspace */
  constructor(workspace) {
    this.workspace = workspace;
    /** The point being dragged, and the polygon before. @type {{index: number, before: import("../mask/guidance.js").Polygon} | null} */
    this.dragged = null;
  }

  get polygon() {
    return this.workspace.annotation?.guidance.polygon ?? null;
  }

  /** @param {Touch} touch */
  down({ image, screen, alternate }) {
    const { annotation, settings } = this.workspace;
    if (!annotation) return;
    const { polygon } = this;
    const point = this.pointAt(screen);
    if (alternate) {
      if (polygon && point >= 0) annotation.perform("Remove point", null, { polygon: removePoint(polygon, point) });
      return;
    }
    if (!polygon) {
      if (inImage(this.workspace, image)) {
        annotation.perform("Point", null, {
          polygon: { points: [image], closed: false, value: settings.values.value },
        });
      }
      return;
    }
    if (!polygon.closed && point === 0 && polygon.points.length > 2) return void this.finish();
    if (point >= 0) {
      this.dragged = { index: point, before: polygon };
      return;
    }
    if (!polygon.closed) {
      annotation.perform("Point", null, { polygon: { ...polygon, points: [...polygon.points, image] } });
      return;
    }
    const side = this.sideAt(screen);
    if (side < 0) return;
    annotation.perform("Point", null, { polygon: insertPoint(polygon, side + 1, image) });
    this.dragged = { index: side + 1, before: /** @type {any} */ (this.polygon) };
  }

  /** @param {Touch} touch */
  move({ image }) {
    const { annotation } = this.workspace;
    if (!this.dragged || !annotation) return;
    annotation.guidance = Object.freeze({
      ...annotation.guidance,
      polygon: movePoint(this.dragged.before, this.dragged.index, image),
    });
  }

  up() {
    const { annotation } = this.workspace;
    const dragged = this.dragged;
    this.dragged = null;
    if (!dragged || !annotation || annotation.guidance.polygon === dragged.before) return;
    const { polygon } = annotation.guidance;
    annotation.guidance = Object.freeze({ ...annotation.guidance, polygon: dragged.before });
    annotation.perform("Move point", null, { polygon });
  }

  cancel() {
    const { annotation } = this.workspace;
    if (this.dragged && annotation)
      annotation.guidance = Object.freeze({ ...annotation.guidance, polygon: this.dragged.before });
    this.dragged = null;
  }

  /** Close the polygon; one that is closed becomes part of the label. */
  finish() {
    const { annotation } = this.workspace;
    const { polygon } = this;
    if (!annotation || !polygon) return false;
    if (polygon.closed) annotation.bakePolygon();
    else if (polygon.points.length > 2)
      annotation.perform("Close polygon", null, { polygon: { ...polygon, closed: true } });
    return true;
  }

  /** Take back the last point of a polygon that is not closed, or drop one that is. */
  removeLast() {
    const { annotation } = this.workspace;
    const { polygon } = this;
    if (!annotation || !polygon) return false;
    annotation.perform("Remove point", null, {
      polygon: polygon.closed ? null : removePoint(polygon, polygon.points.length - 1),
    });
    return true;
  }

  /**
   * Turn the piece of the label at a place into a polygon whose points can be dragged.
   * @param {Point} place image pixels
   * @returns {boolean} false where there is no label
   */
  takeOutline([x, y]) {
    const { annotation } = this.workspace;
    if (!annotation || !inImage(this.workspace, [x, y])) return false;
    annotation.bakePolygon();
    const { mask } = annotation;
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (!mask.labels[row * mask.width + column]) return false;
    this.workspace.repairs.outlineToPolygon(column, row);
    return true;
  }

  /**
   * @param {Point} screen
   * @returns {number} index of the point there, -1 for none
   */
  pointAt(screen) {
    const { view } = this.workspace.stage;
    const distances = (this.polygon?.points ?? []).map((point) => {
      const [x, y] = view.toScreen(point);
      return Math.hypot(x - screen[0], y - screen[1]);
    });
    const nearest = distances.indexOf(Math.min(...distances));
    return nearest >= 0 && distances[nearest] <= REACH ? nearest : -1;
  }

  /**
   * @param {Point} screen
   * @returns {number} index of the point before the side there, -1 for none
   */
  sideAt(screen) {
    const { view } = this.workspace.stage;
    const points = (this.polygon?.points ?? []).map((point) => view.toScreen(point));
    return points.findIndex((point, i) => distanceToSegment(screen, point, points[(i + 1) % points.length]) <= REACH);
  }
}
