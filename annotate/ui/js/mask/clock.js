/** Seconds of work on one image: time runs while the annotator acts, and stops after a pause. */

/** Seconds without any action after which the time stops. */
export const PAUSE = 30;

export class Clock {
  /** @param {() => number} [now] milliseconds */
  constructor(now = () => performance.now()) {
    this.now = now;
    this.seconds = 0;
    /** When the time counted last ended. @type {number | null} */
    this.last = null;
    /** When the annotator last acted. */
    this.acted = -Infinity;
  }

  /** @returns {boolean} */
  get running() {
    return this.last !== null && this.now() - this.acted < PAUSE * 1000;
  }

  /** The annotator did something. */
  act() {
    this.tick();
    this.acted = this.now();
    this.last ??= this.acted;
  }

  /** Count the time up to now; called every second or so. */
  tick() {
    if (this.last === null) return;
    const end = Math.min(this.now(), this.acted + PAUSE * 1000);
    this.seconds += Math.max(0, end - this.last) / 1000;
    this.last = end < this.now() ? null : end;
  }

  /** The page is hidden or another image is open. */
  stop() {
    this.tick();
    this.last = null;
  }
}
