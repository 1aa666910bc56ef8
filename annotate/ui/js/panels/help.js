/** The cheat sheet, made from the command table. */

import { h } from "../dom.js";

/** @type {HTMLDialogElement | null} */
let sheet = null;

/** Show the sheet, or close it where it is shown. */
export async function toggleHelp() {
  if (sheet) {
    sheet.close();
    return;
  }
  const { COMMANDS, CANVAS_KEYS } = await import("../commands.js");
  /** @type {Map<string, [string, string[]][]>} */
  const groups = new Map();
  for (const { group, label, keys } of Object.values(COMMANDS))
    groups.set(group, [...(groups.get(group) ?? []), [label, keys]]);
  for (const [group, label, keys] of CANVAS_KEYS) groups.set(group, [...(groups.get(group) ?? []), [label, keys]]);
  const sections = [...groups].map(([group, rows]) =>
    h(
      "section",
      {},
      h("h3", {}, group),
      h("dl", {}, ...rows.flatMap(([label, keys]) => [h("dt", {}, label), h("dd", {}, ...keyCaps(keys))])),
    ),
  );
  const dialog = h(
    "dialog",
    { "aria-labelledby": "help-title" },
    h(
      "div",
      { class: "row spread" },
      h("h2", { id: "help-title" }, "Keys"),
      h("button", { type: "button", onclick: () => dialog.close() }, "Close"),
    ),
    h("div", { class: "sheet", tabIndex: 0, role: "group", "aria-label": "All keys" }, ...sections),
  );
  dialog.addEventListener("keydown", (event) => event.key === "?" && dialog.close());
  dialog.addEventListener("close", () => {
    dialog.remove();
    sheet = null;
  });
  document.body.append(dialog);
  sheet = dialog;
  dialog.showModal();
}

/** @param {string[]} keys */
function keyCaps(keys) {
  return keys.flatMap((key, i) => [i ? " " : "", h("kbd", {}, key)]);
}
