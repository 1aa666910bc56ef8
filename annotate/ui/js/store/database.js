/** IndexedDB as promises: two stores of records, "drafts" and "outbox", each under a text key. In memory where there is none. */

const NAME = "annotation";
const STORES = ["drafts", "outbox"];

export class Database {
  /** @param {IDBDatabase | null} connection */
  constructor(connection) {
    this.connection = connection;
    /** @type {Map<string, Map<string, any>>} */
    this.memory = new Map(STORES.map((store) => [store, new Map()]));
  }

  /** Whether records survive a reload. */
  get lasting() {
    return this.connection !== null;
  }

  /** @returns {Promise<Database>} */
  static async open() {
    try {
      const request = indexedDB.open(NAME, 1);
      request.onupgradeneeded = () => {
        for (const store of STORES) request.result.createObjectStore(store);
      };
      return new Database(await promise(request));
    } catch {
      return new Database(null);
    }
  }

  /**
   * @param {string} store
   * @param {string} key
   * @param {any} record
   */
  async put(store, key, record) {
    if (!this.connection) this.memory.get(store)?.set(key, structuredClone(record));
    else await this.run(store, "readwrite", (objects) => objects.put(record, key));
  }

  /**
   * @param {string} store
   * @param {string} key
   */
  async delete(store, key) {
    if (!this.connection) this.memory.get(store)?.delete(key);
    else await this.run(store, "readwrite", (objects) => objects.delete(key));
  }

  /**
   * @param {string} store
   * @param {string} key
   * @returns {Promise<any>} undefined where there is none
   */
  async get(store, key) {
    return this.connection
      ? this.run(store, "readonly", (objects) => objects.get(key))
      : this.memory.get(store)?.get(key);
  }

  /**
   * @param {string} store
   * @returns {Promise<string[]>}
   */
  async keys(store) {
    if (!this.connection) return [...(this.memory.get(store)?.keys() ?? [])];
    return /** @type {Promise<string[]>} */ (this.run(store, "readonly", (objects) => objects.getAllKeys()));
  }

  /**
   * @template T
   * @param {string} store
   * @param {IDBTransactionMode} mode
   * @param {(objects: IDBObjectStore) => IDBRequest<T>} act
   * @returns {Promise<T>} after the transaction is on disk
   */
  run(store, mode, act) {
    return new Promise((resolve, reject) => {
      const transaction = /** @type {IDBDatabase} */ (this.connection).transaction(store, mode);
      const request = act(transaction.objectStore(store));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? request.error);
    });
  }
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function promise(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
