/** Work that is not submitted yet, kept in the browser a moment after each change. */

/**
 * @typedef {import("../mask/annotation.js").Annotation} Annotation
 * @typedef {import("../mask/annotation.js").Draft} Draft
 */

const DELAY_MS = 300;

export class Drafts {
  /**
   * @param {import("./database.js").Database} database
   * @param {import("./tabs.js").Tabs} tabs
   * @param {(error: Error) => void} failed
   */
  constructor(database, tabs, failed) {
    this.database = database;
    this.tabs = tabs;
    this.failed = failed;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @type {Annotation | null} */
    this.waiting = null;
  }

  /** @param {Annotation} annotation saved soon */
  later(annotation) {
    this.waiting = annotation;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), DELAY_MS);
  }

  /** Save now what waits. */
  async flush() {
    clearTimeout(this.timer);
    const annotation = this.waiting;
    this.waiting = null;
    if (!annotation) return;
    try {
      await this.database.put("drafts", this.tabs.key(annotation.item.id), annotation.toDraft());
    } catch (error) {
      this.failed(/** @type {Error} */ (error));
    }
  }

  /** @param {string} image whose draft is not needed any more */
  async remove(image) {
    if (this.waiting?.item.id === image) {
      clearTimeout(this.timer);
      this.waiting = null;
    }
    await this.database.delete("drafts", this.tabs.key(image));
  }

  /**
   * @param {string} image
   * @param {number} when a draft older than this moment (milliseconds) is not needed any more
   */
  async removeBefore(image, when) {
    const draft = await this.database.get("drafts", this.tabs.key(image));
    if (draft && draft.when <= when) await this.remove(image);
  }

  /**
   * @param {string} image
   * @returns {Promise<Draft | null>} this tab's draft, or the newest of a tab that is gone, which becomes this tab's
   */
  async load(image) {
    const own = await this.database.get("drafts", this.tabs.key(image));
    if (own) return own;
    /** @type {{key: string, draft: Draft}[]} */
    const left = [];
    for (const { key, tab, what } of this.tabs.ours(await this.database.keys("drafts"))) {
      if (what !== image || (await this.tabs.alive(tab))) continue;
      left.push({ key, draft: await this.database.get("drafts", key) });
    }
    if (!left.length) return null;
    left.sort((first, second) => second.draft.when - first.draft.when);
    await this.database.put("drafts", this.tabs.key(image), left[0].draft);
    for (const { key } of left) await this.database.delete("drafts", key);
    return left[0].draft;
  }

  /** @returns {Promise<Set<string>>} images with a draft, of any tab */
  async images() {
    return new Set(this.tabs.ours(await this.database.keys("drafts")).map(({ what }) => what));
  }
}
