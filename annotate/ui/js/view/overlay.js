/**
 * A label as colours at the resolution of the screen: the cost depends on the canvas, not on the image.
 * Without DOM: it writes RGBA numbers into an array.
 */

/**
 * @typedef {{colour: [number, number, number]}} Coloured
 * @typedef {{fill: Uint32Array, edge: Uint32Array, halo: number}} Palette colours by class number, as little-endian RGBA
 * @typedef {{x: number, y: number, width: number, height: number}} Rect
 */

/**
 * @param {Map<number, [number, number, number]>} colours by class number
 * @param {number} fill opacity, 0 to 1
 * @param {number} edge opacity, 0 to 1
 * @returns {Palette}
 */
export function makePalette(colours, fill, edge) {
  const palette = { fill: new Uint32Array(256), edge: new Uint32Array(256), halo: rgba([0, 0, 0], 0.45 * edge) };
  for (let value = 1; value < 256; value++) {
    const colour = colours.get(value) ?? [255, 255, 255];
    palette.fill[value] = rgba(colour, fill);
    palette.edge[value] = rgba(colour, edge);
  }
  return palette;
}

/**
 * @param {[number, number, number]} colour
 * @param {number} opacity
 */
function rgba([red, green, blue], opacity) {
  return ((Math.round(opacity * 255) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/**
 * @param {{labels: Uint8Array, width: number, height: number}} mask
 * @param {{scale: number, x: number, y: number}} transform overlay pixel = image pixel * scale + (x, y)
 * @param {Rect} rect overlay pixels to paint
 * @param {Palette} palette
 * @param {number} line width of the outline, overlay pixels
 * @returns {Uint32Array<ArrayBuffer>} RGBA of the rectangle, row by row
 */
export function paintOverlay(mask, transform, rect, palette, line) {
  const across = rect.width + 2 * line;
  const down = rect.height + 2 * line;
  const columns = sources(across, rect.x - line, transform.x, transform.scale, mask.width);
  const rows = sources(down, rect.y - line, transform.y, transform.scale, mask.height);
  const sampled = new Uint8Array(across * down);
  for (let y = 0; y < down; y++) {
    if (rows[y] < 0) continue;
    const from = rows[y] * mask.width;
    const to = y * across;
    for (let x = 0; x < across; x++) if (columns[x] >= 0) sampled[to + x] = mask.labels[from + columns[x]];
  }
  const { fill, edge, halo } = palette;
  const pixels = new Uint32Array(rect.width * rect.height);
  for (let y = 0; y < rect.height; y++) {
    let at = (y + line) * across + line;
    let to = y * rect.width;
    for (let x = 0; x < rect.width; x++, at++, to++) {
      const value = sampled[at];
      if (value) {
        const inside =
          sampled[at - line] === value &&
          sampled[at + line] === value &&
          sampled[at - line * across] === value &&
          sampled[at + line * across] === value;
        pixels[to] = inside ? fill[value] : edge[value];
      } else if (sampled[at - 1] || sampled[at + 1] || sampled[at - across] || sampled[at + across]) {
        pixels[to] = halo;
      }
    }
  }
  return pixels;
}

/**
 * @param {number} count
 * @param {number} start overlay pixel of the first
 * @param {number} offset
 * @param {number} scale
 * @param {number} size of the image
 * @returns {Int32Array} the image pixel under the centre of each overlay pixel, -1 outside
 */
function sources(count, start, offset, scale, size) {
  const result = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const at = Math.floor((start + i + 0.5 - offset) / scale);
    result[i] = at >= 0 && at < size ? at : -1;
  }
  return result;
}
