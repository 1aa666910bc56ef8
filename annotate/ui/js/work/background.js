/** Jobs given to the worker, which starts with the page: later the server may be gone. */

/** @type {Worker | null} */
let worker = null;
/** @type {Map<number, {resolve: (result: any) => void, reject: (error: Error) => void}>} */
const waiting = new Map();
let last = 0;

started();

/** @returns {Worker} */
function started() {
  if (worker) return worker;
  worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data: { id, result, problem } }) => {
    const asked = waiting.get(id);
    waiting.delete(id);
    if (problem === undefined) asked?.resolve(result);
    else asked?.reject(new Error(problem));
  });
  // Its file could not be loaded, or it ran out of memory: the next job starts another one.
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    worker = null;
    for (const { reject } of waiting.values())
      reject(new Error(`The part of the page that computes has stopped${event.message ? `: ${event.message}` : ""}.`));
    waiting.clear();
  });
  return worker;
}

/**
 * @template {keyof typeof import("./jobs.js").JOBS} Name
 * @param {Name} job
 * @param {Parameters<(typeof import("./jobs.js").JOBS)[Name]>} given
 * @param {Transferable[]} [transfer] buffers of `given` that the page needs no more
 * @returns {Promise<Awaited<ReturnType<(typeof import("./jobs.js").JOBS)[Name]>>>}
 */
export function inBackground(job, given, transfer = []) {
  return new Promise((resolve, reject) => {
    const id = ++last;
    waiting.set(id, { resolve, reject });
    started().postMessage({ id, job, given }, transfer);
  });
}
