/**
 * A file of the store that is there whole, to be read by anybody.
 *
 * @module disk_file
 */

import { LeadoutError } from "../runtime/errors.js";
import { holdLock } from "./locks.js";
import { lockOf } from "./records.js";

/** @import {Folders} from "./records.js" */

export class DiskFile {
  #folders;
  #id;
  /** @type {Promise<{read: (offset: number, target: Uint8Array<ArrayBuffer>) => Promise<number>, close: () => void}> | null} */
  #opened = null;

  /**
   * @param {Folders} folders
   * @param {string} id
   */
  constructor(folders, id) {
    this.#folders = folders;
    this.#id = id;
  }

  /**
   * @param {number} offset
   * @param {Uint8Array<ArrayBuffer>} target
   */
  async read(offset, target) {
    this.#opened ??= this.#open();
    let got = 0;
    try {
      got = await (await this.#opened).read(offset, target);
    } catch (error) {
      throw this.#gone(String(error));
    }
    if (got !== target.length) throw this.#gone(`${got} of ${target.length} bytes at ${offset}`);
  }

  /** It can be read again. */
  close() {
    const opened = this.#opened;
    this.#opened = null;
    opened?.then(({ close }) => close(), () => {});
  }

  async #open() {
    const release = await holdLock(lockOf(this.#id), { mode: "shared" });
    try {
      const entry = await this.#folders.files.getFileHandle(`${this.#id}.bytes`);
      try {
        // Several tabs may read at once. A browser that does not know modes gives it to one.
        const handle = await entry.createSyncAccessHandle({ mode: "read-only" });
        return {
          read: async (/** @type {number} */ at, /** @type {Uint8Array<ArrayBuffer>} */ target) =>
            handle.read(target, { at }),
          close: () => {
            handle.close();
            release();
          },
        };
      } catch {
        const file = await entry.getFile();
        return {
          read: async (/** @type {number} */ at, /** @type {Uint8Array<ArrayBuffer>} */ target) => {
            const part = await file.slice(at, at + target.length).arrayBuffer();
            target.set(new Uint8Array(part));
            return part.byteLength;
          },
          close: release,
        };
      }
    } catch (error) {
      release();
      throw error;
    }
  }

  /** @param {string} reason */
  #gone(reason) {
    this.close();
    return new LeadoutError(
      "StoreError",
      `a file of the store cannot be read any more (${reason}); delete the model and fetch it again`,
      { id: this.#id, reason },
    );
  }
}
