/** What the annotator chose for the page, kept in this browser. */

/**
 * @typedef {"pan" | "click" | "scribble" | "brush" | "eraser" | "box" | "polygon" | "window"} ToolName
 * @typedef {"none" | "probability" | "uncertainty" | "edge"} MapName
 * @typedef {{theme: "dark" | "light" | null, tool: ToolName, size: number, positive: boolean, value: number, protect: boolean,
 *   fill: number, outline: number, visible: boolean, map: MapName, smoothing: number, brightness: number, contrast: number,
 *   automatic: boolean, proceed: boolean, strategy: string, list: boolean, drawer: boolean, sort: string}} Values
 */

const KEY = "annotation-settings";

/** @type {Values} */
const DEFAULTS = {
  theme: null,
  tool: "click",
  size: 24, // image pixels, diameter
  positive: true,
  value: 1,
  protect: false,
  fill: 15, // percent
  outline: 100, // percent
  visible: true,
  map: "none",
  smoothing: 2, // image pixels
  brightness: 100, // percent
  contrast: 100, // percent
  automatic: true,
  proceed: true,
  strategy: "epistemic",
  list: true,
  drawer: false, // the list on a narrow screen, where it lies over the image
  sort: "name",
};

/** Not kept: they belong to the image or to the moment. @type {(keyof Values)[]} */
const MOMENTARY = ["positive", "value", "visible", "map", "brightness", "contrast", "drawer"];

/** Whether the list lies over the image; style/screens.css has the same width. */
export const NARROW = matchMedia("(max-width: 900px)");

/** Emits "change" with the names changed as `detail`. */
export class Settings extends EventTarget {
  constructor() {
    super();
    /** @type {Values} */
    this.values = { ...DEFAULTS };
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
      for (const name of Object.keys(DEFAULTS)) if (name in kept) /** @type {any} */ (this.values)[name] = kept[name];
    } catch {
      // Kept values that cannot be read are as good as none.
    }
  }

  /** @returns {boolean} whether the list of images is shown */
  get listShown() {
    return NARROW.matches ? this.values.drawer : this.values.list;
  }

  /** @param {boolean} shown */
  showList(shown) {
    this.set(NARROW.matches ? { drawer: shown } : { list: shown });
  }

  /** @param {Partial<Values>} changes */
  set(changes) {
    const names = Object.keys(changes).filter(
      (name) => /** @type {any} */ (this.values)[name] !== /** @type {any} */ (changes)[name],
    );
    if (!names.length) return;
    Object.assign(this.values, changes);
    const kept = Object.fromEntries(
      Object.entries(this.values).filter(([name]) => !MOMENTARY.includes(/** @type {any} */ (name))),
    );
    localStorage.setItem(KEY, JSON.stringify(kept));
    this.dispatchEvent(new CustomEvent("change", { detail: names }));
  }
}
