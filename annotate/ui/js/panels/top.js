/** The top bar: what is open, the server's and the model's state, the annotator, theme and help. */

import { ask, byId, h, plural } from "../dom.js";
import { icon } from "../icons.js";
import { NARROW } from "../settings.js";
import { commandButton } from "./toolbar.js";

/** @typedef {import("../workspace.js").Workspace} Workspace */

export const NAME_KEY = "annotation-annotator";

/** @param {Workspace} workspace */
export function mountTop(workspace) {
  const { api, outbox, settings } = workspace;
  const toggle = byId("list-toggle");
  toggle.append(icon("list"));
  toggle.addEventListener("click", () => settings.showList(!settings.listShown));
  const name = h("span", { class: "wide-only" });
  const user = h(
    "button",
    { type: "button", class: "plain", title: "Change your name", onclick: () => askName(workspace, true) },
    icon("user"),
    name,
  );
  const theme = commandButton(workspace, "theme", icon("sun"), { class: "icon plain" });
  byId("top-actions").append(user, theme, commandButton(workspace, "help", icon("help"), { class: "icon plain" }));

  const drawTheme = () => {
    const dark = settings.values.theme
      ? settings.values.theme === "dark"
      : !matchMedia("(prefers-color-scheme: light)").matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    theme.replaceChildren(icon(dark ? "sun" : "moon"));
    const { listShown } = settings;
    document.body.classList.toggle("no-list", !listShown);
    toggle.setAttribute("aria-expanded", String(listShown));
    toggle.setAttribute("aria-label", listShown ? "Hide the list of images" : "Show the list of images");
    toggle.title = `${toggle.getAttribute("aria-label")} (Shift+I)`;
  };
  const drawTitle = () => {
    const { annotation } = workspace;
    const title = byId("title");
    if (!annotation) return title.replaceChildren(workspace.session ? `Studies: ${workspace.session.studies}` : "");
    const { item } = annotation;
    const version = annotation.baseVersion ? `, version ${annotation.baseVersion}` : ", not submitted yet";
    title.replaceChildren(
      h("strong", {}, item.name),
      h(
        "span",
        { class: "detail" },
        ` ${item.width} x ${item.height}${item.bits > 8 ? `, ${item.bits} bit` : ""}${version}`,
      ),
    );
    document.title = `${item.name}: SGD-Net annotation`;
  };
  const drawChips = () => {
    const { session } = workspace;
    const chips = [];
    if (!api.reachable)
      chips.push(h("span", { class: "chip bad" }, h("i", { class: "dot" }), "server does not answer"));
    const waiting = [...outbox.waiting.values()];
    const conflicts = waiting.filter(({ conflict }) => conflict);
    if (waiting.length > conflicts.length)
      chips.push(
        h("span", { class: "chip warn" }, `${plural(waiting.length - conflicts.length, "submission")} waiting`),
      );
    if (session && api.reachable) chips.push(modelChip(session));
    byId("chips").replaceChildren(...chips);
    settle.hidden = !conflicts.length;
    settle.onclick = () => workspace.submitting.settleConflict(conflicts[0].image);
    name.textContent = api.annotator || "Your name";
    user.setAttribute("aria-label", `Annotator: ${api.annotator || "not named"}. Change the name`);
  };
  const settle = h(
    "button",
    { type: "button", class: "chip bad", hidden: true },
    icon("warning"),
    "two labels: choose",
  );
  byId("top-actions").before(settle);
  settings.addEventListener("change", drawTheme);
  NARROW.addEventListener("change", drawTheme);
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", drawTheme);
  for (const event of ["annotation", "session", "item"])
    workspace.addEventListener(event, () => (drawTitle(), drawChips()));
  api.addEventListener("connection", drawChips);
  outbox.addEventListener("change", drawChips);
  workspace.addEventListener("named", drawChips);
  drawTheme();
  drawTitle();
  drawChips();
}

/** @param {import("../store/api.js").Session} session */
function modelChip({ model, interactive }) {
  if (!model) return h("span", { class: "chip warn", title: "The server has no weights: draw by hand" }, "no model");
  const score = typeof model.dice === "number" ? ` · Dice ${model.dice.toFixed(3)}` : "";
  const title = interactive
    ? "The model takes clicks, scribbles and boxes"
    : "The model works alone: it takes no clicks";
  return h("span", { class: "chip model", title }, `model ${model.version}${score}`);
}

/**
 * Ask who annotates: the name stands beside every label.
 * @param {Workspace} workspace
 * @param {boolean} [again] also where the name is known
 * @returns {Promise<void>}
 */
export async function askName(workspace, again = false) {
  const { api } = workspace;
  if (api.annotator && !again) return;
  const field = h("input", {
    type: "text",
    id: "annotator",
    value: api.annotator,
    autocomplete: "name",
    maxLength: 80,
    required: true,
  });
  const choice = await ask(
    "Who is annotating?",
    [
      h("p", { class: "quiet", style: { marginBottom: "10px" } }, "The name is kept with every label you submit."),
      h("label", { htmlFor: "annotator" }, "Your name"),
      field,
    ],
    [{ label: "Use this name", value: "ok", primary: true }],
  );
  const name = field.value.trim();
  if (choice !== "ok" || !name) return again ? undefined : askName(workspace);
  localStorage.setItem(NAME_KEY, name);
  api.annotator = name;
  workspace.dispatchEvent(new Event("named"));
}
