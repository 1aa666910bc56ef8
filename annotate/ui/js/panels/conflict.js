/** Two labels of one image: mine, the one somebody submitted meanwhile, and where they differ; the annotator chooses. */

import { ask, h, moment } from "../dom.js";
import { makePalette, paintOverlay } from "../view/overlay.js";

/**
 * @typedef {import("../mask/answer.js").Plane} Plane
 * @typedef {import("../workspace.js").Workspace} Workspace
 */

const SIZE = 280;

/**
 * @param {Workspace} workspace
 * @param {import("../store/outbox.js").Submission} submission
 * @param {Plane} mine
 * @param {Plane} theirs
 * @returns {Promise<string>} "mine", "theirs", or "" for later
 */
export async function chooseVersion(workspace, submission, mine, theirs) {
  const conflict = /** @type {import("../store/outbox.js").Current} */ (submission.conflict);
  const view = await workspace.api.blob(`${workspace.api.image(submission.image)}/view`, { max: SIZE * 2 });
  const picture = await createImageBitmap(view);
  const difference = {
    ...mine,
    data: mine.data.map((value, i) => (value === theirs.data[i] ? 0 : value && theirs.data[i] ? 3 : value ? 1 : 2)),
  };
  const differing = difference.data.reduce((sum, value) => sum + (value ? 1 : 0), 0);
  const share = (100 * differing) / difference.data.length;
  const own = new Map(workspace.colours);
  const compared = new Map(
    /** @type {[number, [number, number, number]][]} */ ([
      [1, [55, 214, 122]],
      [2, [255, 91, 80]],
      [3, [255, 216, 77]],
    ]),
  );
  return ask(
    "Somebody else submitted this image",
    [
      h(
        "p",
        {},
        h("strong", {}, conflict.by || "Somebody"),
        ` submitted version ${conflict.version} of ${submission.name} on ${moment(conflict.when)}, after you opened it. Nothing is lost: whichever you choose, both stay among the versions.`,
      ),
      h(
        "div",
        { class: "sides" },
        side("Your label", picture, mine, own, 0.3),
        side(`Version ${conflict.version} by ${conflict.by || "somebody"}`, picture, theirs, own, 0.3),
        side("Only yours green, only theirs red", picture, difference, compared, 0.65),
      ),
      h(
        "p",
        { class: "quiet" },
        differing
          ? `They differ in ${differing.toLocaleString()} pixels (${share.toFixed(share < 1 ? 2 : 1)} %).`
          : "The two labels are the same.",
      ),
    ],
    [
      { label: "Decide later", value: "" },
      { label: "Open theirs", value: "theirs" },
      { label: "Submit mine as the newest", value: "mine", primary: true },
    ],
  );
}

/**
 * @param {string} caption
 * @param {ImageBitmap} picture
 * @param {Plane} plane
 * @param {Map<number, [number, number, number]>} colours
 * @param {number} fill
 */
function side(caption, picture, plane, colours, fill) {
  const scale = (2 * SIZE) / Math.max(plane.width, plane.height);
  const width = Math.max(1, Math.round(plane.width * scale));
  const height = Math.max(1, Math.round(plane.height * scale));
  const canvas = h("canvas", { width, height, role: "img", "aria-label": caption });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const label = h("canvas", { width, height });
  const pixels = paintOverlay(
    { labels: plane.data, width: plane.width, height: plane.height },
    { scale, x: 0, y: 0 },
    { x: 0, y: 0, width, height },
    makePalette(colours, fill, 1),
    3,
  );
  label.getContext("2d")?.putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), width, height), 0, 0);
  context.drawImage(picture, 0, 0, width, height);
  context.drawImage(label, 0, 0);
  return h("figure", {}, canvas, h("figcaption", {}, caption));
}
