/**
 * What the annotator told the model about one image, besides pixels: clicks, scribbles, a box, the threshold, the
 * polygon that is being drawn and the model's last answer. A guidance is never changed; each function gives a new one,
 * so that undo keeps the old.
 *
 * @typedef {[number, number]} Point
 * @typedef {{x: number, y: number, positive: boolean, value: number}} Click
 * @typedef {{points: Point[], positive: boolean, value: number}} Scribble
 * @typedef {{points: Point[], closed: boolean, value: number}} Polygon
 * @typedef {import("./answer.js").Plane} Plane
 * @typedef {{width: number, height: number, runs: Uint32Array}} PackedPlane a plane as run lengths: undo keeps many
 * @typedef {{job: string, value: number | null, mask: PackedPlane, probability: Map<number, Plane>,
 *   maps: {edge?: Plane, uncertainty?: Plane}}} Answer of the model: to guidance 0 and 1 for the class `value`, without
 *   guidance class numbers (`value` is null); `probability` by class number
 * @typedef {{clicks: Click[], scribbles: Scribble[], box: [number, number, number, number] | null,
 *   threshold: number, polygon: Polygon | null, answer: Answer | null}} Guidance
 */

import { DEFAULT_THRESHOLD } from "./answer.js";

/** @type {Guidance} */
export const NO_GUIDANCE = Object.freeze({
  clicks: [],
  scribbles: [],
  box: null,
  threshold: DEFAULT_THRESHOLD,
  polygon: null,
  answer: null,
});

/**
 * @param {Guidance} guidance
 * @param {number} value class number
 * @returns {boolean} whether the model was told anything about the class
 */
export function guides({ clicks, scribbles, box }, value) {
  return (
    box !== null ||
    clicks.some((click) => click.value === value) ||
    scribbles.some((scribble) => scribble.value === value)
  );
}

/**
 * The guidance about a class in the words of `POST /api/infer`.
 * @param {Guidance} guidance
 * @param {number} value class number
 */
export function toRequest(guidance, value) {
  const points = (/** @type {boolean} */ positive) =>
    guidance.clicks
      .filter((click) => click.positive === positive && click.value === value)
      .map(({ x, y }) => [Math.floor(x), Math.floor(y)]);
  const lines = (/** @type {boolean} */ positive) =>
    guidance.scribbles
      .filter((scribble) => scribble.positive === positive && scribble.value === value)
      .map((scribble) => scribble.points.map(([x, y]) => [Math.floor(x), Math.floor(y)]));
  return {
    foreground: points(true),
    background: points(false),
    foreground_scribbles: lines(true),
    background_scribbles: lines(false),
    box: guidance.box,
  };
}

/**
 * @param {Polygon} polygon
 * @param {number} index
 * @param {Point} point
 * @returns {Polygon} with a point moved
 */
export function movePoint(polygon, index, point) {
  return { ...polygon, points: polygon.points.map((old, i) => (i === index ? point : old)) };
}

/**
 * @param {Polygon} polygon
 * @param {number} index
 * @param {Point} point
 * @returns {Polygon} with a point more, before the one of that index
 */
export function insertPoint(polygon, index, point) {
  return { ...polygon, points: [...polygon.points.slice(0, index), point, ...polygon.points.slice(index)] };
}

/**
 * @param {Polygon} polygon
 * @param {number} index
 * @returns {Polygon | null} without a point; null where too few are left
 */
export function removePoint(polygon, index) {
  const points = polygon.points.filter((_, i) => i !== index);
  return points.length < (polygon.closed ? 3 : 1) ? null : { ...polygon, points };
}

/**
 * @param {Guidance} guidance
 * @returns {Click[]} the places that the answer must respect: clicks, and the points of the scribbles
 */
export function places(guidance) {
  const scribbled = guidance.scribbles.flatMap(({ points, positive, value }) =>
    points.map(([x, y]) => ({ x, y, positive, value })),
  );
  return [...guidance.clicks, ...scribbled];
}
