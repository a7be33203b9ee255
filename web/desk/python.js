/**
 * The desk's Python as the page sees it: calls with a limit of time, and a new worker where one was not kept.
 *
 * 0. starting  Pyodide comes up in the worker; calls wait. It fails → 2.
 * 1. working   One call at a time. One that takes too long, or whose worker dies → 2.
 * 2. ended     The worker is ended. The call is refused by name; the next one begins at 0, in a new worker, which is
 *              first given all files that were read before: nothing is lost but the call.
 *
 * @module desk/python
 */

/** @import {Request} from "./requests.js" */

import { LeadoutError } from "../client/errors.js";
import { startModuleWorker } from "../module_worker.js";

/** The largest file that is read. A hundred years of days have 3 MB. */
export const MAX_FILE_BYTES = 64 << 20;

/** For a file to be read, or a table to be made. */
const CALL_MS = 30_000;

/** For Python to start, over whatever connection. */
const START_MS = 300_000;

/** @typedef {{id: number, resolve: (answer: any) => void, reject: (error: Error) => void}} Waiting */

export class DeskPython {
  /** @type {{worker: Worker, ready: Promise<void>} | null} */
  #started = null;
  /** @type {Waiting | null} */
  #waiting = null;
  /** Ends with the last call that was made. @type {Promise<unknown>} */
  #last = Promise.resolve();
  #numCalls = 0;
  #callMs;
  #onRequests;
  /** What `read` gave of each file, for a new worker. @type {Map<string, string>} */
  #kept = new Map();
  /** @type {Record<string, string>} */
  #names = {};
  /** @type {Record<string, string>} */
  #chosen = {};

  /**
   * @param {object} [options]
   * @param {(requests: Request[]) => void} [options.onRequests] told of the worker's requests
   * @param {number} [options.callMs] the limit of a call
   */
  constructor({ onRequests = () => {}, callMs = CALL_MS } = {}) {
    this.#onRequests = onRequests;
    this.#callMs = callMs;
  }

  /** Resolves once Python runs. @returns {Promise<void>} */
  async start() {
    await this.#queue(() => this.#start());
  }

  /**
   * Read a file and add it to the table, unless it asks something first.
   *
   * @param {string} id of the file on this page
   * @param {string} name
   * @param {Blob} file
   * @param {string | null} [order] of the parts of its dates, where a person has chosen
   * @returns {Promise<any>} what Desk.read gives
   * @throws {LeadoutError} MarketFileError, by file and line
   */
  async read(id, name, file, order = null) {
    if (file.size > MAX_FILE_BYTES) {
      const size = `${Math.ceil(file.size / 1e6).toLocaleString("en")} MB`;
      throw new LeadoutError(
        "MarketFileError",
        `${name} has ${size}; files of up to ${Math.floor(MAX_FILE_BYTES / 1e6)} MB are read. Keep one row a day, and ` +
          "the columns of date, price and volume.",
        { file: name, file_bytes: file.size, limit: MAX_FILE_BYTES },
      );
    }
    const read = await this.#call("read", { file_id: id, file: name, order }, file, name);
    this.#keep(read);
    return read;
  }

  /**
   * Add what the page shows without files.
   *
   * @param {string} id
   * @param {"article" | "made_up"} which
   * @returns {Promise<any[]>} each as `read`
   */
  async sample(id, which) {
    const reads = await this.#call("sample", { file_id: id, which });
    for (const read of reads) this.#keep(read);
    return reads;
  }

  /** @param {string} id of a file */
  async remove(id) {
    this.#kept.delete(id);
    delete this.#names[id];
    await this.#call("remove", { file_id: id });
  }

  /**
   * Call the asset of a history something else.
   *
   * @param {string} id of its file
   * @param {string} name
   * @returns {Promise<string>} what it is called now
   */
  async rename(id, name) {
    const now = await this.#call("rename", { file_id: id, name });
    this.#names[id] = now;
    return now;
  }

  /** Take an asset's row from a file. @param {string} asset @param {string} id */
  async choose(asset, id) {
    this.#chosen[asset] = id;
    await this.#call("choose", { asset, file_id: id });
  }

  /** @returns {Promise<any>} what Desk.table gives */
  table() {
    return this.#call("table", {});
  }

  /** @param {string} asset @returns {Promise<any>} what Desk.series gives */
  series(asset) {
    return this.#call("series", { asset });
  }

  /** @param {"nano" | "any"} model @param {number} mostRows @returns {Promise<any>} what Desk.text_for gives */
  textFor(model, mostRows) {
    return this.#call("text_for", { model, most_rows: mostRows });
  }

  /** @param {string} text @returns {Promise<any[]>} what Desk.check gives */
  check(text) {
    return this.#call("check", { text });
  }

  /** @param {"csv" | "markdown"} form @returns {Promise<string>} */
  export(form) {
    return this.#call("export", { form });
  }

  /** @param {{file_id: string, kept: string | null}} read */
  #keep({ file_id, kept }) {
    if (kept !== null) {
      this.#kept.set(file_id, kept);
    }
  }

  /**
   * @param {string} method
   * @param {object} args
   * @param {Blob | null} [file]
   * @param {string} [what] is read, for messages
   */
  #call(method, args, file = null, what = "This") {
    return this.#queue(async () => {
      await this.#start();
      return this.#ask(method, args, file, what);
    });
  }

  /**
   * @template T
   * @param {() => Promise<T>} run
   * @returns {Promise<T>}
   */
  #queue(run) {
    const running = this.#last.then(run);
    this.#last = running.catch(() => {});
    return running;
  }

  async #start() {
    if (this.#started) {
      return this.#started.ready;
    }
    const worker = startModuleWorker(new URL("./python_worker.js", import.meta.url), "leadout-desk");
    const ready = new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer in ${START_MS / 60_000} minutes`)), START_MS);
      worker.onmessage = ({ data }) => {
        if (data.requests) {
          this.#onRequests(data.requests);
        } else if (data.id === undefined) {
          clearTimeout(timer);
          data.ready ? resolve(undefined) : reject(new Error(data.failed));
        } else if (data.id === this.#waiting?.id) {
          const { resolve: answer, reject: refuse } = /** @type {Waiting} */ (this.#waiting);
          data.failed === undefined ? answer(data.answer) : refuse(new Error(data.failed));
        }
      };
      worker.onerror = (event) => {
        event.preventDefault?.();
        const error = new Error(event.message || "its script could not be started");
        clearTimeout(timer);
        reject(error);
        this.#waiting?.reject(error);
      };
    });
    this.#started = { worker, ready: ready.then(() => {}) };
    try {
      await ready;
      if (this.#kept.size > 0) {
        const restored = { files: [...this.#kept], names: this.#names, chosen: this.#chosen };
        await this.#ask("restore", restored, null, "What was read before");
      }
    } catch (error) {
      this.#end();
      if (error instanceof LeadoutError) throw error;
      const reason = /** @type {Error} */ (error).message;
      throw new LeadoutError("SourceError", `The desk's Python could not be started (${reason}); reload the page.`, {
        reason,
      });
    }
  }

  /**
   * @param {string} method
   * @param {object} args
   * @param {Blob | null} file
   * @param {string} what
   * @returns {Promise<any>}
   */
  async #ask(method, args, file, what) {
    const { worker } = /** @type {{worker: Worker}} */ (this.#started);
    const id = ++this.#numCalls;
    const others = this.#kept.size > 0 ? " The other files are still here." : "";
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    let answer;
    try {
      answer = await new Promise((resolve, reject) => {
        this.#waiting = { id, resolve, reject };
        timer = setTimeout(() => resolve(null), this.#callMs);
        worker.postMessage({ id, method, args: JSON.stringify(args), file });
      });
    } catch (error) {
      // The worker itself failed: it ran out of memory, most likely.
      this.#end();
      const reason = /** @type {Error} */ (error).message.trim().split("\n").at(-1);
      throw new LeadoutError(
        "MarketFileError",
        `${what} could not be taken: the worker that it ran in ended (${reason}).${others}`,
        { reason },
      );
    } finally {
      clearTimeout(timer);
      this.#waiting = null;
    }
    if (answer === null) {
      this.#end();
      throw new LeadoutError(
        "MarketFileError",
        `${what} took more than ${this.#callMs / 1000} s and was ended.${others} Leave out rows or columns.`,
        { limit_ms: this.#callMs },
      );
    }
    const { value, error } = JSON.parse(answer);
    if (error) {
      throw new LeadoutError(error.name, error.message, error.detail);
    }
    return value;
  }

  #end() {
    this.#started?.worker.terminate();
    this.#started = null;
  }
}
