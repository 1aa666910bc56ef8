/** The worker: runs the jobs that the page sends, in their order. */

import { JOBS } from "./jobs.js";

/** @type {Promise<unknown>} */
let turn = Promise.resolve();

addEventListener("message", ({ data: { id, job, given } }) => {
  turn = turn.then(async () => {
    try {
      const result = await /** @type {any} */ (JOBS)[job](...given);
      const buffers = Object.values(ArrayBuffer.isView(result) ? [result] : (result ?? {})).filter(ArrayBuffer.isView);
      /** @type {any} */ (globalThis).postMessage({ id, result }, [...new Set(buffers.map(({ buffer }) => buffer))]);
    } catch (error) {
      postMessage({ id, problem: /** @type {Error} */ (error).message });
    }
  });
});
