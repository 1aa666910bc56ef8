/** Tools that change the view only: moving the image (done by the pointers themselves), and window/level of 16-bit images. */

/**
 * @typedef {import("../workspace.js").Workspace} Workspace
 * @typedef {import("../view/pointers.js").Touch} Touch
 */

export class PanTool {
  drags = false;

  down() {}
}

/** Dragging across changes the width of the window, dragging up and down its level, as radiologists know it. */
export class WindowTool {
  drags = true;

  /** @param {Workspace} workspace */
  constructor(workspace) {
    this.workspace = workspace;
    /** @type {{screen: [number, number], low: number, high: number} | null} */
    this.start = null;
  }

  /** @param {Touch} touch */
  down({ screen }) {
    this.start = { screen, ...this.workspace.window };
  }

  /** @param {Touch} touch */
  move({ screen }) {
    if (!this.start) return;
    const { low, high } = this.workspace.windowRange;
    const unit = (high - low) / 500;
    const width = Math.max(1, this.start.high - this.start.low + (screen[0] - this.start.screen[0]) * unit);
    const level = (this.start.high + this.start.low) / 2 + (screen[1] - this.start.screen[1]) * unit;
    this.workspace.setWindow({ low: Math.round(level - width / 2), high: Math.round(level + width / 2) });
  }

  up() {
    this.start = null;
  }
}
