/** Classes, threshold and maps of the model, how label and image are shown, the comment. */

import { COMMANDS } from "../commands.js";
import { h, slider } from "../dom.js";
import { icon } from "../icons.js";
import { commandButton } from "./toolbar.js";

/** @typedef {import("../workspace.js").Workspace} Workspace */

const percent = (/** @type {number} */ value) => `${value} %`;

/**
 * @param {Workspace} workspace
 * @returns {{element: HTMLElement}}
 */
export function buildLabelPanel(workspace) {
  return {
    element: h(
      "div",
      {},
      classes(workspace),
      model(workspace),
      shown(workspace),
      comment(workspace),
      windowing(workspace),
      image(workspace),
    ),
  };
}

/** @param {Workspace} workspace */
function classes(workspace) {
  const list = h("ul", { role: "radiogroup", "aria-label": "Class drawn", style: { display: "grid", gap: "4px" } });
  const { settings } = workspace;
  const protect = h("input", {
    type: "checkbox",
    checked: settings.values.protect,
    onchange: () => settings.set({ protect: protect.checked }),
  });
  const guard = h("label", { class: "check small" }, protect, "The brush leaves other classes alone");
  const draw = () => {
    list.replaceChildren(
      ...workspace.classes.map(({ index, name, colour }, i) =>
        h(
          "li",
          { class: "class-row", role: "presentation" },
          h(
            "button",
            {
              type: "button",
              role: "radio",
              "aria-checked": String(settings.values.value === index),
              onclick: () => settings.set({ value: index }),
            },
            h("span", { class: "swatch", style: { background: colour } }),
            h("span", { class: "grow", style: { textAlign: "left" } }, name),
            i < 9 && h("kbd", { "aria-hidden": "true" }, String(i + 1)),
          ),
        ),
      ),
    );
    guard.hidden = workspace.classes.length < 2;
  };
  workspace.addEventListener("session", draw);
  settings.addEventListener("change", (event) => /** @type {CustomEvent} */ (event).detail.includes("value") && draw());
  draw();
  return h("section", { class: "section", "aria-label": "Classes" }, h("h3", {}, "Class"), list, guard);
}

/** @param {Workspace} workspace */
function model(workspace) {
  const { settings } = workspace;
  const threshold = slider("Threshold", {
    min: 1,
    max: 99,
    value: 50,
    format: percent,
    keys: ", .",
    oninput: (value) => workspace.model.preview(value),
    onchange: (value) => workspace.model.setThreshold(value),
  });
  const maps = ["probability", "uncertainty", "edge"].map((name) =>
    commandButton(
      workspace,
      name,
      { probability: "Probability", uncertainty: "Uncertainty", edge: "Edges" }[name] ?? "",
      { class: "small" },
    ),
  );
  const again = commandButton(workspace, "ask", h("span", { class: "row" }, icon("model"), "Ask again"));
  const afresh = commandButton(workspace, "afresh", h("span", { class: "row" }, icon("release"), "Start over"));
  const automatic = h("input", {
    type: "checkbox",
    checked: settings.values.automatic,
    onchange: () => settings.set({ automatic: automatic.checked }),
  });
  const draw = () => {
    const { annotation } = workspace;
    const without = !workspace.session?.model;
    if (!annotation?.open) threshold.set(annotation?.guidance.threshold ?? 50, !annotation?.guidance.answer);
    maps.forEach((button) => {
      button.setAttribute("aria-pressed", String(button.dataset.command === settings.values.map));
      button.disabled = !annotation || without;
    });
    [again, afresh].forEach((button) => (button.disabled = without));
  };
  workspace.addEventListener("session", draw);
  workspace.addEventListener("change", draw);
  workspace.addEventListener("annotation", draw);
  settings.addEventListener("change", draw);
  draw();
  return h(
    "section",
    { class: "section", "aria-label": "Model" },
    h("h3", {}, "Model"),
    threshold.element,
    h("div", { class: "thirds", role: "group", "aria-label": "Maps of the model" }, ...maps),
    h("div", { class: "two" }, again, afresh),
    h("label", { class: "check small" }, automatic, "Outline a new image at once"),
  );
}

/** @param {Workspace} workspace */
function shown(workspace) {
  const { settings } = workspace;
  const fill = slider("Fill", {
    min: 0,
    max: 100,
    value: settings.values.fill,
    format: percent,
    keys: "T",
    oninput: (value) => settings.set({ fill: value }),
  });
  const outline = slider("Outline", {
    min: 0,
    max: 100,
    value: settings.values.outline,
    format: percent,
    oninput: (value) => settings.set({ outline: value }),
  });
  const smoothing = slider("Smooth by", {
    min: 1,
    max: 20,
    value: settings.values.smoothing,
    format: (value) => `${value} px`,
    keys: "M",
    oninput: (value) => settings.set({ smoothing: value }),
  });
  settings.addEventListener("change", () => {
    fill.set(settings.values.fill);
    outline.set(settings.values.outline);
    smoothing.set(settings.values.smoothing);
  });
  return h(
    "section",
    { class: "section", "aria-label": "Label shown" },
    h("h3", {}, "Label on the image"),
    fill.element,
    outline.element,
    smoothing.element,
  );
}

/** @param {Workspace} workspace */
function image(workspace) {
  const { settings } = workspace;
  const brightness = slider("Brightness", {
    min: 30,
    max: 250,
    value: 100,
    format: percent,
    oninput: (value) => settings.set({ brightness: value }),
  });
  const contrast = slider("Contrast", {
    min: 30,
    max: 300,
    value: 100,
    format: percent,
    oninput: (value) => settings.set({ contrast: value }),
  });
  settings.addEventListener("change", () => {
    brightness.set(settings.values.brightness);
    contrast.set(settings.values.contrast);
  });
  return h(
    "section",
    { class: "section", "aria-label": "Image shown" },
    h("h3", {}, "Image"),
    brightness.element,
    contrast.element,
  );
}

/** Window and level of an image of more than 8 bits. @param {Workspace} workspace */
function windowing(workspace) {
  const fields = ["low", "high"].map((name) => {
    const input = h("input", {
      type: "number",
      "aria-label": name === "low" ? "Value shown black" : "Value shown white",
      step: 1,
    });
    input.addEventListener("change", () => workspace.setWindow({ ...workspace.window, [name]: Number(input.value) }));
    return /** @type {const} */ ([/** @type {"low" | "high"} */ (name), input]);
  });
  const section = h(
    "section",
    { class: "section", "aria-label": "Window" },
    h(
      "div",
      { class: "row spread" },
      h("h3", {}, "Window"),
      h("button", { type: "button", class: "small", onclick: () => workspace.setWindow(null) }, "Automatic"),
    ),
    h("div", { class: "two" }, ...fields.map(([, input]) => input)),
    h("p", { class: "small quiet" }, `Values shown black and white; ${COMMANDS.window.keys[0]}: drag on the image.`),
  );
  const draw = () => {
    section.hidden = (workspace.annotation?.item.bits ?? 8) <= 8;
    for (const [name, input] of fields) input.value = String(workspace.window[name]);
  };
  workspace.addEventListener("window", draw);
  workspace.addEventListener("annotation", draw);
  draw();
  return section;
}

/** @param {Workspace} workspace */
function comment(workspace) {
  const field = h("textarea", {
    id: "comment",
    rows: 2,
    placeholder: "Anything a reader of this label must know",
    "aria-keyshortcuts": "I",
  });
  field.addEventListener("input", () => workspace.annotation?.setComment(field.value));
  field.addEventListener("keydown", (event) => event.key === "Escape" && workspace.stage.layers.marks.focus());
  const draw = () => {
    field.value = workspace.annotation?.comment ?? "";
    field.disabled = !workspace.annotation;
  };
  workspace.addEventListener("annotation", draw);
  workspace.addEventListener("focus", (event) => {
    if (/** @type {CustomEvent} */ (event).detail !== "comment") return;
    workspace.dispatchEvent(new CustomEvent("tab", { detail: 0 }));
    field.focus();
  });
  draw();
  return h("div", { class: "section" }, h("label", { htmlFor: "comment" }, h("h3", {}, "Comment")), field);
}
