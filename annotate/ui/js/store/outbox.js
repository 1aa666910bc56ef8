/**
 * Submissions on their way: each is written to the browser's database first, sent, and taken out when the server has it.
 * Those that the server cannot be reached for are sent again, later and later, and at once when it is back.
 */

import { decodePng } from "../mask/png.js";
import { ServerError, Unreachable } from "./api.js";

/**
 * @typedef {{version: number, by: string, when: string}} Current
 * @typedef {{image: string, name: string, when: number, label?: Blob, about?: any, state?: string, comment?: string,
 *   problem?: string, conflict?: Current}} Submission a label, or a state with a comment
 */

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30000;

/** Emits "change" when the number waiting changes, and "sent" and "failed" (with the submission as `detail`). */
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
    /** @type {Map<string, Submission>} */
    this.waiting = new Map();
    /** @type {Promise<void> | null} */
    this.flushing = null;
    api.addEventListener("connection", () => api.reachable && this.flush());
    addEventListener("online", () => this.flush());
  }

  /** Take up what this tab, or a tab that is gone, has not sent. */
  async start() {
    const keys = (await this.database.keys("outbox")).map((key) => ({ key, tab: key.split(" ", 1)[0] }));
    keys.sort((first, second) => Number(second.tab === this.tabs.id) - Number(first.tab === this.tabs.id)); // its own first
    for (const { key, tab } of keys) {
      const image = key.slice(tab.length + 1);
      if (tab !== this.tabs.id && (await this.tabs.alive(tab))) continue;
      const submission = await this.database.get("outbox", key);
      if (!this.waiting.has(image)) this.waiting.set(image, submission);
      if (tab === this.tabs.id) continue;
      await this.database.put("outbox", `${this.tabs.id} ${image}`, this.waiting.get(image));
      await this.database.delete("outbox", key);
    }
    this.dispatchEvent(new Event("change"));
    await this.flush();
  }

  /**
   * Send; an earlier submission of the same image that still waits is replaced.
   * @param {Submission} submission
   * @returns {Promise<{version?: number, sent: boolean}>} `sent` is false where it waits for the server
   * @throws {ServerError} where the server refused it; a conflict (409) stays in the outbox until it is settled
   */
  async send(submission) {
    this.waiting.set(submission.image, submission);
    await this.database.put("outbox", `${this.tabs.id} ${submission.image}`, submission);
    this.dispatchEvent(new Event("change"));
    try {
      return { ...(await this.deliver(submission)), sent: true };
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      this.later();
      return { sent: false };
    }
  }

  /** @param {string} image whose submission is given up */
  async discard(image) {
    this.waiting.delete(image);
    await this.database.delete("outbox", `${this.tabs.id} ${image}`);
    this.dispatchEvent(new Event("change"));
  }

  /** Send all that waits, one after the other. */
  flush() {
    this.flushing ??= this.sendAll().finally(() => (this.flushing = null));
    return this.flushing;
  }

  async sendAll() {
    for (const submission of [...this.waiting.values()]) {
      if (submission.problem) continue;
      try {
        const { version } = await this.deliver(submission);
        this.dispatchEvent(new CustomEvent("sent", { detail: { ...submission, version } }));
      } catch (error) {
        if (error instanceof Unreachable) return this.later();
        this.dispatchEvent(new CustomEvent("failed", { detail: submission }));
      }
    }
    this.wait = FIRST_WAIT_MS;
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
    const { image, label, about, state, comment } = submission;
    try {
      const result = label
        ? await this.api.putLabel(image, label, about)
        : await this.api.post(`${this.api.image(image)}/state`, { state, comment });
      if (this.waiting.get(image) === submission) await this.discard(image);
      return result;
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      if (error.status === 409 && label && (await this.arrived(submission))) {
        await this.discard(image);
        return { version: error.body.current.version };
      }
      submission.problem = error.message;
      submission.conflict = error.status === 409 ? error.body.current : undefined;
      await this.database.put("outbox", `${this.tabs.id} ${image}`, submission);
      this.dispatchEvent(new Event("change"));
      throw error;
    }
  }

  /**
   * @param {Submission} submission
   * @returns {Promise<boolean>} whether the server's newest label is this one: it arrived, and only the answer was lost
   */
  async arrived({ image, label }) {
    const theirs = await decodePng(await (await this.api.blob(`${this.api.image(image)}/label`)).arrayBuffer());
    const ours = await decodePng(await /** @type {Blob} */ (label).arrayBuffer());
    return theirs.data.length === ours.data.length && theirs.data.every((value, i) => value === ours.data[i]);
  }
}
