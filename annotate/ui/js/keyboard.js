/** Keys: those of the command table anywhere outside of text fields, and those of the canvas for its crosshair. */

import { COMMANDS } from "./commands.js";

/** @typedef {import("./workspace.js").Workspace} Workspace */

const ARROWS = /** @type {Record<string, [number, number]>} */ ({
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
});

const FIELDS = "input:not([type=range]):not([type=checkbox]), textarea, select, dialog *";

/**
 * @param {KeyboardEvent} event
 * @returns {string} as the command table writes it
 */
export function nameOf(event) {
  const { key } = event;
  const letter = key.length === 1 && key.toLowerCase() !== key.toUpperCase();
  const shown = letter ? key.toUpperCase() : key;
  const shift = event.shiftKey && (letter || key.length > 1);
  return [event.ctrlKey || event.metaKey ? "Ctrl" : "", event.altKey ? "Alt" : "", shift ? "Shift" : "", shown]
    .filter(Boolean)
    .join("+");
}

/** @type {Map<string, import("./commands.js").Command>} */
const BY_KEY = new Map(Object.values(COMMANDS).flatMap((command) => command.keys.map((key) => [key, command])));
BY_KEY.set("=", COMMANDS.zoomIn);

export class Keyboard {
  /** @param {Workspace} workspace */
  constructor(workspace) {
    this.workspace = workspace;
    /** Whether Enter pressed a tool that drags. */
    this.pressed = false;
    addEventListener("keydown", (event) => this.down(event));
    addEventListener("keyup", (event) => event.key === " " && this.space(false));
    addEventListener("blur", () => this.space(false));
  }

  /** @param {KeyboardEvent} event */
  down(event) {
    const target = /** @type {Element} */ (event.target);
    const name = nameOf(event);
    const { repairs } = this.workspace;
    if (repairs.running && event.key !== "Tab" && (name === "Ctrl+Enter" || !target.matches(FIELDS))) {
      event.preventDefault();
      repairs.inTurn(() => this.down(event));
      return;
    }
    if (name === "Ctrl+Enter" && !target.closest("dialog")) {
      event.preventDefault();
      COMMANDS.submit.run(this.workspace);
      return;
    }
    if (target.matches(FIELDS)) return;
    const onCanvas = target === this.workspace.stage.layers.marks || target === document.body;
    if (onCanvas && this.canvasKey(event)) {
      event.preventDefault();
      return;
    }
    if (/^[1-9]$/.test(event.key) && !event.ctrlKey && !event.altKey) {
      const entry = this.workspace.classes[Number(event.key) - 1];
      if (entry) this.workspace.settings.set({ value: entry.index });
      return;
    }
    if (/^Alt\+[1-3]$/.test(name)) {
      event.preventDefault();
      this.workspace.dispatchEvent(new CustomEvent("tab", { detail: Number(event.key) - 1 }));
      return;
    }
    if (target.closest("[role=tablist], .list-items") && ["PageUp", "PageDown"].includes(event.key)) return;
    const command = BY_KEY.get(name);
    if (!command) return;
    event.preventDefault();
    command.run(this.workspace);
  }

  /**
   * @param {KeyboardEvent} event
   * @returns {boolean} whether the canvas took it
   */
  canvasKey(event) {
    const { stage, annotation, tool, tools, settings } = this.workspace;
    if (!annotation || event.ctrlKey || event.metaKey) return false;
    const arrow = ARROWS[event.key];
    if (arrow && event.altKey) {
      stage.view.pan(-60 * arrow[0], -60 * arrow[1]);
      stage.moved();
    } else if (arrow) {
      this.moveCrosshair(arrow, event.shiftKey ? 10 : 1);
    } else if (event.key === " ") {
      this.space(true);
    } else if (event.key === "Enter") {
      this.enter(event.altKey);
    } else if (event.key === "Backspace" || (event.key === "Delete" && !event.shiftKey)) {
      return settings.values.tool === "polygon" && tools.polygon.removeLast();
    } else if (event.key === "Escape") {
      settings.set({ drawer: false });
      tool.cancel?.();
      this.pressed = false;
      stage.crosshair = null;
      stage.redrawMarks();
    } else {
      return false;
    }
    return true;
  }

  /**
   * @param {[number, number]} direction
   * @param {number} times
   */
  moveCrosshair([dx, dy], times) {
    const { stage, annotation, tool } = this.workspace;
    if (!annotation) return;
    const { width, height } = annotation.item;
    const { view } = stage;
    const step = Math.max(1, Math.round(2 / view.scale)) * times;
    const [x, y] = stage.crosshair ?? stage.hover ?? view.toImage([view.width / 2, view.height / 2]);
    const moved = /** @type {[number, number]} */ ([
      Math.min(width - 0.5, Math.max(0.5, Math.floor(x) + 0.5 + dx * step)),
      Math.min(height - 0.5, Math.max(0.5, Math.floor(y) + 0.5 + dy * step)),
    ]);
    stage.crosshair = moved;
    const [sx, sy] = view.toScreen(moved);
    if (sx < 20 || sy < 20 || sx > view.width - 20 || sy > view.height - 20) {
      view.centre(moved);
      view.fitted = false;
      stage.moved();
    }
    if (this.pressed) tool.move?.(this.touch(false));
    stage.redrawMarks();
    this.workspace.dispatchEvent(new Event("hover"));
  }

  /** @param {boolean} alternate */
  enter(alternate) {
    const { stage, tool, tools, settings } = this.workspace;
    const { polygon } = tools.polygon;
    if (settings.values.tool === "polygon" && polygon && (polygon.closed || !stage.crosshair)) {
      tools.polygon.finish();
      return;
    }
    if (!stage.crosshair) return;
    const touch = this.touch(alternate);
    if (!tool.drags) {
      tool.down(touch);
      tool.up?.(touch);
    } else if (this.pressed) {
      this.pressed = false;
      tool.up?.(touch);
    } else {
      this.pressed = true;
      tool.down(touch);
    }
    stage.redrawMarks();
  }

  /**
   * @param {boolean} alternate
   * @returns {import("./view/pointers.js").Touch} at the crosshair
   */
  touch(alternate) {
    const { stage } = this.workspace;
    const image = /** @type {[number, number]} */ (stage.crosshair);
    return {
      image,
      screen: stage.view.toScreen(image),
      pressure: 1,
      alternate,
      shift: false,
      pen: false,
      eraser: false,
    };
  }

  /** @param {boolean} held */
  space(held) {
    const { stage } = this.workspace;
    stage.pointers.space = held;
    stage.layers.marks.style.cursor = held ? "grab" : "";
  }
}
