/**
 * Submissions on their way: each is written to the browser's database first, sent, and taken out when the server has it.
 * Those that the server cannot be reached for are sent again, later and later, and at once when it is back.
 */

import { inBackground } from "../work/background.js";
import { OtherFolder, ServerError, Unreachable } from "./api.js";

/**
 * @typedef {{version: number, by: string, when: string}} Current
 * @typedef {{image: string, name: string, when: number, label?: Blob, about?: any, state?: string, comment?: string,
 *   base?: number, conflict?: Current, tab?: string, key?: string}} Submission a label, or a state with a comment and the
 *   version that was seen; `tab` is the one that is gone and whose work it was, `key` its place in the database
 */

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30000;

/** Emits "change" when the number waiting changes, and "sent" and "failed" (with the submission, for "failed" the `submission` and the `error`, as `detail`), "unkept" where the database is full, "elsewhere" where another folder answers (with the error as `detail`). */
export class Outbox extends EventTarget {
  /**
   * @param {import("./database.js").Database} database
   * @param {import("./tabs.js").Tabs} tabs
   * @param {import("./api.js").Api} api
   */
  constructor(database, tabs, api) {
    super();
    this.database = database;
    this.tabs = tabs;
    this.api = api;
    this.wait = FIRST_WAIT_MS;
    /**
     * By their keys: a label and a state of one image wait side by side, and so does what several tabs left.
     * @type {Map<string, Submission>}
     */
    this.waiting = new Map();
    /** @type {Promise<void> | null} */
    this.flushing = null;
    api.addEventListener("connection", () => api.reachable && this.flush());
    addEventListener("online", () => this.flush());
  }

  /** Take up what this tab, or a tab that is gone, has not sent. */
  async start() {
    for (const { key, tab } of this.tabs.ours(await this.database.keys("outbox"))) {
      const own = tab === this.tabs.id;
      if (this.waiting.has(key) || (!own && (await this.tabs.alive(tab)))) continue;
      const record = await this.database.get("outbox", key);
      if (!record) continue; // another tab has taken it just now
      const place = own ? key : this.tabs.taken(key);
      const submission = { ...record, key: place, tab: record.tab || (own ? "" : tab) };
      this.waiting.set(place, submission);
      if (own) continue;
      await this.database.put("outbox", place, submission);
      await this.database.delete("outbox", key);
    }
    this.dispatchEvent(new Event("change"));
    await this.flush();
  }

  /**
   * @param {string} image
   * @returns {Submission | undefined} what waits about an image: one that needs a choice, else a label, else a state
   */
  about(image) {
    const found = [...this.waiting.values()].filter((submission) => submission.image === image);
    return found.find(({ conflict }) => conflict) ?? found.find(({ label }) => label) ?? found[0];
  }

  /**
   * Send; an earlier submission of the same kind and tab for the same image that still waits is replaced.
   * @param {Submission} submission
   * @returns {Promise<{version?: number, sent: boolean}>} `sent` is false where it waits for the server
   * @throws {ServerError} where the server refused it; a conflict (409) stays in the outbox until it is settled
   * @throws {OtherFolder} where another folder answers; it waits for its own
   */
  async send(submission) {
    const earlier = [...this.waiting.values()].find((each) => sameWork(each, submission));
    submission.key ??= earlier?.key ?? this.tabs.key(kindOf(submission), submission.tab);
    this.waiting.set(submission.key, submission);
    await this.keep(submission);
    this.dispatchEvent(new Event("change"));
    try {
      return { ...(await this.deliver(submission)), sent: true };
    } catch (error) {
      if (error instanceof Unreachable || error instanceof OtherFolder) this.later();
      if (!(error instanceof Unreachable)) throw error;
      return { sent: false };
    }
  }

  /**
   * Write a submission to the browser's database. Where that is full it is sent all the same.
   * @param {Submission} submission
   */
  async keep(submission) {
    try {
      await this.database.put("outbox", placeOf(submission), submission);
    } catch (error) {
      this.dispatchEvent(new CustomEvent("unkept", { detail: error }));
    }
  }

  /** @param {Submission} submission that is given up, or settled */
  async discard(submission) {
    this.waiting.delete(placeOf(submission));
    await this.database.delete("outbox", placeOf(submission));
    this.dispatchEvent(new Event("change"));
  }

  /** Send all that waits, one after the other. */
  flush() {
    this.flushing ??= this.sendAll().finally(() => (this.flushing = null));
    return this.flushing;
  }

  async sendAll() {
    if (![...this.waiting.values()].some(({ conflict }) => !conflict)) return;
    try {
      await this.api.session(); // a server that was started meanwhile may have another folder
    } catch (error) {
      return this.interrupted(error);
    }
    for (const submission of [...this.waiting.values()].sort((first, second) => first.when - second.when)) {
      if (submission.conflict) continue;
      try {
        const { version } = await this.deliver(submission);
        this.dispatchEvent(new CustomEvent("sent", { detail: { ...submission, version } }));
      } catch (error) {
        if (error instanceof Unreachable || error instanceof OtherFolder) return this.interrupted(error);
        this.dispatchEvent(
          new CustomEvent("failed", { detail: { submission, error } }),
        );
      }
    }
    this.wait = FIRST_WAIT_MS;
  }

  /** @param {unknown} error why nothing can be sent now */
  interrupted(error) {
    if (error instanceof OtherFolder) this.dispatchEvent(new CustomEvent("elsewhere", { detail: error }));
    this.later();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), this.wait);
    this.wait = Math.min(LONGEST_WAIT_MS, this.wait * 2);
  }

  /**
   * @param {Submission} submission
   * @returns {Promise<{version?: number}>}
   */
  async deliver(submission) {
    const { image, label, about, state, comment, base } = submission;
    try {
      const result = label
        ? await this.api.putLabel(image, label, about)
        : await this.api.post(`${this.api.image(image)}/state`, { state, comment, base_version: base });
      if (label) await this.raise(submission, result.version);
      if (this.waiting.get(placeOf(submission)) === submission) await this.discard(submission);
      return result;
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      if (error.status === 409 && label && (await this.arrived(submission))) {
        const { version } = error.body.current;
        await this.raise(submission, version);
        await this.discard(submission);
        return { version };
      }
      if (error.status === 409 && label) {
        submission.conflict = error.body.current;
        await this.keep(submission);
        this.dispatchEvent(new Event("change"));
      } else {
        await this.discard(submission); // of a label, the draft is still there
      }
      throw error;
    }
  }

  /**
   * What is said of an image after a label that waited with it is said of that label.
   * @param {Submission} submission a label that the server has
   * @param {number} version which it became
   */
  async raise({ image, about, when, tab = "" }, version) {
    for (const each of this.waiting.values()) {
      if (each.label || each.image !== image || (each.tab ?? "") !== tab) continue;
      if (each.when < when || each.base !== about.base_version) continue;
      each.base = version;
      await this.keep(each);
    }
  }

  /**
   * @param {Submission} submission
   * @returns {Promise<boolean>} whether the server's newest label is this one: it arrived, and only the answer was lost
   */
  async arrived({ image, label }) {
    const blob = await this.api.blob(`${this.api.image(image)}/label`);
    const theirs = await inBackground("decodePng", [await blob.arrayBuffer()]);
    const ours = await inBackground("decodePng", [await /** @type {Blob} */ (label).arrayBuffer()]);
    return theirs.data.length === ours.data.length && theirs.data.every((value, i) => value === ours.data[i]);
  }
}

/** @param {Submission} submission that waits */
function placeOf({ key }) {
  return /** @type {string} */ (key);
}

/**
 * @param {Submission} first
 * @param {Submission} second
 * @returns {boolean} whether they are of one kind, about one image, and of one tab's work
 */
function sameWork(first, second) {
  return kindOf(first) === kindOf(second) && (first.tab ?? "") === (second.tab ?? "");
}

/** @param {Submission} submission */
function kindOf({ image, label }) {
  return `${label ? "label" : "state"} ${image}`;
}
