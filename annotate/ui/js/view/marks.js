/** What is drawn over the label as lines and dots: clicks, scribbles, the box, the polygon, the crosshair of the keyboard. */

/**
 * @typedef {import("./viewport.js").Viewport} Viewport
 * @typedef {import("../mask/guidance.js").Guidance} Guidance
 * @typedef {[number, number]} Point
 */

const ADDS = "#37d67a";
const REMOVES = "#ff5b50";

/**
 * @param {CanvasRenderingContext2D} context in CSS pixels
 * @param {Viewport} view
 * @param {Guidance} guidance
 * @param {string} colour of the polygon's class
 */
export function drawGuidance(context, view, guidance, colour) {
  for (const { points, positive } of guidance.scribbles) drawLine(context, view, points, positive);
  if (guidance.box) drawBox(context, view, guidance.box);
  for (const { x, y, positive } of guidance.clicks) drawClick(context, view.toScreen([x, y]), positive);
  if (guidance.polygon) drawPolygon(context, view, guidance.polygon, colour);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Point} at
 * @param {boolean} positive a plus, or a minus
 */
function drawClick(context, [x, y], positive) {
  context.beginPath();
  context.arc(x, y, 6.5, 0, 2 * Math.PI);
  context.fillStyle = positive ? ADDS : REMOVES;
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = "#000c";
  context.stroke();
  context.beginPath();
  context.moveTo(x - 3.2, y);
  context.lineTo(x + 3.2, y);
  if (positive) {
    context.moveTo(x, y - 3.2);
    context.lineTo(x, y + 3.2);
  }
  context.lineWidth = 2;
  context.strokeStyle = "#000";
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Viewport} view
 * @param {Point[]} points
 * @param {boolean} positive
 */
export function drawLine(context, view, points, positive) {
  path(context, view, points);
  context.lineCap = context.lineJoin = "round";
  twice(context, positive ? ADDS : REMOVES, 3, positive ? [] : [7, 5]);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Viewport} view
 * @param {[number, number, number, number]} box
 */
export function drawBox(context, view, [x0, y0, x1, y1]) {
  path(context, view, [
    [x0, y0],
    [x1, y0],
    [x1, y1],
    [x0, y1],
  ]);
  context.closePath();
  twice(context, "#ffd84d", 2, [8, 5]);
  for (const corner of /** @type {Point[]} */ ([
    [x0, y0],
    [x1, y0],
    [x1, y1],
    [x0, y1],
  ]))
    handle(context, view.toScreen(corner), "#ffd84d");
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Viewport} view
 * @param {import("../mask/guidance.js").Polygon} polygon
 * @param {string} colour
 */
function drawPolygon(context, view, { points, closed }, colour) {
  path(context, view, points);
  if (closed) {
    context.closePath();
    context.globalAlpha = 0.25;
    context.fillStyle = colour;
    context.fill();
    context.globalAlpha = 1;
  }
  twice(context, colour, 2, []);
  points.forEach((point, i) => handle(context, view.toScreen(point), i === 0 && !closed ? "#ffd84d" : "#fff"));
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Point} at
 */
export function drawCrosshair(context, [x, y]) {
  context.beginPath();
  for (const [dx, dy] of [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ]) {
    context.moveTo(x + 5 * dx, y + 5 * dy);
    context.lineTo(x + 18 * dx, y + 18 * dy);
  }
  twice(context, "#fff", 2, []);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Point} at
 * @param {number} radius CSS pixels
 * @param {string} colour
 */
export function drawRing(context, [x, y], radius, colour) {
  context.beginPath();
  context.arc(x, y, Math.max(1.5, radius), 0, 2 * Math.PI);
  twice(context, colour, 1.5, []);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Point} at
 * @param {string} colour
 */
function handle(context, [x, y], colour) {
  context.fillStyle = colour;
  context.strokeStyle = "#000d";
  context.lineWidth = 1.5;
  context.beginPath();
  context.rect(x - 4, y - 4, 8, 8);
  context.fill();
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Viewport} view
 * @param {Point[]} points
 */
function path(context, view, points) {
  context.beginPath();
  points.forEach((point, i) => {
    const [x, y] = view.toScreen(point);
    if (i) context.lineTo(x, y);
    else context.moveTo(x, y);
  });
}

/**
 * A line that shows on any ground: its colour over a dark one that is wider.
 * @param {CanvasRenderingContext2D} context
 * @param {string} colour
 * @param {number} width
 * @param {number[]} dash
 */
function twice(context, colour, width, dash) {
  context.setLineDash([]);
  context.lineWidth = width + 2;
  context.strokeStyle = "#0009";
  context.stroke();
  context.setLineDash(dash);
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
  context.setLineDash([]);
}
