/**
 * Run lengths of bytes: how tiles of a label lie in the undo history and in drafts.
 * A run is one unsigned 32-bit number, `length * 256 + value`, so that a run holds at most 2^24 - 1 bytes.
 */

const LONGEST = 0xffffff;

/**
 * @param {Uint8Array} bytes
 * @returns {Uint32Array} the runs, in order
 */
export function encodeRuns(bytes) {
  const runs = [];
  let start = 0;
  while (start < bytes.length) {
    const value = bytes[start];
    let end = start + 1;
    while (end < bytes.length && bytes[end] === value && end - start < LONGEST) end++;
    runs.push((end - start) * 256 + value);
    start = end;
  }
  return Uint32Array.from(runs);
}

/**
 * @param {Uint32Array} runs what {@link encodeRuns} gave
 * @param {Uint8Array} bytes filled with the values; its length must be the sum of the runs
 * @returns {Uint8Array} `bytes`
 */
export function decodeRuns(runs, bytes) {
  let at = 0;
  for (const run of runs) {
    const end = at + Math.floor(run / 256);
    bytes.fill(run & 255, at, end);
    at = end;
  }
  if (at !== bytes.length) throw new Error(`The runs hold ${at} bytes, ${bytes.length} were expected.`);
  return bytes;
}
