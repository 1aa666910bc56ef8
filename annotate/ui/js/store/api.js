/**
 * The server's endpoints. Errors come as one sentence for the annotator: {@link ServerError}, {@link Unreachable} or
 * {@link OtherFolder}.
 */

/** The server answered, and refused. */
export class ServerError extends Error {
  /**
   * @param {string} message
   * @param {number} status
   * @param {any} body
   */
  constructor(message, status, body) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

/** The server did not answer. */
export class Unreachable extends Error {
  constructor() {
    super("The server does not answer. Your work is kept in this browser and is sent when the server is back.");
  }
}

/** Another studies folder than this page's answers at this address; it has other images, some of the same names. */
export class OtherFolder extends Error {
  constructor() {
    super(
      "Another studies folder answers at this address now. Your work is kept in this browser for the folder it belongs to. Reload the page to see the other one.",
    );
  }
}

/**
 * @typedef {{query?: Record<string, any>, json?: any, form?: FormData, signal?: AbortSignal}} Options
 * @typedef {{index: number, name: string, colour: string}} ClassEntry
 * @typedef {{version: number, sha256: string, published: boolean, dice: number | null}} Model
 * @typedef {{user: string, model: Model | null, classes: ClassEntry[], interactive: boolean, max_upload_bytes: number,
 *   studies: string, folder: string}} Session
 */

/** What tells the folder needs none told. */
const SESSION = "/api/session";

/** Emits "connection" when the server stops or begins to answer. */
export class Api extends EventTarget {
  /**
   * @param {string | null} token
   * @param {string} annotator
   */
  constructor(token, annotator) {
    super();
    this.token = token;
    this.annotator = annotator;
    /** Id of the studies folder that this page is about, once the server has told it. */
    this.folder = "";
    this.reachable = true;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Options} [options]
   * @returns {Promise<Response>}
   */
  async request(method, path, { query = {}, json, form, signal } = {}) {
    const url = new URL(path, location.origin);
    for (const [name, value] of Object.entries(query))
      if (value !== null && value !== undefined) url.searchParams.set(name, value);
    /** @type {Record<string, string>} */
    const headers = {};
    if (this.annotator) headers["X-Annotator"] = encodeURIComponent(this.annotator);
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (this.folder && path !== SESSION) headers["X-Folder"] = this.folder;
    if (json !== undefined) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(url, {
        method,
        headers,
        body: form ?? (json === undefined ? undefined : JSON.stringify(json)),
        signal,
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      this.setReachable(false);
      throw new Unreachable();
    }
    if ([502, 503, 504].includes(response.status)) {
      this.setReachable(false);
      throw new Unreachable();
    }
    this.setReachable(true);
    if (response.ok) return response;
    const body = await response.json().catch(() => ({}));
    if (response.status === 409 && body.folder) throw new OtherFolder();
    throw new ServerError(
      body.error ?? `The server refused this (${response.status} ${response.statusText}).`,
      response.status,
      body,
    );
  }

  /**
   * Ask the server who we are to it, and whether it still has the folder that this page is about.
   * @returns {Promise<Session>}
   * @throws {OtherFolder}
   */
  async session() {
    const session = await this.get(SESSION);
    this.folder ||= session.folder;
    if (session.folder !== this.folder) throw new OtherFolder();
    return session;
  }

  /** @param {boolean} reachable */
  setReachable(reachable) {
    if (this.reachable === reachable) return;
    this.reachable = reachable;
    this.dispatchEvent(new Event("connection"));
  }

  /**
   * @param {string} path
   * @param {Record<string, any>} [query]
   * @param {AbortSignal} [signal]
   */
  async get(path, query, signal) {
    return (await this.request("GET", path, { query, signal })).json();
  }

  /**
   * @param {string} path
   * @param {any} [json]
   */
  async post(path, json = {}) {
    return (await this.request("POST", path, { json })).json();
  }

  /**
   * @param {string} path
   * @param {Record<string, any>} [query]
   * @param {AbortSignal} [signal]
   * @returns {Promise<Blob>}
   */
  async blob(path, query, signal) {
    return (await this.request("GET", path, { query, signal })).blob();
  }

  /** @param {string} id of an image */
  image(id) {
    return `/api/images/${encodeURIComponent(id)}`;
  }

  /**
   * @param {string} id
   * @param {Blob} label PNG
   * @param {object} about
   * @returns {Promise<{version: number}>}
   */
  async putLabel(id, label, about) {
    const form = new FormData();
    form.append("label", label, "label.png");
    form.append("about", JSON.stringify(about));
    return (await this.request("PUT", `${this.image(id)}/label`, { form })).json();
  }

  /**
   * @param {File} file
   * @returns {Promise<any>} the new item
   */
  async upload(file) {
    const form = new FormData();
    form.append("image", file, file.name);
    return (await this.request("POST", "/api/images", { form })).json();
  }
}
