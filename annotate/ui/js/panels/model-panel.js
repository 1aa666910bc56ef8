/** Fine-tuning (progress, curve, cancel, before against after), the models there are (roll-back), statistics, export. */

import { duration, h, moment, plural } from "../dom.js";
import { icon } from "../icons.js";
import { curve } from "./curve.js";

/** @typedef {import("../workspace.js").Workspace} Workspace */

const RUNNING_MS = 1000;

const dice = (/** @type {number | null | undefined} */ value) => (typeof value === "number" ? value.toFixed(4) : "–");

/**
 * @param {Workspace} workspace
 * @returns {{element: HTMLElement, shown: () => void}}
 */
export function buildModelPanel(workspace) {
  const { api, settings } = workspace;
  const training = h("div", { class: "section", role: "group", "aria-label": "Fine-tuning" });
  const models = h("div", { class: "section", role: "group", "aria-label": "Models" });
  const effort = h("div", { class: "section", role: "group", "aria-label": "Effort" });
  const element = h("div", { hidden: true }, training, models, effort, choice(), exports());
  const epochs = h("input", { type: "number", id: "epochs", min: 1, max: 1000, value: "5" });
  const start = h("button", { type: "button", class: "primary", onclick: begin }, "Fine-tune");
  const cancel = h("button", { type: "button", onclick: stop }, "Cancel");
  const progress = h("progress", { "aria-label": "Epochs done" });
  const words = h("p", { class: "small", role: "status" });
  const plot = h("div");
  const compare = h("div", { class: "compare" });
  const log = h("pre", { class: "log", tabIndex: 0, "aria-label": "Last lines of the training's log" });
  const details = h("details", {}, h("summary", { class: "small" }, "Log"), log);
  training.append(
    h("h3", {}, "Learn from the submitted labels"),
    h("div", { class: "row" }, h("label", { htmlFor: "epochs" }, "Epochs"), epochs, start, cancel),
    words,
    progress,
    plot,
    compare,
    details,
  );
  let last = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  async function follow() {
    clearTimeout(timer);
    try {
      const state = await api.get("/api/training");
      drawTraining(state);
      if (last === "running" && state.state !== "running") finished(state);
      last = state.state;
      if (state.state === "running") timer = setTimeout(follow, RUNNING_MS);
    } catch (error) {
      if (api.reachable) workspace.failed(error, follow);
      else if (last === "running") timer = setTimeout(follow, 4 * RUNNING_MS);
    }
  }

  /** @param {any} state */
  function drawTraining(state) {
    const running = state.state === "running";
    start.hidden = running;
    epochs.disabled = running;
    cancel.hidden = !running;
    progress.hidden = !running;
    progress.max = state.epochs || 1;
    progress.value = state.epoch ?? 0;
    const endings = {
      idle: "Nothing has been learned here yet.",
      running: `Epoch ${state.epoch} of ${state.epochs}`,
      done: "Done.",
      error: "It stopped with an error.",
      cancelled: "It was cancelled; the model stays as it was.",
    };
    words.textContent = [endings[/** @type {"idle"} */ (state.state)], state.message].filter(Boolean).join(" ");
    words.style.color = state.state === "error" ? "var(--bad)" : "";
    plot.replaceChildren(...(state.curve?.length ? [curve(state.curve)] : []));
    compare.replaceChildren(...(state.before ? comparison(state) : []));
    details.hidden = !state.log?.length;
    log.textContent = (state.log ?? []).join("\n");
  }

  /** @param {any} state */
  function comparison({ before, after }) {
    return [
      h("p", {}, h("span", { class: "small quiet" }, "Before"), h("b", {}, dice(before?.dice))),
      h("span", { class: "quiet", "aria-hidden": "true" }, "→"),
      h("p", {}, h("span", { class: "small quiet" }, "After"), h("b", {}, dice(after?.dice))),
      h(
        "p",
        { class: "small quiet", style: { gridColumn: "1 / -1" } },
        `Dice (overlap, 1 is perfect) on ${plural(before?.images ?? 0, "held-out image")}`,
      ),
    ];
  }

  async function begin() {
    try {
      await api.post("/api/training", { epochs: Math.max(1, Math.round(Number(epochs.value) || 1)) });
      last = "running";
      await follow();
    } catch (error) {
      workspace.failed(error);
    }
  }

  async function stop() {
    try {
      await api.request("DELETE", "/api/training");
      await follow();
    } catch (error) {
      workspace.failed(error);
    }
  }

  /** @param {any} state */
  async function finished(state) {
    const ended = {
      done: "Fine-tuning is done.",
      error: "Fine-tuning stopped with an error.",
      cancelled: "Fine-tuning is cancelled.",
    };
    workspace.say(
      ended[/** @type {"done"} */ (state.state)] ?? "Fine-tuning ended.",
      state.state === "error" ? "bad" : "good",
    );
    await workspace.loadSession().catch((error) => workspace.failed(error));
    loadModels();
  }

  async function loadModels() {
    try {
      const all = await api.get("/api/models");
      models.replaceChildren(h("h3", {}, "Models"), ...all.map(modelRow));
    } catch (error) {
      workspace.failed(error, loadModels);
    }
  }

  /** @param {any} model */
  function modelRow({ version, published, active, dice: score, trained_on: images, sha256 }) {
    const when = /^\d{4}-/.test(published ?? "") ? moment(published) : "";
    const facts = [
      `Dice ${dice(score)}`,
      version === 0 ? "the server started with it" : plural(images ?? 0, "label"),
      when,
    ].filter(Boolean);
    return h(
      "article",
      { class: "version", "aria-label": `Model ${version}`, title: sha256 ? `SHA-256 ${sha256}` : "" },
      h(
        "div",
        { class: "row spread" },
        h("strong", {}, `Model ${version}`),
        active
          ? h("span", { class: "chip good" }, "in use")
          : h("button", { type: "button", class: "small", onclick: () => activate(version) }, "Use this one"),
      ),
      h("p", { class: "small quiet" }, facts.join(" · ")),
    );
  }

  /** @param {string} version */
  async function activate(version) {
    try {
      await api.post(`/api/models/${encodeURIComponent(version)}/activate`);
      workspace.say(`Model ${version} is in use.`, "good");
      await workspace.loadSession();
      await loadModels();
    } catch (error) {
      workspace.failed(error, () => activate(version));
    }
  }

  async function loadEffort() {
    try {
      const { labelled, seconds_median: seconds, clicks_median: clicks } = await api.get("/api/statistics");
      const lines = [plural(labelled ?? 0, "image labelled", "images labelled")];
      if (typeof seconds === "number") lines.push(`${duration(seconds)} an image (median)`);
      if (typeof clicks === "number") lines.push(`${clicks} clicks an image (median)`);
      effort.replaceChildren(h("h3", {}, "Effort"), h("p", { class: "numbers" }, lines.join(" · ")));
    } catch (error) {
      workspace.failed(error, loadEffort);
    }
  }

  function choice() {
    const strategy = h(
      "select",
      { id: "strategy", onchange: () => settings.set({ strategy: strategy.value }) },
      ...[
        ["epistemic", "Where the model is least sure"],
        ["random", "Any"],
        ["first", "The first of the list"],
      ].map(([value, label]) => h("option", { value, selected: settings.values.strategy === value }, label)),
    );
    return h("div", { class: "section" }, h("label", { htmlFor: "strategy" }, h("h3", {}, "Next image")), strategy);
  }

  function exports() {
    const format = h(
      "select",
      { id: "format" },
      ...[
        ["datalist", "Datalist"],
        ["coco", "COCO"],
        ["dicomseg", "DICOM SEG"],
      ].map(([value, label]) => h("option", { value }, label)),
    );
    const save = async () => {
      try {
        const blob = await api.blob("/api/export", { format: format.value });
        const link = h("a", { href: URL.createObjectURL(blob), download: `labels_${format.value}.zip` });
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 10000);
      } catch (error) {
        workspace.failed(error, save);
      }
    };
    return h(
      "div",
      { class: "section" },
      h("label", { htmlFor: "format" }, h("h3", {}, "Export the labels")),
      h("div", { class: "row" }, format, h("button", { type: "button", onclick: save }, icon("download"), "Download")),
    );
  }

  workspace.addEventListener("item", () => !element.hidden && loadEffort());
  workspace.addEventListener("session", () => follow(), { once: true });
  return {
    element,
    shown() {
      follow();
      loadModels();
      loadEffort();
    },
  };
}
