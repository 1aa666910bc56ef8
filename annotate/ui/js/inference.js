/** The model asked about one image: one question at a time, the newest; its place in the queue; its answer fetched. */

import { toRequest } from "./mask/guidance.js";
import { decodePng } from "./mask/png.js";
import { Unreachable } from "./store/api.js";

/**
 * @typedef {import("./mask/annotation.js").Annotation} Annotation
 * @typedef {import("./mask/guidance.js").Answer} Answer
 * @typedef {import("./mask/answer.js").Plane} Plane
 * @typedef {{phase: "idle" | "sending" | "queued" | "running" | "error", position: number, message: string}} Status
 */

const WAIT_S = 10;

/** Emits "status". */
export class Inference extends EventTarget {
  /** @param {import("./store/api.js").Api} api */
  constructor(api) {
    super();
    this.api = api;
    /** @type {Status} */
    this.status = { phase: "idle", position: 0, message: "" };
    /** @type {AbortController | null} */
    this.asking = null;
    /** Seconds the last answer took, as the annotator waited. @type {number | null} */
    this.took = null;
  }

  /**
   * @param {Annotation} annotation
   * @param {{previous: Blob | null, maps: string[], value: number | undefined}} options the label before, where the model shall
   *   keep to it; the maps wanted; the class whose probability is wanted, where there are several
   * @returns {Promise<Answer | null>} null where a newer question or {@link cancel} took its place, or where it failed
   */
  async ask(annotation, { previous, maps, value }) {
    this.cancel();
    const asking = new AbortController();
    this.asking = asking;
    const { signal } = asking;
    const began = performance.now();
    this.show("sending");
    try {
      const question = { image: annotation.item.id, ...toRequest(annotation.guidance), previous: previous && (await base64(previous)), maps };
      const { job, position } = await (await this.api.request("POST", "/api/infer", { json: question, signal })).json();
      signal.addEventListener("abort", () => this.api.request("DELETE", `/api/jobs/${job}`).catch(() => {}));
      this.show("queued", position);
      for (;;) {
        const state = await this.api.get(`/api/jobs/${job}`, { wait: WAIT_S }, signal);
        if (state.state === "done") break;
        if (state.state === "cancelled") return this.end(asking, null);
        if (state.state === "error") throw new Error(state.error);
        this.show(state.state, state.position);
      }
      const answer = await this.fetchAnswer(job, maps, value, signal);
      this.took = (performance.now() - began) / 1000;
      return this.end(asking, answer);
    } catch (error) {
      if (signal.aborted) return null;
      this.end(asking, null);
      const why = error instanceof Unreachable ? "The server does not answer; the model is asked again when it is back." : /** @type {Error} */ (error).message;
      this.show("error", 0, why);
      return null;
    }
  }

  /** Forget the question that is on its way. */
  cancel() {
    const asking = this.asking;
    this.asking = null;
    asking?.abort();
    this.show("idle");
  }

  /**
   * @param {AbortController} asking
   * @param {Answer | null} answer
   */
  end(asking, answer) {
    if (this.asking !== asking) return null;
    this.asking = null;
    this.show("idle");
    return answer;
  }

  /**
   * @param {string} job
   * @param {string[]} maps
   * @param {number | undefined} value
   * @param {AbortSignal} signal
   * @returns {Promise<Answer>}
   */
  async fetchAnswer(job, maps, value, signal) {
    const [mask, probability, ...others] = await Promise.all([
      this.plane(job, "mask", undefined, signal),
      this.plane(job, "probability", value, signal),
      ...maps.map((name) => this.plane(job, name, undefined, signal)),
    ]);
    const named = Object.fromEntries(maps.map((name, i) => [name, others[i]]));
    return { job, mask, probability: new Map([[value ?? 1, probability]]), maps: named };
  }

  /**
   * @param {string} job
   * @param {string} name
   * @param {number} [value] class number
   * @param {AbortSignal} [signal]
   * @returns {Promise<Plane>}
   */
  async plane(job, name, value, signal) {
    const query = value === undefined ? {} : { class: value };
    return decodePng(await (await this.api.blob(`/api/jobs/${job}/${name}`, query, signal)).arrayBuffer());
  }

  /**
   * @param {Status["phase"]} phase
   * @param {number} [position]
   * @param {string} [message]
   */
  show(phase, position = 0, message = "") {
    this.status = { phase, position, message };
    this.dispatchEvent(new Event("status"));
  }
}

/**
 * @param {Blob} blob
 * @returns {Promise<string>}
 */
async function base64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}
