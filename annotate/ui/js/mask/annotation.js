/**
 * One image being annotated: its label, the guidance, the undo history, the time and the clicks it took.
 * Everything that changes it goes through here, so that everything can be undone and ends up in the draft.
 */

import { Clock } from "./clock.js";
import { NO_GUIDANCE } from "./guidance.js";
import { History } from "./history.js";
import { LabelMask } from "./label.js";
import { polygonSpans } from "./raster.js";

/**
 * @typedef {import("./guidance.js").Guidance} Guidance
 * @typedef {import("./guidance.js").Answer} Answer
 * @typedef {import("./label.js").Edit} Edit
 * @typedef {import("./label.js").TileRuns} TileRuns
 * @typedef {{id: string, name: string, width: number, height: number, bits: number, state: string, comment: string,
 *   version: number, seconds: number, clicks: number}} Item
 * @typedef {{x: number, y: number, positive: boolean, t: number}} LoggedClick
 * @typedef {{image: string, baseVersion: number, model: number | null, tiles: Map<number, TileRuns>, guidance: Guidance,
 *   comment: string, seconds: number, clicks: LoggedClick[], scribbles: number, when: number,
 *   tab?: string}} Draft
 */

/** Answers whose probability is kept, so that undo brings the threshold's slider back with them. */
const ANSWERS = 12;

/** The step that is the model's. */
const MODEL = "The model's answer";

export class Annotation extends EventTarget {
  /** @param {Item} item */
  constructor(item) {
    super();
    this.item = item;
    this.baseVersion = item.version ?? 0;
    /** The tab that is gone and whose work this was; empty for this tab's own. */
    this.tab = "";
    this.mask = new LabelMask(item.width, item.height);
    this.history = new History();
    /** @type {Guidance} */
    this.guidance = NO_GUIDANCE;
    this.comment = item.comment ?? "";
    this.clock = new Clock();
    /** Every click made, those taken back too: they are the work it took. @type {LoggedClick[]} */
    this.clicks = [];
    this.scribbles = 0;
    /** Version of the model whose answer is in the label. @type {number | null} */
    this.model = null;
    /** The newest answers. @type {Answer[]} */
    this.answers = [];
    /** Time of the last change, milliseconds. */
    this.changedAt = Date.now();
    /** Whether the annotator did anything: what the model alone did needs no draft. */
    this.worked = false;
    /** A change that is being made. @type {Edit | null} */
    this.open = null;
    /** An answer that waits for its end. @type {(() => void) | null} */
    this.waiting = null;
  }

  /**
   * Begin a change that takes a while (a brush stroke); {@link perform} ends it.
   * @returns {Edit}
   */
  begin() {
    this.open?.cancel();
    this.open = this.mask.edit();
    return this.open;
  }

  /**
   * Change the label, the guidance or both in one step of undo.
   * @param {string} name of the step, as the page shows it
   * @param {((edit: Edit) => void) | null} change
   * @param {Partial<Guidance>} [guidance]
   * @param {boolean} [joined] to the step before
   * @returns {boolean} whether anything changed
   */
  perform(name, change, guidance, joined = false) {
    const edit = this.open ?? this.mask.edit();
    this.open = null;
    change?.(edit);
    const changed = edit.commit();
    const before = this.guidance;
    const after = guidance ? Object.freeze({ ...before, ...guidance }) : before;
    if (changed || before !== after) {
      this.guidance = after;
      this.history.push({ name, change: changed, before, after, joined });
      this.worked ||= name !== MODEL;
      this.announce();
    }
    const waiting = this.waiting;
    this.waiting = null;
    waiting?.();
    return Boolean(changed) || before !== after;
  }

  /**
   * Put the model's answer into the label. Undo takes it back with the step that asked for it, where that is still the
   * last one. An answer that comes during a brush stroke waits for its end.
   * @param {Answer} answer
   * @param {(edit: Edit) => void} change
   * @param {import("./history.js").Step | undefined} asked the step that asked for it
   */
  performAnswer(answer, change, asked) {
    if (this.open) {
      this.waiting = () => this.performAnswer(answer, change, asked);
      return;
    }
    this.perform(MODEL, change, { answer }, asked !== undefined && asked === this.history.last);
    this.answers.push(answer);
    if (this.answers.length > ANSWERS) this.answers.shift()?.probability.clear();
  }

  /** @returns {string | null} the name of the step taken back */
  undo() {
    return this.walk(this.open ? [] : this.history.undo(), "before");
  }

  /** @returns {string | null} the name of the step made again */
  redo() {
    return this.walk(this.open ? [] : this.history.redo(), "after");
  }

  /**
   * @param {import("./history.js").Step[]} steps
   * @param {"before" | "after"} side
   */
  walk(steps, side) {
    if (!steps.length) return null;
    for (const step of steps) {
      if (step.change) this.mask.apply(step.change, side);
      this.guidance = step[side];
    }
    this.announce();
    return (steps.find((step) => !step.joined) ?? steps[0]).name;
  }

  /** Fill the polygon being drawn into the label. */
  bakePolygon() {
    const { polygon } = this.guidance;
    if (!polygon) return;
    const fill = (/** @type {Edit} */ edit) =>
      polygonSpans(polygon.points, (y, x0, x1) => edit.fillSpan(y, x0, x1, polygon.value));
    this.perform("Polygon", polygon.points.length > 2 ? fill : null, { polygon: null });
  }

  /** @param {string} comment */
  setComment(comment) {
    this.comment = comment;
    this.worked = true;
    this.announce();
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {boolean} positive
   */
  logClick(x, y, positive) {
    const t = Math.round(this.clock.seconds * 10) / 10;
    this.clicks.push({ x: Math.floor(x), y: Math.floor(y), positive, t });
  }

  announce() {
    this.changedAt = Date.now();
    this.dispatchEvent(new Event("change"));
  }

  /** @returns {Draft} */
  toDraft() {
    return {
      image: this.item.id,
      baseVersion: this.baseVersion,
      model: this.model,
      tiles: this.mask.encode(),
      guidance: this.guidance,
      comment: this.comment,
      seconds: this.clock.seconds,
      clicks: this.clicks,
      scribbles: this.scribbles,
      when: this.changedAt,
      tab: this.tab,
    };
  }

  /** @param {Draft} draft */
  fromDraft(draft) {
    this.baseVersion = draft.baseVersion;
    this.tab = draft.tab ?? "";
    this.model = draft.model;
    this.mask.decode(draft.tiles);
    this.guidance = Object.freeze(draft.guidance);
    this.comment = draft.comment;
    this.clock.seconds = draft.seconds;
    this.clicks = draft.clicks;
    this.scribbles = draft.scribbles;
    this.changedAt = draft.when;
    this.worked = true;
    this.dispatchEvent(new Event("change"));
  }
}
