/** Undo and redo: a list of steps, each with a change of the label and the guidance before and after it. */

/**
 * A step that is joined to the one before it is undone and redone with it: a click and the model's answer to it.
 * @typedef {import("./label.js").Change} Change
 * @typedef {import("./guidance.js").Guidance} Guidance
 * @typedef {{name: string, change: Change | null, before: Guidance, after: Guidance, joined: boolean}} Step
 */

/** Steps kept; older ones are forgotten. */
const LONGEST = 500;

export class History {
  constructor() {
    /** @type {Step[]} */
    this.done = [];
    /** @type {Step[]} */
    this.undone = [];
  }

  /** @returns {Step | undefined} the last step made */
  get last() {
    return this.done[this.done.length - 1];
  }

  /** @param {Step} step made now; what was undone before cannot be redone any more */
  push(step) {
    this.done.push(step);
    if (this.done.length > LONGEST) this.done.shift();
    this.undone = [];
  }

  /** @returns {Step[]} the steps to take back, in that order */
  undo() {
    const steps = [];
    for (let step = this.done.pop(); step; step = step.joined ? this.done.pop() : undefined) {
      this.undone.push(step);
      steps.push(step);
    }
    return steps;
  }

  /** @returns {Step[]} the steps to make again, in that order */
  redo() {
    const steps = [];
    for (
      let step = this.undone.pop();
      step;
      step = this.undone[this.undone.length - 1]?.joined ? this.undone.pop() : undefined
    ) {
      this.done.push(step);
      steps.push(step);
    }
    return steps;
  }
}
