/** Tools that tell the model something: clicks, scribbles and the box. Each asks the model again. */

import { clickRadius, overruleHand } from "../mask/answer.js";
import { boxSpans, simplify } from "../mask/raster.js";
import { drawBox, drawLine } from "../view/marks.js";

/**
 * @typedef {import("../workspace.js").Workspace} Workspace
 * @typedef {import("../view/pointers.js").Touch} Touch
 * @typedef {import("../view/stage.js").Stage} Stage
 * @typedef {[number, number]} Point
 */

/** Screen pixels: a finger or a mouse that moved less has clicked. */
const STILL = 8;

/** Screen pixels within which a corner of the box is taken hold of. */
const REACH = 10;

/** Places of x and y of each corner in a box. */
const CORNERS = [
  [0, 1],
  [2, 1],
  [2, 3],
  [0, 3],
];

/**
 * @param {Workspace} workspace
 * @param {Point} point
 */
export function inImage({ annotation }, [x, y]) {
  return annotation !== null && x >= 0 && y >= 0 && x < annotation.item.width && y < annotation.item.height;
}

export class ClickTool {
  drags = false;

  /** @param {Workspace} workspace */
  constructor(workspace) {
    this.workspace = workspace;
    /** @type {Touch | null} */
    this.start = null;
  }

  /** @param {Touch} touch */
  down(touch) {
    this.start = touch;
  }

  /** @param {Touch} touch */
  up(touch) {
    const { start, workspace } = this;
    this.start = null;
    const { annotation, settings } = workspace;
    if (
      !start ||
      !annotation ||
      Math.hypot(touch.screen[0] - start.screen[0], touch.screen[1] - start.screen[1]) > STILL
    )
      return;
    if (!inImage(workspace, start.image)) return;
    const [x, y] = start.image;
    const click = { x, y, positive: settings.values.positive !== start.alternate, value: settings.values.value };
    annotation.logClick(x, y, click.positive);
    const radius = clickRadius(annotation.item.width, annotation.item.height);
    annotation.perform(
      click.positive ? "Click to add" : "Click to remove",
      (edit) => overruleHand(edit, click, radius),
      {
        clicks: [...annotation.guidance.clicks, click],
      },
    );
    workspace.askModel();
  }

  cancel() {
    this.start = null;
  }
}

export class ScribbleTool {
  drags = true;

  /** @param {Workspace} workspace */
  constructor(workspace) {
    this.workspace = workspace;
    /** @type {Point[]} */
    this.points = [];
    this.positive = true;
  }

  /** @param {Touch} touch */
  down(touch) {
    this.positive = this.workspace.settings.values.positive !== touch.alternate;
    this.points = [touch.image];
  }

  /** @param {Touch} touch */
  move(touch) {
    this.points.push(touch.image);
  }

  up() {
    const { annotation, settings } = this.workspace;
    const inside = this.points.filter((point) => inImage(this.workspace, point));
    this.points = [];
    if (!annotation || inside.length < 2) return;
    const points = simplify(inside, Math.max(0.5, Math.max(annotation.item.width, annotation.item.height) / 1024));
    annotation.scribbles++;
    annotation.perform(this.positive ? "Scribble to add" : "Scribble to remove", null, {
      scribbles: [...annotation.guidance.scribbles, { points, positive: this.positive, value: settings.values.value }],
    });
    this.workspace.askModel();
  }

  cancel() {
    this.points = [];
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Stage} stage
   */
  draw(context, stage) {
    if (this.points.length > 1) drawLine(context, stage.view, this.points, this.positive);
  }
}

/** A box for the model; with Shift, or where the model takes none, a box filled with the class (Alt: emptied). */
export class BoxTool {
  drags = true;

  /** @param {Workspace} workspace */
  constructor(workspace) {
    this.workspace = workspace;
    /** @type {[number, number, number, number] | null} */
    this.box = null;
    this.fills = false;
    this.empties = false;
  }

  /** @param {Touch} touch */
  down({ image, screen, shift, alternate }) {
    const { annotation, interactive, stage } = this.workspace;
    this.fills = shift || !interactive;
    this.empties = alternate;
    const old = this.fills ? null : annotation?.guidance.box;
    // A corner of the box there is: the opposite one stays.
    const taken =
      old &&
      CORNERS.find(([i, j]) => {
        const [x, y] = stage.view.toScreen([old[i], old[j]]);
        return Math.hypot(x - screen[0], y - screen[1]) < REACH;
      });
    const [x, y] = old && taken ? [old[2 - taken[0]], old[4 - taken[1]]] : image;
    this.box = [x, y, image[0], image[1]];
  }

  /** @param {Touch} touch */
  move({ image }) {
    if (this.box) this.box = [this.box[0], this.box[1], image[0], image[1]];
  }

  up() {
    const { annotation, settings } = this.workspace;
    const box = this.box;
    this.box = null;
    if (!annotation || !box) return;
    const { width, height } = annotation.item;
    const [x0, x1] = [box[0], box[2]].map((x) => Math.max(0, Math.min(width, Math.round(x)))).sort((a, b) => a - b);
    const [y0, y1] = [box[1], box[3]].map((y) => Math.max(0, Math.min(height, Math.round(y)))).sort((a, b) => a - b);
    const empty = x1 - x0 < 2 || y1 - y0 < 2;
    if (this.fills) {
      const value = this.empties ? 0 : settings.values.value;
      if (!empty)
        annotation.perform(value ? "Fill box" : "Empty box", (edit) =>
          boxSpans([x0, y0, x1, y1], (y, a, b) => edit.fillSpan(y, a, b, value)),
        );
      return;
    }
    if (empty && !annotation.guidance.box) return;
    annotation.perform(empty ? "Remove box" : "Box", null, { box: empty ? null : [x0, y0, x1, y1] });
    this.workspace.askModel();
  }

  cancel() {
    this.box = null;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Stage} stage
   */
  draw(context, stage) {
    if (this.box) drawBox(context, stage.view, this.box);
  }
}
