/** A map of the model (probability, uncertainty, edges) as colours over the image. */

/**
 * Colours from low to high: dark violet, magenta, orange, light yellow. The opacity grows with the value.
 * @type {[number, number, number][]}
 */
const STOPS = [
  [22, 8, 60],
  [135, 28, 110],
  [226, 84, 58],
  [252, 172, 40],
  [252, 255, 180],
];

/** @returns {Uint32Array} little-endian RGBA by value, 0 to 255 */
function ramp() {
  return Uint32Array.from({ length: 256 }, (_, value) => {
    const at = (value / 255) * (STOPS.length - 1);
    const low = Math.min(STOPS.length - 2, Math.floor(at));
    const [red, green, blue] = STOPS[low].map((channel, i) =>
      Math.round(channel + (STOPS[low + 1][i] - channel) * (at - low)),
    );
    const opacity = Math.round(Math.min(1, value / 90) * 200);
    return ((opacity << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
}

const RAMP = ramp();

/** The ramp as a CSS background, for the legend. */
export const GRADIENT = `linear-gradient(90deg, ${STOPS.map((stop) => `rgb(${stop.join(" ")})`).join(", ")})`;

/**
 * @param {import("../mask/answer.js").Plane} plane
 * @returns {HTMLCanvasElement} of the plane's size
 */
export function heatmap(plane) {
  const canvas = document.createElement("canvas");
  canvas.width = plane.width;
  canvas.height = plane.height;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(plane.width, plane.height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = RAMP[plane.data[i]];
  context.putImageData(image, 0, 0);
  return canvas;
}
