/** Repairs of the label, computed in the background: one at a time; what edits the label waits for its end. */

import { patchOf, paintSpans } from "./mask/patch.js";
import { smoothingMargin } from "./mask/morphology.js";
import { inBackground } from "./work/background.js";

/** @typedef {import("./workspace.js").Workspace} Workspace */

export class Repairing {
  /** @param {Workspace} workspace */
  constructor(workspace) {
    this.workspace = workspace;
    /** The repair that is being computed. @type {Promise<void> | null} */
    this.running = null;
    /** Its name. */
    this.name = "";
  }

  /** @returns {Promise<void>} after the repairs there are */
  async ended() {
    while (this.running) await this.running;
  }

  /**
   * Do something after the repairs that are being computed, at once where there is none.
   * @param {() => void} act
   */
  inTurn(act) {
    if (this.running) this.running.then(() => this.inTurn(act));
    else act();
  }

  fillHoles() {
    return this.repair("Fill holes", "fillHoles", 0, [], "There is no hole to fill.");
  }

  keepLargest() {
    return this.repair("Keep the largest piece", "keepLargest", 0, [], "There is one piece only.");
  }

  smooth() {
    const { smoothing } = this.workspace.settings.values;
    return this.repair("Smooth", "smooth", smoothingMargin(smoothing), [smoothing], "The outline is smooth already.");
  }

  /**
   * Turn the piece of the label at a place into a polygon whose points can be dragged.
   * @param {number} x a pixel of the piece
   * @param {number} y
   */
  outlineToPolygon(x, y) {
    const { annotation } = this.workspace;
    if (!annotation) return;
    const { mask } = annotation;
    const value = mask.labels[y * mask.width + x];
    const patch = patchOf(mask, value);
    if (!patch) return;
    const tolerance = Math.max(1.2, Math.max(mask.width, mask.height) / 250);
    const job = inBackground("outlinePolygon", [patch, value, x, y, tolerance], [patch.labels.buffer]);
    this.hold("Outline to polygon", job, ({ points, spans }) => {
      if (points.length < 3) return { spans: new Int32Array() };
      return { spans, guidance: { polygon: { points, closed: true, value } } };
    });
  }

  /**
   * @param {string} name
   * @param {"fillHoles" | "keepLargest" | "smooth"} job
   * @param {number} margin of the patch
   * @param {any[]} options
   * @param {string} nothing what is said where nothing changed
   */
  repair(name, job, margin, options, nothing) {
    const { workspace } = this;
    const { annotation, settings } = workspace;
    if (!annotation) return;
    annotation.bakePolygon();
    const { value } = settings.values;
    const patch = patchOf(annotation.mask, value, margin);
    if (!patch) return workspace.say(nothing);
    const given = /** @type {any} */ ([patch, value, ...options]);
    const done = inBackground(job, given, [patch.labels.buffer]);
    this.hold(name, done, (spans) => ({ spans }), nothing);
  }

  /**
   * Hold the label until a job has ended, then paint what it gave in one step of undo.
   * @template T
   * @param {string} name of the step
   * @param {Promise<T>} job
   * @param {(result: T) => {spans: Int32Array, guidance?: object}} read
   * @param {string} [nothing]
   */
  hold(name, job, read, nothing = "") {
    const { workspace } = this;
    const annotation = /** @type {import("./mask/annotation.js").Annotation} */ (workspace.annotation);
    const edit = annotation.begin();
    const end = async () => {
      try {
        const { spans, guidance } = read(await job);
        if (!annotation.perform(name, () => paintSpans(edit, spans), guidance) && nothing) workspace.say(nothing);
      } catch (error) {
        annotation.perform(name, null);
        workspace.failed(error);
      } finally {
        this.show(null, "");
      }
    };
    this.show(end(), name);
  }

  /**
   * @param {Promise<void> | null} running
   * @param {string} name
   */
  show(running, name) {
    this.running = running;
    this.name = name;
    this.workspace.dispatchEvent(new Event("repairing"));
  }
}
