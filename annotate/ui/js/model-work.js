/** The model's part in the open image: asking it, putting its answer into the label, the threshold, its maps. */

import { Inference } from "./inference.js";
import { applyClicks, applyMask, applyThreshold, clickRadius, DEFAULT_THRESHOLD, releaseHand } from "./mask/answer.js";
import { guides, places, toRequest } from "./mask/guidance.js";
import { decodeRuns } from "./mask/rle.js";
import { inBackground } from "./work/background.js";

/**
 * @typedef {import("./workspace.js").Workspace} Workspace
 * @typedef {import("./mask/annotation.js").Annotation} Annotation
 * @typedef {import("./mask/guidance.js").Answer} Answer
 * @typedef {import("./mask/label.js").Edit} Edit
 */

export class ModelWork {
  /** @param {Workspace} workspace */
  constructor(workspace) {
    this.workspace = workspace;
    this.inference = new Inference(workspace.api);
    /** Grows with every question and every cancellation: what an older one prepared is dropped. */
    this.turn = 0;
    /** What to do when the server is back. @type {(() => void) | null} */
    this.again = null;
    workspace.api.addEventListener("connection", () => {
      const { again } = this;
      if (!workspace.api.reachable) return;
      this.again = null;
      again?.();
    });
  }

  /** Several classes have each a probability of its own; one class needs no number. */
  get valueWanted() {
    return this.workspace.classes.length > 1 ? this.workspace.settings.values.value : undefined;
  }

  /**
   * Ask with the guidance there is.
   * @param {{apply?: boolean}} [options] false: only for the maps, the label stays
   */
  async ask({ apply = true } = {}) {
    const { annotation, interactive, settings } = this.workspace;
    if (!annotation || !this.workspace.session?.model) return;
    const { guidance, mask } = annotation;
    const { map, value } = settings.values;
    const guided = interactive && guides(guidance, value);
    const asked = annotation.history.last;
    const maps = map === "uncertainty" || map === "edge" ? [map] : [];
    this.inference.cancel();
    const turn = ++this.turn;
    const previous = guided ? await inBackground("encodeClass", [mask.labels, mask.width, mask.height, value]) : null;
    if (turn !== this.turn) return;
    const question = { image: annotation.item.id, ...(guided ? toRequest(guidance, value) : {}), maps };
    const answer = await this.inference.ask(question, previous, guided ? value : null, this.valueWanted);
    if (this.workspace.annotation !== annotation) return;
    if (!answer) {
      const { phase, message } = this.inference.status;
      if (!this.workspace.api.reachable) this.again = () => this.ask({ apply });
      else if (phase === "error")
        this.workspace.say(message, "bad", { label: "Try again", run: () => this.ask({ apply }) });
      return;
    }
    annotation.model = this.workspace.session?.model?.version ?? null;
    if (apply) {
      annotation.performAnswer(
        answer,
        (edit) => this.put(edit, annotation, answer, annotation.guidance.threshold),
        asked,
      );
    } else {
      annotation.guidance = Object.freeze({ ...annotation.guidance, answer });
      annotation.announce();
    }
  }

  /** Whether the server has a model; where it has none, say what to do. */
  isThere() {
    if (this.workspace.session?.model) return true;
    this.workspace.say("The server has no weights yet: draw by hand, or start it with --checkpoint.", "bad");
    return false;
  }

  /** Ask afresh: without guidance, and with the corrections by hand given up. */
  async askAfresh() {
    const { annotation } = this.workspace;
    if (!annotation || !this.isThere()) return;
    annotation.perform("Ask the model afresh", releaseHand, {
      clicks: [],
      scribbles: [],
      box: null,
      threshold: DEFAULT_THRESHOLD,
    });
    await this.ask();
  }

  cancel() {
    this.turn++;
    this.again = null;
    this.inference.cancel();
  }

  /**
   * @param {Edit} edit
   * @param {Annotation} annotation
   * @param {Answer} answer
   * @param {number} percent threshold
   */
  put(edit, annotation, answer, percent) {
    const value = answer.value ?? this.workspace.settings.values.value;
    const probability = answer.probability.get(value);
    if (percent === DEFAULT_THRESHOLD || !probability) {
      const { width, height, runs } = answer.mask;
      applyMask(edit, { width, height, data: decodeRuns(runs, new Uint8Array(width * height)) }, answer.value);
    } else {
      applyThreshold(edit, probability, percent, value);
    }
    applyClicks(edit, places(annotation.guidance), clickRadius(edit.mask.width, edit.mask.height));
  }

  /**
   * Move the threshold while the slider is held: no step of undo yet.
   * @param {number} percent
   */
  preview(percent) {
    const { annotation } = this.workspace;
    const answer = annotation?.guidance.answer;
    if (!annotation || !answer || this.workspace.repairs.running) return;
    const edit = annotation.open ?? annotation.begin();
    this.put(edit, annotation, answer, percent);
    edit.flush();
  }

  /** @param {number} percent */
  async setThreshold(percent) {
    const { annotation, settings } = this.workspace;
    const answer = annotation?.guidance.answer;
    const clamped = Math.max(1, Math.min(99, percent));
    await this.workspace.repairs.ended();
    if (!annotation || !answer || (clamped === annotation.guidance.threshold && !annotation.open)) return;
    const { value } = settings.values;
    if (answer.value === null && !answer.probability.has(value)) {
      try {
        answer.probability.set(value, await this.inference.plane(answer.job, "probability", value));
      } catch (error) {
        this.workspace.failed(error);
        return;
      }
    }
    this.preview(clamped);
    annotation.perform("Threshold", null, { threshold: clamped });
  }

  /** @param {import("./settings.js").MapName} map shown, or hidden where it was shown */
  toggleMap(map) {
    const { settings, annotation } = this.workspace;
    if (!this.isThere()) return;
    const next = settings.values.map === map ? "none" : map;
    settings.set({ map: next });
    if (next !== "none" && annotation && !this.workspace.plane(next)) this.ask({ apply: false });
  }
}
