/** The tools at the canvas's left side, the options of the tool in hand above it, zoom buttons, what the model does. */

import { COMMANDS } from "../commands.js";
import { byId, h, plural, slider } from "../dom.js";
import { icon } from "../icons.js";
import { GRADIENT } from "../view/heatmap.js";

/**
 * @typedef {import("../workspace.js").Workspace} Workspace
 * @typedef {import("../settings.js").ToolName} ToolName
 */

/** @type {ToolName[]} */
const TOOLS = ["click", "scribble", "box", "brush", "eraser", "polygon", "pan", "window"];

/** The pointer over the image, where it is no crosshair: brushes draw a ring. @type {Record<string, string>} */
const CURSORS = { pan: "grab", brush: "none", eraser: "none", window: "ns-resize" };

/** Command and icon of the buttons under the tools. @type {[string, string][]} */
const ACTIONS = [
  ["undo", "undo"],
  ["redo", "redo"],
];

/** Command, icon and short name of the buttons above the canvas. @type {[string, string, string][]} */
const REPAIRS = [
  ["fillHoles", "holes", "Fill holes"],
  ["smooth", "smooth", "Smooth"],
  ["largest", "largest", "Keep largest"],
  ["outline", "outline", "To polygon"],
];

/** @type {Record<ToolName, string>} */
const HINTS = {
  click: "Left: lesion. Right or Alt: not lesion.",
  scribble: "Draw along what belongs; right or Alt for what does not.",
  box: "Draw a box around the lesion. Shift fills the box.",
  brush: "Draw the class; right or Alt erases.",
  eraser: "Right or Alt draws.",
  polygon: "Set points; drag them; Enter closes, Enter again fills. Alt or right removes a point.",
  pan: "Drag to move, wheel to zoom.",
  window: "Across: width. Up and down: level.",
};

/**
 * @param {Workspace} workspace
 * @param {string} name of a command
 * @param {Node | string} content
 * @param {Record<string, any>} [properties]
 */
export function commandButton(workspace, name, content, properties = {}) {
  const { label, keys, run } = COMMANDS[name];
  return h(
    "button",
    {
      type: "button",
      title: `${label} (${keys.join(" or ")})`,
      "aria-label": properties.class?.includes("icon") ? label : undefined,
      "aria-keyshortcuts": keys.map((key) => key.replace("Ctrl", "Control")).join(" "),
      "data-command": name,
      onclick: () => workspace.repairs.inTurn(() => run(workspace)),
      ...properties,
    },
    content,
  );
}

/** @param {Workspace} workspace */
export function mountTools(workspace) {
  const host = byId("tools");
  const buttons = new Map(TOOLS.map((tool) => [tool, commandButton(workspace, tool, icon(tool), { class: "icon" })]));
  const actions = new Map(
    ACTIONS.map(([name, picture]) => [name, commandButton(workspace, name, icon(picture), { class: "icon" })]),
  );
  host.append(
    ...buttons.values(),
    h("hr"),
    ...actions.values(),
    h("hr"),
    commandButton(workspace, "hide", icon("eye"), { class: "icon" }),
  );
  host.addEventListener("keydown", (event) => {
    const all = /** @type {HTMLButtonElement[]} */ ([...host.querySelectorAll("button:not(:disabled):not([hidden])")]);
    const at = all.indexOf(/** @type {any} */ (document.activeElement));
    const next = { ArrowDown: at + 1, ArrowUp: at - 1 }[event.key];
    if (next === undefined || at < 0) return;
    event.preventDefault();
    all[(next + all.length) % all.length].focus();
  });
  const draw = () => {
    const { annotation, interactive, settings } = workspace;
    for (const [tool, button] of buttons) {
      button.setAttribute("aria-pressed", String(settings.values.tool === tool));
      const needsModel = tool === "click" || tool === "scribble";
      button.disabled = needsModel && !interactive;
      if (needsModel)
        button.title = interactive
          ? `${COMMANDS[tool].label} (${COMMANDS[tool].keys[0]})`
          : "The model in use takes no clicks and scribbles; draw with brush and polygon.";
    }
    /** @type {HTMLElement} */ (buttons.get("window")).hidden = (annotation?.item.bits ?? 8) <= 8;
    /** @type {HTMLButtonElement} */ (actions.get("undo")).disabled = !annotation?.history.done.length;
    /** @type {HTMLButtonElement} */ (actions.get("redo")).disabled = !annotation?.history.undone.length;
    host.querySelector("[data-command=hide]")?.setAttribute("aria-pressed", String(!settings.values.visible));
    workspace.stage.layers.marks.style.cursor = CURSORS[settings.values.tool] ?? "crosshair";
  };
  workspace.settings.addEventListener("change", draw);
  for (const name of ["session", "change", "annotation"]) workspace.addEventListener(name, draw);
  draw();
}

/** @param {Workspace} workspace */
export function mountOptions(workspace) {
  const host = byId("options");
  const { settings } = workspace;
  const size = slider("Brush", {
    min: 0,
    max: 100,
    value: toSlider(settings.values.size),
    format: (value) => `${fromSlider(value)} px`,
    keys: "[ ]",
    oninput: (value) => settings.set({ size: fromSlider(value) }),
  });
  size.element.className = "size";
  const signs = h(
    "div",
    { class: "row", role: "radiogroup", "aria-label": "What the tool does" },
    ...[true, false].map((positive) => {
      const label = positive ? "Add" : "Remove";
      const choose = () => settings.set({ positive });
      const properties = {
        type: "button",
        role: "radio",
        "data-sign": String(positive),
        title: `${label} (X swaps)`,
        onclick: choose,
      };
      return h("button", properties, icon(positive ? "plus" : "minus"), label);
    }),
  );
  const hint = h("span", { class: "hint quiet small" });
  const repairs = h(
    "div",
    { class: "row", role: "group", "aria-label": "Repairs" },
    ...REPAIRS.map(([name, picture, label]) => {
      const button = commandButton(workspace, name, icon(picture));
      button.append(h("span", { class: "wide-only" }, label));
      button.setAttribute("aria-label", COMMANDS[name].label);
      return button;
    }),
  );
  const finish = h("button", {
    type: "button",
    onclick: () => workspace.repairs.inTurn(() => workspace.tools.polygon.finish()),
  });
  host.append(signs, size.element, finish, hint, repairs);
  const draw = () => {
    const { tool, positive } = settings.values;
    signs.hidden = !["click", "scribble"].includes(tool);
    size.element.hidden = !["brush", "eraser"].includes(tool);
    size.set(toSlider(settings.values.size));
    for (const button of signs.children) {
      const chosen = /** @type {HTMLElement} */ (button).dataset.sign === String(positive);
      button.setAttribute("aria-checked", String(chosen));
    }
    const polygon = workspace.annotation?.guidance.polygon;
    finish.hidden = !polygon || polygon.points.length < 3;
    finish.textContent = polygon?.closed ? "Fill the polygon" : "Close the polygon";
    hint.textContent = hint.title = HINTS[tool];
    for (const button of repairs.children) /** @type {HTMLButtonElement} */ (button).disabled = !workspace.annotation;
  };
  settings.addEventListener("change", draw);
  for (const name of ["change", "annotation"]) workspace.addEventListener(name, draw);
  draw();
}

/** Zoom buttons, the legend of a map, the empty canvas's words. @param {Workspace} workspace */
export function mountStageControls(workspace) {
  const host = byId("stage");
  const zoom = h(
    "div",
    { class: "zoom", role: "group", "aria-label": "Zoom" },
    ...[
      ["zoomOut", "minus"],
      ["zoomIn", "plus"],
      ["fit", "fit"],
    ].map(([name, picture]) => commandButton(workspace, name, icon(picture), { class: "icon" })),
  );
  const legend = h("div", { class: "legend", hidden: true });
  const words = h("p", {}, "Choose an image from the list, or let the model choose one.");
  const empty = h(
    "div",
    { class: "empty" },
    words,
    commandButton(workspace, "next", "Next image", { class: "primary" }),
  );
  host.append(legend, zoom, empty);
  const draw = () => {
    const { annotation, settings } = workspace;
    empty.hidden = annotation !== null;
    zoom.hidden = annotation === null;
    const { map } = settings.values;
    legend.hidden = map === "none" || !annotation || !workspace.session?.model;
    if (legend.hidden) return;
    const names = { probability: "Probability", uncertainty: "Uncertainty", edge: "Edges" };
    const bar = h("i", { style: { background: GRADIENT } });
    const there = workspace.plane(/** @type {any} */ (map));
    legend.replaceChildren(
      names[/** @type {"edge"} */ (map)],
      bar,
      there ? "low to high" : "the model is asked for it",
    );
  };
  settings(workspace, draw);
  draw();
}

/**
 * @param {Workspace} workspace
 * @param {() => void} draw
 */
function settings(workspace, draw) {
  workspace.settings.addEventListener("change", draw);
  for (const name of ["change", "annotation", "session"]) workspace.addEventListener(name, draw);
}

/** The line under the canvas: place, zoom, the model's work, time and clicks. @param {Workspace} workspace */
export function mountReadings(workspace) {
  const host = byId("readings");
  const place = h("span", { class: "place" });
  const zoom = h("span");
  const model = h("span", { class: "row model", role: "status", id: "model-status" });
  const effort = h("span", { id: "effort" });
  host.append(place, zoom, model, effort);
  const { inference } = workspace.model;
  const drawPlace = () => {
    const { annotation, stage } = workspace;
    const at = stage.crosshair ?? stage.hover;
    zoom.textContent = annotation ? `${Math.round(stage.view.scale * stage.density * 100)} %` : "";
    const [x, y] = (at ?? [-1, -1]).map(Math.floor);
    const inside = annotation && x >= 0 && y >= 0 && x < annotation.item.width && y < annotation.item.height;
    const value = inside ? annotation.mask.labels[y * annotation.item.width + x] : 0;
    const name = workspace.classes.find(({ index }) => index === value)?.name;
    place.textContent = inside
      ? `x ${x}, y ${y}${name ? `: ${name}` : ""}`
      : annotation
        ? `${annotation.item.width} x ${annotation.item.height}`
        : "";
  };
  const drawEffort = () => {
    const { annotation } = workspace;
    if (!annotation) return effort.replaceChildren();
    const { clock, clicks } = annotation;
    const whole = Math.floor(clock.seconds);
    const time = `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
    effort.textContent = `${time}${clock.running ? "" : " (paused)"} · ${plural(clicks.length, "click")}`;
  };
  const drawModel = () => {
    const { phase, position } = inference.status;
    const waits = position > 0 ? `place ${position} in the queue` : "next in the queue";
    const words = workspace.repairs.running
      ? `${workspace.repairs.name}: at work`
      : {
          idle: "",
          sending: "asking the model",
          queued: `asked the model: ${waits}`,
          running: "the model is at work",
          error: "the model did not answer",
        }[phase];
    const busy = workspace.repairs.running || phase === "sending" || phase === "queued" || phase === "running";
    model.replaceChildren(
      ...(busy ? [h("span", { class: "spinner" })] : []),
      words || (inference.took ? `last answer ${inference.took.toFixed(1)} s` : ""),
    );
    model.style.color = phase === "error" ? "var(--bad)" : "";
    model.title = words;
  };
  inference.addEventListener("status", drawModel);
  workspace.addEventListener("repairing", drawModel);
  for (const name of ["hover", "view", "annotation", "change"]) workspace.addEventListener(name, drawPlace);
  for (const name of ["annotation", "change"]) workspace.addEventListener(name, drawEffort);
  setInterval(() => {
    workspace.annotation?.clock.tick();
    drawEffort();
  }, 1000);
}

/** The slider is logarithmic: 0 to 100 are 1 to 500 pixels. @param {number} value */
function fromSlider(value) {
  return Math.max(1, Math.round(500 ** (value / 100)));
}

/** @param {number} size */
function toSlider(size) {
  return Math.round((100 * Math.log(size)) / Math.log(500));
}
