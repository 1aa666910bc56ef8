/** A training's curve: Dice (full line, 0 to 1) and loss (dashed, 0 to its largest) over the epochs. */

const WIDTH = 280;
const HEIGHT = 130;
const MARGIN = { left: 26, right: 8, top: 18, bottom: 16 };

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 */
function s(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  if (text) element.textContent = text;
  return element;
}

/**
 * @param {{epoch: number, loss: number | null, dice: number | null}[]} points
 * @returns {SVGElement}
 */
export function curve(points) {
  const last = points[points.length - 1];
  const first = points[0].epoch;
  const epochs = Math.max(1, last.epoch - first);
  const most = Math.max(1e-9, ...points.map(({ loss }) => loss ?? 0));
  const x = (/** @type {number} */ epoch) =>
    MARGIN.left + ((epoch - first) / epochs) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (/** @type {number} */ share) => HEIGHT - MARGIN.bottom - share * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const line = (/** @type {"dice" | "loss"} */ key, /** @type {number} */ scale) =>
    points
      .filter((point) => typeof point[key] === "number")
      .map((point) => `${x(point.epoch).toFixed(1)},${y(/** @type {number} */ (point[key]) / scale).toFixed(1)}`)
      .join(" ");
  const number = (/** @type {number | null} */ value, /** @type {number} */ digits) =>
    typeof value === "number" ? value.toFixed(digits) : "–";
  const words = `Dice ${number(last.dice, 4)}, loss ${number(last.loss, 3)}`;
  const svg = s("svg", {
    class: "curve",
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "img",
    "aria-label": `After epoch ${last.epoch}: ${words}`,
  });
  for (const share of [0, 0.5, 1]) {
    svg.append(
      s("line", { class: "grid", x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: y(share), y2: y(share) }),
      s("text", { x: 4, y: y(share) + 3 }, share.toFixed(1)),
    );
  }
  svg.append(
    s("polyline", { class: "loss", points: line("loss", most) }),
    s("polyline", { class: "dice", points: line("dice", 1) }),
    s("text", { x: MARGIN.left, y: 12 }, `${words} (dashed, of ${most.toFixed(2)})`),
    s("text", { x: MARGIN.left, y: HEIGHT - 4 }, `epoch ${first}`),
    s("text", { x: WIDTH - MARGIN.right, y: HEIGHT - 4, "text-anchor": "end" }, String(last.epoch)),
  );
  if (points.length === 1 && typeof last.dice === "number")
    svg.append(s("circle", { cx: x(first), cy: y(last.dice), r: 3, fill: "var(--accent)" }));
  return svg;
}
