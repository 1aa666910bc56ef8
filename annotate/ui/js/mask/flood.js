/** Pixels joined at their sides. */

/**
 * @param {Uint8Array} state row by row, where 0 is free; the pixels reached become `mark`
 * @param {number} width
 * @param {number} start a free pixel
 * @param {number} mark not 0
 * @param {Int32Array} queue of at least the length of `state`; its first values become the pixels reached
 * @returns {number} how many pixels were reached
 */
export function flood(state, width, start, mark, queue) {
  let count = 1;
  queue[0] = start;
  state[start] = mark;
  for (let next = 0; next < count; next++) {
    const i = queue[next];
    const column = i % width;
    if (column > 0 && state[i - 1] === 0) {
      state[i - 1] = mark;
      queue[count++] = i - 1;
    }
    if (column < width - 1 && state[i + 1] === 0) {
      state[i + 1] = mark;
      queue[count++] = i + 1;
    }
    if (i >= width && state[i - width] === 0) {
      state[i - width] = mark;
      queue[count++] = i - width;
    }
    if (i + width < state.length && state[i + width] === 0) {
      state[i + width] = mark;
      queue[count++] = i + width;
    }
  }
  return count;
}
