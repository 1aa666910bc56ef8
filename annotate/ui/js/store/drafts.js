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
   * @param {string} [origin] the tab that is gone and whose work it is; none for this tab's own
   */
  async removeBefore(image, when, origin = "") {
    for (const { key, draft } of await this.kept(image)) {
      if (draft.tab !== origin || draft.when > when) continue;
      if (key === this.tabs.key(image)) await this.remove(image);
      else await this.database.delete("drafts", key);
    }
  }

  /**
   * @param {string} image
   * @returns {Promise<Draft | null>} this tab's draft, or the newest of a tab that is gone, which becomes this tab's
   */
  async load(image) {
    const own = await this.database.get("drafts", this.tabs.key(image));
    if (own) return own;
    const [newest] = await this.kept(image); // the others wait until this one is submitted
    if (!newest) return null;
    await this.database.put("drafts", this.tabs.key(image), newest.draft);
    await this.database.delete("drafts", newest.key);
    return newest.draft;
  }

  /**
   * @param {string} image
   * @returns {Promise<boolean>} whether tabs that are gone have left work on it beside this tab's
   */
  async others(image) {
    return (await this.kept(image)).some(({ key }) => key !== this.tabs.key(image));
  }

  /**
   * @param {string} image
   * @returns {Promise<{key: string, draft: Draft}[]>} this tab's draft and those of tabs that are gone, the newest first
   */
  async kept(image) {
    const found = [];
    for (const { key, tab, what } of this.tabs.ours(await this.database.keys("drafts"))) {
      if (what !== image || (tab !== this.tabs.id && (await this.tabs.alive(tab)))) continue;
      const draft = await this.database.get("drafts", key);
      if (draft) found.push({ key, draft: { ...draft, tab: draft.tab || (tab === this.tabs.id ? "" : tab) } });
    }
    return found.sort((first, second) => second.draft.when - first.draft.when);
  }

  /** @returns {Promise<Set<string>>} images with a draft, of any tab */
  async images() {
    return new Set(this.tabs.ours(await this.database.keys("drafts")).map(({ what }) => what));
  }
}
