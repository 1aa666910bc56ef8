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
  const aligned = bytes.byteOffset % 4 === 0;
  const words = aligned ? new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2) : new Uint32Array();
  let start = 0;
  while (start < bytes.length) {
    const value = bytes[start];
    let end = start + 1;
    while (end & 3 && end < bytes.length && bytes[end] === value) end++;
    if (!(end & 3)) {
      const word = value * 0x1010101; // four at a time
      let at = end >> 2;
      while (at < words.length && words[at] === word) at++;
      end = Math.max(end, at << 2);
      while (end < bytes.length && bytes[end] === value) end++;
    }
    for (; end - start > LONGEST; start += LONGEST) runs.push(LONGEST * 256 + value);
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
