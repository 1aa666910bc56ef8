/**
 * Mouse, pen and fingers on the canvas. The first button, a pen or one finger works the tool; the wheel and two fingers
 * zoom; the middle button, Space, or two fingers move the image. Where a pen was seen, fingers only move and zoom.
 */

/**
 * @typedef {import("./stage.js").Stage} Stage
 * @typedef {[number, number]} Point
 * @typedef {{image: Point, screen: Point, pressure: number, alternate: boolean, shift: boolean, pen: boolean, eraser: boolean}} Touch
 *   `alternate`: Alt or the right button, the tool's opposite
 */

export class Pointers {
  /** @param {Stage} stage */
  constructor(stage) {
    this.stage = stage;
    /** @type {Map<number, Point>} */
    this.down = new Map();
    this.penSeen = false;
    this.space = false;
    /** What the pointers that are down do. @type {"tool" | "pan" | "pinch" | null} */
    this.job = null;
    const canvas = stage.layers.marks;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.end(event));
    canvas.addEventListener("pointercancel", (event) => this.end(event, true));
    canvas.addEventListener("pointerleave", () => this.leave());
    canvas.addEventListener("dblclick", () => stage.workspace.repairs.inTurn(() => stage.workspace.tool.finish?.()));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  /**
   * @param {PointerEvent} event
   * @returns {Touch}
   */
  touch(event) {
    const box = this.stage.layers.marks.getBoundingClientRect();
    /** @type {Point} */
    const screen = [event.clientX - box.left, event.clientY - box.top];
    const pen = event.pointerType === "pen";
    return {
      image: this.stage.view.toImage(screen),
      screen,
      pressure: pen ? event.pressure : 1,
      alternate: event.altKey || (event.buttons & 2) !== 0 || event.button === 2,
      shift: event.shiftKey,
      pen,
      eraser: pen && (event.buttons & 32) !== 0,
    };
  }

  /** @param {PointerEvent} event */
  begin(event) {
    const { stage } = this;
    if (!stage.workspace.annotation) return;
    stage.layers.marks.focus({ preventScroll: true });
    stage.layers.marks.setPointerCapture(event.pointerId);
    stage.workspace.settings.set({ drawer: false });
    stage.crosshair = null;
    const touch = this.touch(event);
    this.down.set(event.pointerId, touch.screen);
    this.penSeen ||= touch.pen;
    if (event.pointerType === "touch" && this.down.size === 2) {
      if (this.job === "tool") stage.workspace.tool.cancel?.();
      this.job = "pinch";
    } else if (this.down.size === 1) {
      const moves = event.button === 1 || this.space || (event.pointerType === "touch" && this.penSeen);
      const { repairs, settings } = stage.workspace;
      this.job = moves || repairs.running || settings.values.tool === "pan" ? "pan" : "tool";
      if (this.job === "tool") stage.workspace.tool.down(touch);
    }
    stage.redrawMarks();
  }

  /** @param {PointerEvent} event */
  move(event) {
    const { stage } = this;
    const touch = this.touch(event);
    stage.hover = touch.image;
    const before = this.down.get(event.pointerId);
    if (before) {
      if (this.job === "tool") {
        const events = event.getCoalescedEvents?.() ?? [];
        for (const each of events.length ? events : [event]) stage.workspace.tool.move?.(this.touch(each));
      } else if (this.job === "pan") {
        stage.view.pan(touch.screen[0] - before[0], touch.screen[1] - before[1]);
        stage.moved();
      } else if (this.job === "pinch") {
        this.pinch(event.pointerId, before, touch.screen);
      }
      this.down.set(event.pointerId, touch.screen);
    } else {
      stage.workspace.tool.hover?.(touch);
    }
    stage.redrawMarks();
    stage.workspace.dispatchEvent(new Event("hover"));
  }

  /**
   * @param {number} id
   * @param {Point} before
   * @param {Point} now
   */
  pinch(id, before, now) {
    const other = [...this.down].find(([key]) => key !== id)?.[1];
    if (!other) return;
    const { view } = this.stage;
    const spread =
      Math.hypot(now[0] - other[0], now[1] - other[1]) /
      Math.max(1, Math.hypot(before[0] - other[0], before[1] - other[1]));
    view.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    view.zoomTo(view.scale * spread, [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
    this.stage.moved();
  }

  /**
   * @param {PointerEvent} event
   * @param {boolean} [cancelled]
   */
  end(event, cancelled = false) {
    if (!this.down.delete(event.pointerId)) return;
    const { tool } = this.stage.workspace;
    if (this.job === "tool") {
      if (cancelled) tool.cancel?.();
      else tool.up?.(this.touch(event));
    }
    if (this.job !== "pinch" || !this.down.size) this.job = null;
    this.stage.redrawMarks();
  }

  leave() {
    this.stage.hover = null;
    this.stage.redrawMarks();
    this.stage.workspace.dispatchEvent(new Event("hover"));
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const { stage } = this;
    if (event.shiftKey) {
      stage.view.pan(-(event.deltaX || event.deltaY), 0);
    } else {
      const pixels = event.deltaMode === 1 ? event.deltaY * 30 : event.deltaY;
      const box = stage.layers.marks.getBoundingClientRect();
      const speed = event.ctrlKey ? 0.01 : 0.0016;
      stage.view.zoomTo(stage.view.scale * Math.exp(-pixels * speed), [
        event.clientX - box.left,
        event.clientY - box.top,
      ]);
    }
    stage.moved();
  }
}
