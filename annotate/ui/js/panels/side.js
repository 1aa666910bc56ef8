/** The side panel: three tabs, and the buttons that end the work on an image, always in sight. */

import { byId, h } from "../dom.js";
import { icon } from "../icons.js";
import { buildLabelPanel } from "./label-panel.js";
import { buildModelPanel } from "./model-panel.js";
import { commandButton } from "./toolbar.js";
import { buildVersionsPanel } from "./versions-panel.js";

/** @param {import("../workspace.js").Workspace} workspace */
export function mountSide(workspace) {
  /** @type {{name: string, element: HTMLElement, shown?: () => void}[]} */
  const panels = [
    { name: "Label", ...buildLabelPanel(workspace) },
    { name: "Versions", ...buildVersionsPanel(workspace) },
    { name: "Model", ...buildModelPanel(workspace) },
  ];
  let chosen = 0;
  const tabs = panels.map(({ name }, i) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${i}`,
        "aria-controls": `panel-${i}`,
        "aria-keyshortcuts": `Alt+${i + 1}`,
        onclick: () => choose(i),
      },
      name,
    ),
  );
  const list = h("div", { class: "tabs", role: "tablist", "aria-label": "Label, versions, model" }, ...tabs);
  list.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    choose((chosen + by + panels.length) % panels.length);
    tabs[chosen].focus();
  });
  panels.forEach(({ element }, i) => {
    element.className = "panel";
    element.id = `panel-${i}`;
    element.tabIndex = 0;
    element.setAttribute("role", "tabpanel");
    element.setAttribute("aria-labelledby", `tab-${i}`);
  });
  /** @param {number} index */
  function choose(index) {
    chosen = index;
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === index));
      tab.tabIndex = i === index ? 0 : -1;
      panels[i].element.hidden = i !== index;
    });
    panels[index].shown?.();
  }
  const submit = commandButton(workspace, "submit", h("span", { class: "row" }, icon("check"), "Submit"), {
    class: "primary",
  });
  const others = ["skip", "flag", "next"].map((name) =>
    commandButton(
      workspace,
      name,
      h("span", { class: "row" }, icon(name), { skip: "Skip", flag: "Flag", next: "Next" }[name] ?? ""),
    ),
  );
  const proceed = h("input", {
    type: "checkbox",
    checked: workspace.settings.values.proceed,
    onchange: () => workspace.settings.set({ proceed: proceed.checked }),
  });
  byId("side").append(
    list,
    ...panels.map(({ element }) => element),
    h(
      "div",
      { class: "submit" },
      submit,
      h("div", { class: "three" }, ...others),
      h("label", { class: "check small quiet" }, proceed, "Then open the next image"),
    ),
  );
  const draw = () => {
    for (const button of [submit, others[0], others[1]]) button.disabled = !workspace.annotation;
  };
  workspace.addEventListener("annotation", draw);
  workspace.addEventListener("tab", (event) => {
    choose(/** @type {CustomEvent} */ (event).detail);
    tabs[chosen].focus();
  });
  choose(0);
  draw();
}
