/** The ways an image leaves the annotator's hands: submitted, skipped, flagged; and on to the next one. */

import { replaceLabel } from "./mask/answer.js";
import { ServerError } from "./store/api.js";
import { inBackground } from "./work/background.js";

/**
 * @typedef {import("./workspace.js").Workspace} Workspace
 * @typedef {import("./store/outbox.js").Submission} Submission
 */

/** @type {Record<string, string>} */
const STATES = { skipped: "skipped", flagged: "flagged", unlabelled: "open again" };

export class Submitting {
  /** @param {Workspace} workspace */
  constructor(workspace) {
    this.workspace = workspace;
    this.busy = false;
    const { outbox } = workspace;
    outbox.addEventListener("sent", (event) => this.sentLater(/** @type {CustomEvent} */ (event).detail));
    outbox.addEventListener("failed", (event) => this.refusedLater(/** @type {CustomEvent} */ (event).detail));
  }

  /** Send the label as a new version. */
  async submit() {
    const { workspace } = this;
    const { annotation, outbox, settings } = workspace;
    if (!annotation || this.busy) return;
    this.busy = true;
    try {
      await workspace.repairs.ended();
      workspace.tool.cancel?.();
      workspace.model.cancel();
      annotation.bakePolygon();
      annotation.clock.tick();
      const { item, mask } = annotation;
      /** @type {Submission} */
      const submission = {
        image: item.id,
        name: item.name,
        when: Date.now(),
        tab: annotation.tab,
        label: await inBackground("encodePng", [mask.labels, mask.width, mask.height]),
        about: {
          base_version: annotation.baseVersion,
          seconds: Math.round(annotation.clock.seconds * 10) / 10,
          clicks: annotation.clicks,
          scribbles: annotation.scribbles,
          model: annotation.model,
          comment: annotation.comment,
        },
      };
      const { sent, version } = await outbox.send(submission);
      if (!sent) {
        workspace.say(
          "The server does not answer. The label is kept in this browser and is sent when the server is back.",
          "bad",
        );
        return;
      }
      await this.settle(annotation, /** @type {number} */ (version), submission.when);
      workspace.say(`${item.name} is submitted as version ${version}.`, "good");
      if (settings.values.proceed && workspace.annotation === annotation) await this.next();
    } catch (error) {
      if (error instanceof ServerError && error.status === 409) await this.settleConflict(annotation.item.id);
      else workspace.failed(error, () => this.submit());
    } finally {
      this.busy = false;
    }
  }

  /**
   * The server has this label.
   * @param {import("./mask/annotation.js").Annotation} annotation
   * @param {number} version
   * @param {number} when the label was taken, milliseconds; work done since stays a draft
   */
  async settle(annotation, version, when) {
    annotation.baseVersion = version;
    annotation.clock.seconds = 0;
    annotation.clicks = [];
    annotation.scribbles = 0;
    if (annotation.changedAt <= when) {
      annotation.worked = false;
      await this.workspace.drafts.remove(annotation.item.id);
      this.offerOthers(annotation.item).catch((error) => this.workspace.failed(error));
    } else this.workspace.drafts.later(annotation);
    this.workspace.dispatchEvent(new CustomEvent("item", { detail: annotation.item.id }));
  }

  /**
   * Work on the same image that a tab which is gone has left is not lost: it comes next.
   * @param {{id: string, name: string}} item submitted just now
   */
  async offerOthers({ id, name }) {
    const { workspace } = this;
    if (await workspace.drafts.others(id))
      workspace.say(`Another tab left work on ${name} that was not submitted.`, "bad", {
        label: "Open it",
        run: () => workspace.open(id),
      });
  }

  /**
   * The server has a label, at once or after a while: the draft that it was made from is not needed any more.
   * @param {Submission} submission
   * @param {number} version which it became
   */
  async settleWork({ image, when, tab = "" }, version) {
    const { annotation, drafts } = this.workspace;
    if (annotation?.item.id === image && annotation.tab === tab) await this.settle(annotation, version, when);
    else await drafts.removeBefore(image, when, tab);
  }

  /** @param {Submission & {version: number}} submission that waited for the server */
  async sentLater(submission) {
    const { workspace } = this;
    const { image, name, label, version } = submission;
    if (label) await this.settleWork(submission, version);
    workspace.dispatchEvent(new CustomEvent("item", { detail: image }));
    workspace.say(
      label ? `${name}, which waited, is submitted as version ${version}.` : `${name}, which waited, is marked.`,
      "good",
    );
  }

  /** @param {{submission: Submission, error: Error}} refused what waited for the server */
  refusedLater({ submission, error }) {
    const { image, name, conflict } = submission;
    if (this.overtaken(submission, error)) return;
    if (conflict) {
      this.workspace.say(`${name} was changed by ${conflict.by} meanwhile; your label waits for your choice.`, "bad", {
        label: "Choose",
        run: () => this.settleConflict(image),
      });
    } else {
      this.workspace.say(`The server did not take ${name}: ${error.message} Your work on it is kept.`, "bad");
    }
  }

  /**
   * Somebody else submitted this image first: show both labels, and do what the annotator chooses.
   * @param {string} image
   */
  async settleConflict(image) {
    const { workspace } = this;
    const { api, outbox } = workspace;
    const submission = outbox.about(image);
    if (!submission?.conflict || !submission.label) return;
    try {
      const { chooseVersion } = await import("./panels/conflict.js");
      const blob = await api.blob(`${api.image(image)}/versions/${submission.conflict.version}`);
      const theirs = await inBackground("decodePng", [await blob.arrayBuffer()]);
      const mine = await inBackground("decodePng", [await submission.label.arrayBuffer()]);
      const choice = await chooseVersion(workspace, submission, mine, theirs);
      if (choice === "mine") {
        const about = { ...submission.about, base_version: submission.conflict.version };
        const { sent, version } = await outbox.send({ ...submission, about, conflict: undefined });
        if (sent) await this.settleWork(submission, /** @type {number} */ (version));
        if (sent)
          workspace.say(
            `Your label is version ${version}; the other one stays as version ${submission.conflict.version}.`,
            "good",
          );
      } else if (choice === "theirs") {
        await outbox.discard(submission);
        if (workspace.annotation?.item.id !== image) await workspace.open(image);
        const { annotation } = workspace;
        await workspace.repairs.ended();
        if (annotation?.item.id === image) {
          annotation.baseVersion = submission.conflict.version;
          annotation.perform("Take the other label", (edit) => replaceLabel(edit, theirs));
          workspace.say("The other label is open now. Undo brings yours back.");
        }
      }
      workspace.dispatchEvent(new CustomEvent("item", { detail: image }));
    } catch (error) {
      if (error instanceof ServerError && error.status === 409) await this.settleConflict(image);
      else workspace.failed(error, () => this.settleConflict(image));
    }
  }

  /**
   * Where somebody submitted an image that was marked meanwhile, nothing is marked: tell who, and ask again.
   * @param {Submission} submission
   * @param {unknown} error
   * @returns {boolean} whether it was so
   */
  overtaken({ image, name, label, state }, error) {
    const current = !label && error instanceof ServerError && error.status === 409 && error.body.current;
    if (!current || !state) return false;
    const { workspace } = this;
    workspace.dispatchEvent(new CustomEvent("item", { detail: image }));
    workspace.say(
      `${name} was submitted by ${current.by || "somebody"} as version ${current.version} meanwhile; it is not ${STATES[state]}.`,
      "bad",
      { label: "Look at it", run: () => this.lookAt(image, current.version) },
    );
    return true;
  }

  /**
   * @param {string} image
   * @param {number} version somebody else's, put into the canvas as one step of undo; what follows is based on it
   */
  async lookAt(image, version) {
    const { workspace } = this;
    try {
      if (workspace.annotation?.item.id !== image) await workspace.open(image);
      const { annotation, api } = workspace;
      if (annotation?.item.id !== image) return;
      const blob = await api.blob(`${api.image(image)}/versions/${version}`);
      const theirs = await inBackground("decodePng", [await blob.arrayBuffer()]);
      await workspace.repairs.ended();
      annotation.baseVersion = version;
      annotation.perform(`Open version ${version}`, (edit) => replaceLabel(edit, theirs));
      workspace.say(`Version ${version} is open. Undo brings your work back.`);
    } catch (error) {
      workspace.failed(error, () => this.lookAt(image, version));
    }
  }

  /**
   * Mark the image instead of a submission.
   * @param {"skipped" | "flagged" | "unlabelled"} state
   */
  async mark(state) {
    const { workspace } = this;
    const { annotation, outbox } = workspace;
    if (!annotation || this.busy) return;
    const { id, name } = annotation.item;
    /** @type {Submission} */
    const submission = {
      image: id,
      name,
      when: Date.now(),
      tab: annotation.tab,
      state,
      comment: annotation.comment,
      base: annotation.baseVersion,
    };
    this.busy = true;
    try {
      const { sent } = await outbox.send(submission);
      annotation.item.state = state;
      workspace.dispatchEvent(new CustomEvent("item", { detail: id }));
      workspace.say(
        sent ? `${name} is ${STATES[state]}.` : `${name} is marked when the server is back.`,
        sent ? "good" : "bad",
      );
      if (sent && state !== "unlabelled") await this.next();
    } catch (error) {
      if (!this.overtaken(submission, error)) workspace.failed(error, () => this.mark(state));
    } finally {
      this.busy = false;
    }
  }

  /** Open the image that the server's strategy chooses. */
  async next() {
    const { workspace } = this;
    try {
      const { id, reason } = await workspace.api.post("/api/next", {
        strategy: workspace.settings.values.strategy,
        after: workspace.annotation?.item.id ?? null,
      });
      await workspace.open(id);
      if (reason) workspace.say(`Chosen: ${reason}`);
    } catch (error) {
      if (error instanceof ServerError && error.status === 404)
        workspace.say("All images are done. Thank you.", "good");
      else workspace.failed(error, () => this.next());
    }
  }
}
