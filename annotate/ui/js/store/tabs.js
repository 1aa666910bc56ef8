/**
 * Which tabs of this browser are open: drafts and submissions belong to the tab that made them, and only those of a tab
 * that is gone are taken over. Works without a secure context, where Web Locks do not.
 */

const ANSWER_MS = 200;

export class Tabs {
  constructor() {
    this.id = sessionStorage.getItem("tab") ?? newId();
    this.channel = new BroadcastChannel("annotation-tabs");
    /** Id of the server's folder: another one at the same address has other images of the same names. */
    this.folder = "";
    /** The image open in this tab. @type {string | null} */
    this.image = null;
    this.channel.onmessage = ({ data }) => {
      if (data.ask === this.id) this.channel.postMessage({ alive: this.id });
      if (data.image && data.image === this.image) this.channel.postMessage({ open: data.image });
    };
  }

  /** @returns {Promise<Tabs>} with an id of its own, where the browser copied another tab's */
  static async start() {
    const tabs = new Tabs();
    const asked = tabs.id;
    tabs.id = "";
    tabs.id = (await tabs.ask({ ask: asked }, (data) => data.alive === asked)) ? newId() : asked;
    sessionStorage.setItem("tab", tabs.id);
    return tabs;
  }

  /**
   * @param {string} what an image, or what is said of it
   * @param {string} [origin] the tab that is gone and whose work it is; none for this tab's own
   * @returns {string} the key of this tab's record about it
   */
  key(what, origin = "") {
    return this.taken(`${origin} ${this.folder} ${what}`);
  }

  /**
   * @param {string} key of a record of a tab that is gone
   * @returns {string} its key as this tab's, beside all others: what two tabs made of one image stays apart
   */
  taken(key) {
    return key.startsWith(" ") ? this.id + key : `${this.id}+${key}`;
  }

  /**
   * @param {string[]} keys
   * @returns {{key: string, tab: string, what: string}[]} those about this folder, of any tab
   */
  ours(keys) {
    const split = keys.map((key) => {
      const [tabs, folder, ...rest] = key.split(" ");
      return { key, tab: tabs.split("+")[0], folder, what: rest.join(" ") };
    });
    return split.filter(({ folder }) => folder === this.folder);
  }

  /**
   * @param {string} id
   * @returns {Promise<boolean>} whether that tab is open
   */
  async alive(id) {
    return id === this.id || this.ask({ ask: id }, (data) => data.alive === id);
  }

  /**
   * @param {string} image
   * @returns {Promise<boolean>} whether another tab has this image open
   */
  openElsewhere(image) {
    return this.ask({ image }, (data) => data.open === image);
  }

  /**
   * @param {object} question
   * @param {(data: any) => boolean} answers
   * @returns {Promise<boolean>}
   */
  ask(question, answers) {
    return new Promise((resolve) => {
      const channel = new BroadcastChannel("annotation-tabs");
      const end = (/** @type {boolean} */ result) => {
        clearTimeout(timer);
        channel.close();
        resolve(result);
      };
      const timer = setTimeout(() => end(false), ANSWER_MS);
      channel.onmessage = ({ data }) => answers(data) && end(true);
      this.channel.postMessage(question);
    });
  }
}

function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
