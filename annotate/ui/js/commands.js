/**
 * Everything the page can do that is worth a key: one table, from which the keyboard, the buttons' hints and the cheat
 * sheet are made. A key is written as in `Ctrl+Shift+Z`; letters are those of the keyboard's layout.
 *
 * @typedef {import("./workspace.js").Workspace} Workspace
 * @typedef {{group: string, label: string, keys: string[], run: (workspace: Workspace) => void}} Command
 */

import { toggleHelp } from "./panels/help.js";

const THRESHOLD_STEP = 5;

/**
 * @param {Workspace} workspace
 * @param {number} factor
 */
function resizeBrush({ settings }, factor) {
  const { size } = settings.values;
  const next =
    factor > 1 ? Math.max(size + 1, Math.round(size * factor)) : Math.min(size - 1, Math.round(size * factor));
  settings.set({ size: Math.max(1, Math.min(500, next)) });
}

/** @param {Workspace} workspace */
function outlineToPolygon(workspace) {
  const { stage, annotation, settings } = workspace;
  if (!annotation) return;
  const at = stage.crosshair ?? stage.hover ?? centreOf(annotation.mask, settings.values.value);
  workspace.choose("polygon");
  if (!at || !workspace.tools.polygon.takeOutline(at))
    workspace.say("Point at a piece of the label first; its outline then gets points to drag.");
}

/**
 * @param {import("./mask/label.js").LabelMask} mask
 * @param {number} value
 * @returns {[number, number] | null} a pixel of the class
 */
function centreOf(mask, value) {
  const first = mask.labels.indexOf(value);
  return first < 0 ? null : [first % mask.width, Math.floor(first / mask.width)];
}

/**
 * @param {Workspace} workspace
 * @param {"opacity" | "threshold"} what
 * @param {number} step
 */
function nudge({ settings, annotation, model }, what, step) {
  if (what === "opacity") settings.set({ fill: Math.max(0, Math.min(100, settings.values.fill + step)) });
  else if (annotation) model.setThreshold(annotation.guidance.threshold + step);
}

/** @type {Record<string, Command>} */
export const COMMANDS = {
  click: { group: "Tools", label: "Click: add or remove for the model", keys: ["C"], run: (w) => w.choose("click") },
  scribble: { group: "Tools", label: "Scribble for the model", keys: ["S"], run: (w) => w.choose("scribble") },
  box: { group: "Tools", label: "Box (Shift fills it)", keys: ["R"], run: (w) => w.choose("box") },
  brush: { group: "Tools", label: "Brush", keys: ["B"], run: (w) => w.choose("brush") },
  eraser: { group: "Tools", label: "Eraser", keys: ["E"], run: (w) => w.choose("eraser") },
  polygon: { group: "Tools", label: "Polygon", keys: ["P"], run: (w) => w.choose("polygon") },
  pan: { group: "Tools", label: "Move the image", keys: ["H"], run: (w) => w.choose("pan") },
  window: {
    group: "Tools",
    label: "Window and level (16 bit)",
    keys: ["W"],
    run: (w) => (w.annotation?.item.bits ?? 8) > 8 && w.choose("window"),
  },
  swap: {
    group: "Tools",
    label: "Swap adding and removing",
    keys: ["X"],
    run: (w) => w.settings.set({ positive: !w.settings.values.positive }),
  },
  smaller: { group: "Tools", label: "Brush smaller", keys: ["["], run: (w) => resizeBrush(w, 1 / 1.25) },
  larger: { group: "Tools", label: "Brush larger", keys: ["]"], run: (w) => resizeBrush(w, 1.25) },

  undo: { group: "Label", label: "Undo", keys: ["Ctrl+Z"], run: (w) => w.undo() },
  redo: { group: "Label", label: "Redo", keys: ["Ctrl+Shift+Z", "Ctrl+Y"], run: (w) => w.redo() },
  fillHoles: {
    group: "Label",
    label: "Fill holes",
    keys: ["G"],
    run: (w) => w.repairs.fillHoles(),
  },
  smooth: {
    group: "Label",
    label: "Smooth the outline",
    keys: ["M"],
    run: (w) => w.repairs.smooth(),
  },
  largest: {
    group: "Label",
    label: "Keep the largest piece",
    keys: ["L"],
    run: (w) => w.repairs.keepLargest(),
  },
  outline: { group: "Label", label: "Outline to polygon", keys: ["J"], run: outlineToPolygon },
  clear: {
    group: "Label",
    label: "Clear the label",
    keys: ["Shift+Delete"],
    run: ({ annotation }) =>
      annotation?.perform("Clear", (edit) => edit.clear(), { clicks: [], scribbles: [], box: null, polygon: null }),
  },

  ask: { group: "Model", label: "Ask the model again", keys: ["A"], run: (w) => w.askModel() },
  afresh: {
    group: "Model",
    label: "Start over, give up corrections",
    keys: ["Shift+A"],
    run: (w) => w.model.askAfresh(),
  },
  lower: {
    group: "Model",
    label: "Threshold lower (larger lesion)",
    keys: [","],
    run: (w) => nudge(w, "threshold", -THRESHOLD_STEP),
  },
  higher: {
    group: "Model",
    label: "Threshold higher (smaller lesion)",
    keys: ["."],
    run: (w) => nudge(w, "threshold", THRESHOLD_STEP),
  },
  uncertainty: { group: "Model", label: "Uncertainty map", keys: ["U"], run: (w) => w.model.toggleMap("uncertainty") },
  edge: { group: "Model", label: "Edge map", keys: ["D"], run: (w) => w.model.toggleMap("edge") },
  probability: { group: "Model", label: "Probability map", keys: ["Y"], run: (w) => w.model.toggleMap("probability") },

  hide: {
    group: "View",
    label: "Hide or show the label",
    keys: ["O"],
    run: (w) => w.settings.set({ visible: !w.settings.values.visible }),
  },
  fainter: { group: "View", label: "Fill fainter", keys: ["Shift+T"], run: (w) => nudge(w, "opacity", -10) },
  stronger: { group: "View", label: "Fill stronger", keys: ["T"], run: (w) => nudge(w, "opacity", 10) },
  zoomIn: { group: "View", label: "Zoom in", keys: ["+"], run: (w) => w.stage.zoom(1.3) },
  zoomOut: { group: "View", label: "Zoom out", keys: ["-"], run: (w) => w.stage.zoom(1 / 1.3) },
  fit: { group: "View", label: "Whole image", keys: ["0"], run: (w) => w.stage.fit() },
  actual: { group: "View", label: "Actual pixels", keys: ["Z"], run: (w) => w.stage.actualSize() },
  theme: {
    group: "View",
    label: "Dark or light",
    keys: ["Shift+L"],
    run: (w) => w.settings.set({ theme: document.documentElement.dataset.theme === "light" ? "dark" : "light" }),
  },

  submit: { group: "Image", label: "Submit", keys: ["Ctrl+Enter"], run: (w) => w.submitting.submit() },
  next: { group: "Image", label: "Next image by the model's choice", keys: ["N"], run: (w) => w.submitting.next() },
  skip: { group: "Image", label: "Skip", keys: ["K"], run: (w) => w.submitting.mark("skipped") },
  flag: { group: "Image", label: "Flag for somebody else", keys: ["F"], run: (w) => w.submitting.mark("flagged") },
  comment: {
    group: "Image",
    label: "Write a comment",
    keys: ["I"],
    run: (w) => w.dispatchEvent(new CustomEvent("focus", { detail: "comment" })),
  },
  previousInList: {
    group: "Image",
    label: "Previous in the list",
    keys: ["PageUp"],
    run: (w) => w.dispatchEvent(new CustomEvent("step", { detail: -1 })),
  },
  nextInList: {
    group: "Image",
    label: "Next in the list",
    keys: ["PageDown"],
    run: (w) => w.dispatchEvent(new CustomEvent("step", { detail: 1 })),
  },

  canvas: { group: "Page", label: "To the image", keys: ["Q"], run: (w) => w.stage.layers.marks.focus() },
  search: {
    group: "Page",
    label: "Search the list",
    keys: ["/"],
    run: (w) => w.dispatchEvent(new CustomEvent("focus", { detail: "search" })),
  },
  list: {
    group: "Page",
    label: "Hide or show the list",
    keys: ["Shift+I"],
    run: (w) => w.settings.showList(!w.settings.listShown),
  },
  tabLabel: { group: "Page", label: "Label, versions, model", keys: ["Alt+1", "Alt+2", "Alt+3"], run: () => {} },
  help: { group: "Page", label: "This sheet", keys: ["?"], run: toggleHelp },
};

/**
 * Keys that the canvas has by itself, for the cheat sheet.
 * @type {[string, string, string[]][]}
 */
export const CANVAS_KEYS = [
  ["Canvas", "Move the crosshair (Shift: ten times as far)", ["↑ ↓ ← →"]],
  ["Canvas", "Press or release the tool at the crosshair", ["Enter"]],
  ["Canvas", "The tool's opposite there (remove)", ["Alt+Enter"]],
  ["Canvas", "Close the polygon, then fill it", ["Enter"]],
  ["Canvas", "Remove the last point", ["Backspace"]],
  ["Canvas", "Move the view", ["Alt+↑ ↓ ← →"]],
  ["Canvas", "Give up the stroke or the crosshair", ["Escape"]],
  ["Mouse", "Add, or draw", ["Left"]],
  ["Mouse", "Remove", ["Right", "Alt+Left"]],
  ["Mouse", "Zoom", ["Wheel"]],
  ["Mouse", "Move the view", ["Space+Drag", "Middle"]],
  ["Touch", "Zoom and move", ["Two fingers"]],
  ["Touch", "Brush of the pen's pressure; fingers then only move", ["Pen"]],
  ["Classes", "Choose a class", ["1 … 9"]],
];
