/** The model asked about one image: one question at a time, the newest; its place in the queue; its answer fetched. */

import { ServerError, Unreachable } from "./store/api.js";
import { inBackground } from "./work/background.js";

/**
 * @typedef {import("./mask/guidance.js").Answer} Answer
 * @typedef {import("./mask/answer.js").Plane} Plane
 * @typedef {{phase: "idle" | "sending" | "queued" | "running" | "error", position: number, message: string}} Status
 */

/** How long the server may keep a question for the job's state: the place in the queue is shown that late. */
const WAIT_S = 1;

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
   * @param {{image: string, maps: string[]}} question in the words of `POST /api/infer`
   * @param {Blob | null} previous the label before, 0 and 1, where the model shall keep to it
   * @param {number | null} value the class of the guidance; null without guidance
   * @param {number | undefined} wanted the class whose probability is wanted of an answer without guidance
   * @returns {Promise<Answer | null>} null where a newer question or {@link cancel} took its place, or where it failed
   */
  async ask(question, previous, value, wanted) {
    this.cancel();
    const asking = new AbortController();
    this.asking = asking;
    const { signal } = asking;
    const began = performance.now();
    this.show("sending");
    try {
      const json = { ...question, previous: previous && (await base64(previous)) };
      const { job, position } = await (await this.api.request("POST", "/api/infer", { json, signal })).json();
      signal.addEventListener("abort", () => this.api.request("DELETE", `/api/jobs/${job}`).catch(() => {}));
      this.show("queued", position);
      for (;;) {
        const state = await this.api.get(`/api/jobs/${job}`, { wait: WAIT_S }, signal);
        if (state.state === "done") break;
        if (state.state === "cancelled") return this.end(asking, null);
        if (state.state === "error") throw new Error(state.error);
        this.show(state.state, state.position);
      }
      const answer = await this.fetchAnswer(job, question.maps, value, wanted, signal);
      this.took = (performance.now() - began) / 1000;
      return this.end(asking, answer);
    } catch (error) {
      if (signal.aborted) return null;
      this.end(asking, null);
      const why =
        error instanceof Unreachable
          ? "The server does not answer; the model is asked again when it is back."
          : /** @type {Error} */ (error).message;
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
   * @param {number | null} value
   * @param {number | undefined} wanted
   * @param {AbortSignal} signal
   * @returns {Promise<Answer>}
   */
  async fetchAnswer(job, maps, value, wanted, signal) {
    const [mask, probability, ...others] = await Promise.all([
      this.fetchMap(job, "mask", undefined, signal).then((buffer) => inBackground("decodePacked", [buffer], [buffer])),
      this.plane(job, "probability", value === null ? wanted : undefined, signal).catch((error) => {
        // Weights of one class know no probability of another.
        if (error instanceof ServerError && error.status === 404) return null;
        throw error;
      }),
      ...maps.map((name) => this.plane(job, name, undefined, signal)),
    ]);
    const named = Object.fromEntries(maps.map((name, i) => [name, others[i]]));
    return {
      job,
      value,
      mask,
      probability: new Map(probability ? [[value ?? wanted ?? 1, probability]] : []),
      maps: named,
    };
  }

  /**
   * @param {string} job
   * @param {string} name
   * @param {number} [value] class number
   * @param {AbortSignal} [signal]
   * @returns {Promise<Plane>}
   */
  async plane(job, name, value, signal) {
    const buffer = await this.fetchMap(job, name, value, signal);
    return inBackground("decodePng", [buffer], [buffer]);
  }

  /**
   * @param {string} job
   * @param {string} name
   * @param {number} [value] class number
   * @param {AbortSignal} [signal]
   */
  async fetchMap(job, name, value, signal) {
    const query = value === undefined ? {} : { class: value };
    return (await this.api.blob(`/api/jobs/${job}/${name}`, query, signal)).arrayBuffer();
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
