/** Every label submitted for the open image: who, when, what it took; any can be looked at and made the newest again. */

import { duration, h, moment, plural } from "../dom.js";
import { replaceLabel } from "../mask/answer.js";
import { inBackground } from "../work/background.js";

/** @typedef {import("../workspace.js").Workspace} Workspace */

/**
 * @param {Workspace} workspace
 * @returns {{element: HTMLElement, shown: () => void}}
 */
export function buildVersionsPanel(workspace) {
  const list = h("div", { class: "section" });
  const element = h("div", { hidden: true }, list);
  /** The newest version that the list shows. */
  let newest = 0;

  async function load() {
    const { annotation, api } = workspace;
    if (element.hidden) return;
    if (!annotation) {
      list.replaceChildren(h("p", { class: "quiet" }, "No image is open."));
      return;
    }
    try {
      const versions = await api.get(`${api.image(annotation.item.id)}/versions`);
      if (workspace.annotation !== annotation) return;
      newest = versions.at(-1)?.version ?? 0;
      list.replaceChildren(
        h("h3", {}, plural(versions.length, "version")),
        ...(versions.length
          ? versions.reverse().map(row)
          : [h("p", { class: "quiet" }, "Nothing is submitted for this image yet.")]),
      );
    } catch (error) {
      workspace.failed(error, load);
    }
  }

  /**
   * @param {any} version
   * @param {number} i place, the newest first
   */
  function row(version, i) {
    const clicks = Array.isArray(version.clicks) ? version.clicks.length : (version.clicks ?? 0);
    const scribbles = version.scribbles ? `, ${plural(version.scribbles, "scribble")}` : "";
    return h(
      "article",
      { class: "version", "aria-label": `Version ${version.version}` },
      h(
        "div",
        { class: "row spread" },
        h("strong", {}, `Version ${version.version}${i ? "" : ", newest"}`),
        h("span", { class: "small quiet" }, moment(version.when)),
      ),
      h(
        "p",
        { class: "small" },
        `${version.by || "unknown"} · ${duration(version.seconds ?? 0)} · ${plural(clicks, "click")}${scribbles}`,
      ),
      version.restored_from && h("p", { class: "small quiet" }, `Content of version ${version.restored_from}`),
      typeof version.model === "number" && h("p", { class: "small quiet" }, `Outlined by model ${version.model}`),
      version.comment && h("p", { class: "small" }, version.comment),
      h(
        "div",
        { class: "row" },
        h("button", { type: "button", class: "small", onclick: () => look(version.version) }, "Open"),
        i > 0 &&
          h("button", { type: "button", class: "small", onclick: () => restore(version.version) }, "Make newest"),
      ),
    );
  }

  /** @param {number} version put into the canvas, one step of undo */
  async function look(version) {
    const { annotation, api } = workspace;
    if (!annotation) return;
    try {
      const blob = await api.blob(`${api.image(annotation.item.id)}/versions/${version}`);
      const plane = await inBackground("decodePng", [await blob.arrayBuffer()]);
      await workspace.repairs.ended();
      annotation.perform(`Open version ${version}`, (edit) => replaceLabel(edit, plane));
      workspace.say(`Version ${version} is open. Undo brings your work back.`);
    } catch (error) {
      workspace.failed(error, () => look(version));
    }
  }

  /** @param {number} version whose content becomes a new version on the server */
  async function restore(version) {
    const { annotation, api } = workspace;
    if (!annotation) return;
    try {
      const result = await api.post(`${api.image(annotation.item.id)}/restore`, { version, base_version: newest });
      annotation.baseVersion = result.version;
      await look(version);
      workspace.say(`Version ${version} is the newest again, as version ${result.version}.`, "good");
      workspace.dispatchEvent(new CustomEvent("item", { detail: annotation.item.id }));
    } catch (error) {
      await load(); // where somebody else was faster, theirs is seen before it is tried again
      workspace.failed(error, () => restore(version));
    }
  }

  workspace.addEventListener("annotation", load);
  workspace.addEventListener("item", load);
  return { element, shown: load };
}
