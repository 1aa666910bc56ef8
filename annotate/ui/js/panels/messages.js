/** Short messages over the canvas, read out by screen readers; errors stay until they are closed. */

import { byId, h } from "../dom.js";
import { icon } from "../icons.js";

const STAY_MS = 5000;
const BRIEF_MS = 1600;
const MOST = 4;

/** @param {import("../workspace.js").Workspace} workspace */
export function mountMessages(workspace) {
  const host = byId("messages");
  const polite = h("div", { role: "status", "aria-live": "polite" });
  const urgent = h("div", { role: "alert" });
  host.append(urgent, polite);
  workspace.addEventListener("message", (event) => {
    const { text, kind, action, brief } = /** @type {CustomEvent} */ (event).detail;
    const place = kind === "bad" ? urgent : polite;
    for (const old of host.querySelectorAll(".message"))
      if (old.textContent?.startsWith(text) || old.classList.contains("brief")) old.remove();
    const message = h(
      "div",
      { class: `message ${kind} ${brief ? "brief" : ""}` },
      h("p", {}, text),
      action && h("button", { type: "button", onclick: () => (message.remove(), action.run()) }, action.label),
      h(
        "button",
        { type: "button", class: "icon plain", "aria-label": "Close the message", onclick: () => message.remove() },
        icon("close"),
      ),
    );
    place.append(message);
    const all = [...host.querySelectorAll(".message")];
    for (const old of all.slice(0, Math.max(0, all.length - MOST))) old.remove();
    if (kind !== "bad") setTimeout(() => message.remove(), brief ? BRIEF_MS : STAY_MS);
  });
}
