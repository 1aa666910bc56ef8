/** The list of images: thumbnails, states, filter, search, order, upload. */

import { byId, duration, h, plural } from "../dom.js";
import { icon } from "../icons.js";

/**
 * @typedef {import("../workspace.js").Workspace} Workspace
 * @typedef {{id: string, name: string, state: string, version: number, seconds: number, clicks: number, by: string,
 *   comment: string}} Entry
 */

const PAGE = 60;

/** @type {Record<string, [string, string]>} the icon and the words of each state */
const STATES = {
  unlabelled: ["circle", "to do"],
  labelled: ["check", "done"],
  skipped: ["skip", "skipped"],
  flagged: ["flag", "flagged"],
};

export class ListPanel {
  /** @param {Workspace} workspace */
  constructor(workspace) {
    this.workspace = workspace;
    this.state = "";
    this.query = "";
    /** @type {Entry[]} */
    this.entries = [];
    this.total = 0;
    /** @type {Record<string, number>} */
    this.counts = {};
    /** Images with work that is not submitted. @type {Set<string>} */
    this.drafted = new Set();
    /** Thumbnails by image. @type {Map<string, string>} */
    this.thumbnails = new Map();
    this.asked = 0;
    this.loadingMore = false;
    this.search = this.buildSearch();
    this.filters = h("div", { class: "list-filters", role: "group", "aria-label": "Filter by state" });
    this.items = h("ul", { class: "list-items", "aria-label": "Images found" });
    this.build();
    const refresh = () => this.load();
    workspace.addEventListener("item", refresh);
    workspace.addEventListener("annotation", () => this.mark());
    workspace.addEventListener("step", (event) => this.step(/** @type {CustomEvent} */ (event).detail));
    workspace.addEventListener("focus", (event) => {
      if (/** @type {CustomEvent} */ (event).detail !== "search") return;
      workspace.settings.showList(true);
      this.search.focus();
    });
    workspace.outbox.addEventListener("change", () => this.draw());
    workspace.api.addEventListener("connection", () => workspace.api.reachable && this.load());
  }

  /** @returns {HTMLInputElement} */
  buildSearch() {
    const search = h("input", {
      type: "search",
      placeholder: "Search by name",
      "aria-label": "Search by name",
      "aria-keyshortcuts": "/",
      oninput: () => {
        clearTimeout(this.typing);
        this.typing = setTimeout(() => {
          this.query = search.value.trim();
          this.load();
        }, 180);
      },
    });
    return search;
  }

  build() {
    const { settings } = this.workspace;
    const sort = h(
      "select",
      { "aria-label": "Order", onchange: () => (settings.set({ sort: sort.value }), this.load()) },
      ...[
        ["name", "By name"],
        ["uncertainty", "Most uncertain first"],
        ["updated", "Last changed first"],
      ].map(([value, label]) => h("option", { value, selected: settings.values.sort === value }, label)),
    );
    this.items.addEventListener("keydown", (event) => this.walk(event));
    this.items.addEventListener("scroll", () => this.more());
    const file = h("input", {
      type: "file",
      multiple: true,
      accept: "image/*,.tif,.tiff",
      hidden: true,
      "aria-label": "Image files",
    });
    file.addEventListener("change", async () => {
      await this.upload([...(file.files ?? [])]);
      file.value = "";
    });
    for (const name of ["dragover", "dragleave", "drop"]) {
      this.items.addEventListener(name, (event) => {
        event.preventDefault();
        this.items.classList.toggle("dropping", name === "dragover");
        const { dataTransfer } = /** @type {DragEvent} */ (event);
        if (name === "drop") this.upload([...(dataTransfer?.files ?? [])]);
      });
    }
    byId("list").append(
      h("h2", { class: "hidden" }, "Images"),
      h("div", { class: "list-head" }, this.search, this.filters, sort),
      this.items,
      h(
        "div",
        { class: "list-foot" },
        h("button", { type: "button", onclick: () => file.click() }, icon("upload"), "Add images"),
        file,
      ),
    );
  }

  /** Ask the server for the first page again (as many as are shown). */
  async load() {
    const asked = ++this.asked;
    const { api, drafts, settings } = this.workspace;
    try {
      const query = { state: this.state || null, q: this.query || null, sort: settings.values.sort };
      const limit = Math.max(PAGE, this.entries.length);
      const [page, drafted] = await Promise.all([
        api.get("/api/images", { ...query, offset: 0, limit }),
        drafts.images(),
      ]);
      if (asked !== this.asked) return;
      this.drafted = drafted;
      this.entries = page.items;
      this.total = page.total;
      this.counts = page.counts;
      this.draw();
    } catch (error) {
      if (asked === this.asked) this.workspace.failed(error, () => this.load());
    }
  }

  /** More entries where the end of the list is near. */
  async more() {
    const { items } = this;
    if (
      this.loadingMore ||
      this.entries.length >= this.total ||
      items.scrollTop + items.clientHeight < items.scrollHeight - 400
    )
      return;
    this.loadingMore = true;
    try {
      const query = { state: this.state || null, q: this.query || null, sort: this.workspace.settings.values.sort };
      const page = await this.workspace.api.get("/api/images", { ...query, offset: this.entries.length, limit: PAGE });
      const known = new Set(this.entries.map(({ id }) => id));
      this.entries.push(...page.items.filter((/** @type {Entry} */ entry) => !known.has(entry.id)));
      this.draw();
    } catch (error) {
      this.workspace.failed(error);
    } finally {
      this.loadingMore = false;
    }
  }

  draw() {
    this.drawFilters();
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.id;
    this.items.replaceChildren(...this.entries.map((entry) => h("li", {}, this.row(entry))));
    if (!this.entries.length) {
      this.items.append(
        h(
          "li",
          { class: "quiet small" },
          this.query || this.state
            ? "No image fits the search."
            : "There is no image yet. Add some, or drop files here.",
        ),
      );
    }
    this.mark();
    if (focused)
      /** @type {HTMLElement | null} */ (this.items.querySelector(`[data-id="${CSS.escape(focused)}"]`))?.focus();
  }

  drawFilters() {
    const all = Object.values(this.counts).reduce((sum, count) => sum + count, 0);
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.state;
    this.filters.replaceChildren(
      ...[
        ["", "All"],
        ["unlabelled", "To do"],
        ["labelled", "Done"],
        ["flagged", "Flagged"],
        ["skipped", "Skipped"],
      ].map(([state, label]) =>
        h(
          "button",
          {
            type: "button",
            "data-state": state,
            "aria-pressed": String(this.state === state),
            onclick: () => {
              this.state = state;
              this.load();
            },
          },
          `${label} ${state ? (this.counts[state] ?? 0) : all}`,
        ),
      ),
    );
    if (focused !== undefined)
      /** @type {HTMLElement | null} */ (this.filters.querySelector(`[data-state="${focused}"]`))?.focus();
  }

  /** @param {Entry} entry */
  row(entry) {
    const image = h("img", { alt: "", loading: "lazy", hidden: true, width: 52, height: 52 });
    this.showThumbnail(entry.id, image);
    return h(
      "button",
      {
        type: "button",
        class: "item",
        "data-id": entry.id,
        title: entry.comment ? `${entry.name}: ${entry.comment}` : entry.name,
        onclick: () => {
          this.workspace.settings.set({ drawer: false });
          this.workspace.open(entry.id);
        },
      },
      h("span", { class: "thumb" }, image),
      h("span", { class: "grow" }, h("span", { class: "name" }, entry.name), ...this.stateLines(entry)),
    );
  }

  /** @param {Entry} entry */
  stateLines(entry) {
    const waiting = this.workspace.outbox.about(entry.id);
    if (waiting?.conflict) return [h("span", { class: "state conflict" }, icon("warning"), "your choice needed")];
    if (waiting) return [h("span", { class: "state draft" }, icon("cloud"), "waits for the server")];
    const [name, words] = STATES[entry.state] ?? STATES.unlabelled;
    const effort = entry.version ? ` · ${duration(entry.seconds ?? 0)} · ${plural(entry.clicks ?? 0, "click")}` : "";
    const lines = [h("span", { class: `state ${entry.state}` }, icon(name), words + effort)];
    if (this.drafted.has(entry.id)) lines.push(h("span", { class: "state draft" }, icon("pencil"), "not submitted"));
    return lines;
  }

  /**
   * @param {string} id
   * @param {HTMLImageElement} image
   */
  async showThumbnail(id, image) {
    try {
      if (!this.thumbnails.has(id)) {
        const blob = await this.workspace.api.blob(`${this.workspace.api.image(id)}/thumbnail`);
        this.thumbnails.set(id, URL.createObjectURL(blob));
      }
      image.src = /** @type {string} */ (this.thumbnails.get(id));
      image.hidden = false;
    } catch {
      // A list without a thumbnail still works; a lost server is told of at the top.
    }
  }

  /** Show which image is open. */
  mark() {
    const open = this.workspace.annotation?.item.id;
    for (const button of this.items.querySelectorAll(".item")) {
      const current = /** @type {HTMLElement} */ (button).dataset.id === open;
      button.toggleAttribute("aria-current", current);
      if (current) {
        button.setAttribute("aria-current", "true");
        button.scrollIntoView({ block: "nearest" });
      }
    }
  }

  /** @param {number} by entries of the list */
  step(by) {
    const at = this.entries.findIndex(({ id }) => id === this.workspace.annotation?.item.id);
    const entry = this.entries[at < 0 ? 0 : at + by];
    if (entry) this.workspace.open(entry.id);
  }

  /** @param {KeyboardEvent} event arrows walk through the list */
  walk(event) {
    const buttons = /** @type {HTMLElement[]} */ ([...this.items.querySelectorAll(".item")]);
    const at = buttons.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (next === undefined || at < 0) return;
    event.preventDefault();
    buttons[Math.max(0, Math.min(buttons.length - 1, next))].focus();
  }

  /** @param {File[]} files */
  async upload(files) {
    const { workspace } = this;
    const most = workspace.session?.max_upload_bytes ?? Infinity;
    let done = 0;
    for (const file of files) {
      try {
        if (file.size > most)
          throw new Error(`${file.name} has ${megabytes(file.size)}; the server takes ${megabytes(most)} at most.`);
        await workspace.api.upload(file);
        done++;
      } catch (error) {
        workspace.say(/** @type {Error} */ (error).message, "bad");
      }
    }
    if (done) workspace.say(`${plural(done, "image")} added.`, "good");
    if (done) this.load();
  }
}

/** @param {number} bytes */
function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
