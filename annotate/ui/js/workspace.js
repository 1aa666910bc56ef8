/**
 * What is open and what can be done with it: the page's parts (canvas, panels, keys) call its methods and hear its events.
 *
 * Events: "session", "annotation" (another image is open), "change" (of the open image), "item" (an image's entry changed on
 * the server, its id as `detail`), "message" ({text, kind, action} as `detail`), "view", "hover",
 * "window", "busy", "repairing" (a repair begins or ends).
 */

import { replaceLabel } from "./mask/answer.js";
import { Annotation } from "./mask/annotation.js";
import { ModelWork } from "./model-work.js";
import { Repairing } from "./repairing.js";
import { OtherFolder, ServerError, Unreachable } from "./store/api.js";
import { Submitting } from "./submitting.js";
import { BrushTool } from "./tools/brush.js";
import { BoxTool, ClickTool, ScribbleTool } from "./tools/guide.js";
import { PanTool, WindowTool } from "./tools/move.js";
import { PolygonTool } from "./tools/polygon.js";
import { inBackground } from "./work/background.js";

/**
 * @typedef {import("./mask/annotation.js").Item} Item
 * @typedef {import("./store/api.js").Session} Session
 * @typedef {{text: string, kind: "plain" | "good" | "bad", action?: {label: string, run: () => void}}} Message
 */

export class Workspace extends EventTarget {
  /**
   * @param {{api: import("./store/api.js").Api, drafts: import("./store/drafts.js").Drafts, outbox: import("./store/outbox.js").Outbox,
   *   tabs: import("./store/tabs.js").Tabs, settings: import("./settings.js").Settings}} parts
   */
  constructor({ api, drafts, outbox, tabs, settings }) {
    super();
    this.api = api;
    this.drafts = drafts;
    this.outbox = outbox;
    this.tabs = tabs;
    this.settings = settings;
    /** @type {Session | null} */
    this.session = null;
    /** @type {Annotation | null} */
    this.annotation = null;
    /** The canvas, once it is there. @type {import("./view/stage.js").Stage} */
    this.stage = /** @type {any} */ (null);
    this.model = new ModelWork(this);
    this.submitting = new Submitting(this);
    this.repairs = new Repairing(this);
    this.tools = {
      pan: new PanTool(),
      click: new ClickTool(this),
      scribble: new ScribbleTool(this),
      brush: new BrushTool(this, false),
      eraser: new BrushTool(this, true),
      box: new BoxTool(this),
      polygon: new PolygonTool(this),
      window: new WindowTool(this),
    };
    /** Of a 16-bit image. @type {{low: number, high: number} | null} */
    this.windowChosen = null;
    /** Grows with every image asked for; an older one that arrives late is dropped. */
    this.opening = 0;
  }

  /** @returns {any} the tool in hand */
  get tool() {
    return this.tools[this.settings.values.tool];
  }

  /** @returns {boolean} whether the model takes clicks */
  get interactive() {
    return this.session?.interactive ?? false;
  }

  /** @returns {import("./store/api.js").ClassEntry[]} without the background */
  get classes() {
    return (this.session?.classes ?? []).filter(({ index }) => index > 0);
  }

  /** @returns {Map<number, [number, number, number]>} by class number */
  get colours() {
    return new Map(this.classes.map(({ index, colour }) => [index, rgb(colour)]));
  }

  /** @param {number | undefined} value class number */
  colourOf(value) {
    return this.classes.find(({ index }) => index === value)?.colour ?? "#3ba7ff";
  }

  /** Ask the server who we are to it, which model and which classes there are. */
  async loadSession() {
    this.session = await this.api.session();
    this.tabs.folder = this.session.folder;
    const { values } = this.settings;
    if (!this.classes.some(({ index }) => index === values.value))
      this.settings.set({ value: this.classes[0]?.index ?? 1 });
    if (!this.interactive && ["click", "scribble"].includes(values.tool)) this.settings.set({ tool: "brush" });
    this.dispatchEvent(new Event("session"));
  }

  /**
   * @param {string} id
   * @returns {Promise<void>} after the image's label is there
   */
  async open(id) {
    const opening = ++this.opening;
    await this.leave();
    this.dispatchEvent(new CustomEvent("busy", { detail: true }));
    try {
      /** @type {Item} */
      const item = await this.api.get(this.api.image(id));
      const annotation = new Annotation(item);
      const draft = await this.drafts.load(id);
      if (draft) annotation.fromDraft(draft);
      else if (item.version) await this.loadLabel(annotation);
      if (opening !== this.opening) return;
      this.show(annotation);
      if (draft) {
        const others = (await this.drafts.others(id)) ? " That of another tab is kept until this is submitted." : "";
        this.say(`Your work on this image that was not submitted is here again.${others}`);
      }
      this.tabs.openElsewhere(id).then((elsewhere) => {
        if (elsewhere)
          this.say("This image is open in another tab, too. Whoever submits second is asked which label to keep.");
      });
      if (!draft && item.version === 0 && this.settings.values.automatic) await this.model.ask();
    } catch (error) {
      if (opening === this.opening) this.failed(error, () => this.open(id));
    } finally {
      if (opening === this.opening) this.dispatchEvent(new CustomEvent("busy", { detail: false }));
    }
  }

  /** @param {Annotation} annotation */
  show(annotation) {
    this.annotation = annotation;
    this.tabs.image = annotation.item.id;
    this.windowChosen = null;
    annotation.addEventListener("change", () => {
      if (annotation.worked) this.drafts.later(annotation);
      this.dispatchEvent(new Event("change"));
    });
    this.settings.set({ brightness: 100, contrast: 100 });
    if (this.settings.values.tool === "window" && annotation.item.bits <= 8) this.settings.set({ tool: "pan" });
    history.replaceState(null, "", `#${encodeURIComponent(annotation.item.id)}`);
    this.dispatchEvent(new Event("annotation"));
    this.dispatchEvent(new Event("change"));
  }

  /**
   * @param {Annotation} annotation filled with the newest label of the server
   */
  async loadLabel(annotation) {
    const blob = await this.api.blob(`${this.api.image(annotation.item.id)}/label`);
    const buffer = await blob.arrayBuffer();
    replaceLabel(annotation.mask.edit(), await inBackground("decodePng", [buffer], [buffer]));
  }

  /** Put away what is open: everything ends up in the draft. */
  async leave() {
    const { annotation } = this;
    if (!annotation) return;
    await this.repairs.ended();
    this.tool.cancel?.();
    annotation.bakePolygon();
    annotation.clock.stop();
    this.model.cancel();
    await this.drafts.flush();
  }

  /** @param {import("./settings.js").ToolName} tool */
  choose(tool) {
    if (tool === this.settings.values.tool) return;
    this.tool.cancel?.();
    this.annotation?.bakePolygon();
    this.settings.set({ tool });
  }

  /** Ask the model again with what it was told. */
  askModel() {
    if (this.model.isThere()) this.model.ask();
  }

  /**
   * @param {"probability" | "uncertainty" | "edge"} map
   * @returns {import("./mask/answer.js").Plane | null} the model's map, where there is one
   */
  plane(map) {
    const answer = this.annotation?.guidance.answer;
    if (map === "probability") return answer?.probability.get(answer.value ?? this.settings.values.value) ?? null;
    return answer?.maps[map] ?? null;
  }

  /** @returns {{low: number, high: number}} all values a 16-bit image has, as far as known */
  get windowRange() {
    const item = /** @type {any} */ (this.annotation?.item);
    if (item?.range) return { low: item.range[0], high: item.range[1] };
    return { low: 0, high: 2 ** (item?.bits ?? 8) - 1 };
  }

  /** @returns {{low: number, high: number}} the values shown from black to white */
  get window() {
    return this.windowChosen ?? this.windowRange;
  }

  /** @param {{low: number, high: number} | null} window null: the server chooses */
  setWindow(window) {
    this.windowChosen = window && { low: window.low, high: Math.max(window.low + 1, window.high) };
    this.dispatchEvent(new Event("window"));
    clearTimeout(this.windowTimer);
    this.windowTimer = setTimeout(
      () => this.stage.picture?.setWindow(this.windowChosen).catch((error) => this.failed(error)),
      80,
    );
  }

  undo() {
    this.step(this.annotation?.undo(), "Undone");
  }

  redo() {
    this.step(this.annotation?.redo(), "Redone");
  }

  /**
   * @param {string | null | undefined} name
   * @param {string} what
   */
  step(name, what) {
    if (!name) return;
    this.model.cancel();
    this.dispatchEvent(
      new CustomEvent("message", { detail: { text: `${what}: ${name}`, kind: "plain", brief: true } }),
    );
  }

  /**
   * @param {string} text
   * @param {Message["kind"]} [kind]
   * @param {Message["action"]} [action]
   */
  say(text, kind = "plain", action) {
    this.dispatchEvent(new CustomEvent("message", { detail: { text, kind, action } }));
  }

  /**
   * Tell of an error in words.
   * @param {unknown} error
   * @param {() => void} [retry]
   */
  failed(error, retry) {
    const known = [ServerError, Unreachable, OtherFolder].some((kind) => error instanceof kind);
    if (!known) console.error(error);
    const { message } = /** @type {Error} */ (error);
    const text = known
      ? message
      : `Something went wrong on this page: ${message} Your work is kept; reload the page if it goes on.`;
    this.say(text, "bad", retry && { label: "Try again", run: retry });
  }
}

/**
 * @param {string} colour #rrggbb
 * @returns {[number, number, number]}
 */
function rgb(colour) {
  const value = Number.parseInt(colour.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}
