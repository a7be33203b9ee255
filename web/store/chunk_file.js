/**
 * A file of the store while it is fetched: its bytes, and a table that says which chunks are there and
 * what their hashes are.
 *
 * A chunk's bytes are written before its entry. A tab that is closed in between loses the chunk and
 * nothing else. After a crash of the machine the table may be ahead of the bytes, so whoever opens
 * the file again checks every chunk against its hash before trusting it.
 *
 * @module chunk_file
 */

import { LeadoutError, formatBytes } from "../runtime/errors.js";
import { CHUNK_BYTES, ENTRY_BYTES, countBytes } from "./records.js";

/** @import {FileRecord, Folders} from "./records.js" */

/**
 * The browser's FileSystemSyncAccessHandle, which TypeScript knows in workers alone.
 * @typedef {{read: (target: Uint8Array, options?: {at?: number}) => number,
 *   write: (bytes: Uint8Array, options?: {at?: number}) => number,
 *   getSize: () => number, truncate: (size: number) => void, flush: () => void, close: () => void}} SyncHandle
 */

/** Another tab that was just closed lets go of its handles a little later than of its locks. */
const MAX_OPEN_TRIES = 40;
const OPEN_RETRY_MS = 100;

export class ChunkFile {
  #bytes;
  #table;
  /** The table as it is on disk. */
  #entries;

  /**
   * @param {FileRecord} record
   * @param {SyncHandle} bytes
   * @param {SyncHandle} table
   * @private use ChunkFile.open
   */
  constructor(record, bytes, table) {
    this.record = record;
    this.size = record.size;
    this.numChunks = Math.ceil(record.size / CHUNK_BYTES);
    this.#bytes = bytes;
    this.#table = table;
    this.#entries = new Uint8Array(this.numChunks * ENTRY_BYTES);
    table.read(this.#entries, { at: 0 });
  }

  /**
   * The caller holds the file's lock.
   *
   * @param {Folders} folders
   * @param {FileRecord} record
   */
  static async open({ files }, record) {
    const bytes = await openHandle(files, `${record.id}.bytes`);
    try {
      return new ChunkFile(record, bytes, await openHandle(files, `${record.id}.chunks`));
    } catch (error) {
      bytes.close();
      throw error;
    }
  }

  get storedBytes() {
    return countBytes(this.#entries, this.size);
  }

  get isComplete() {
    return this.storedBytes === this.size;
  }

  /** @param {number} chunk */
  has(chunk) {
    return this.#entries[chunk * ENTRY_BYTES] === 1;
  }

  /** @param {number} chunk */
  lengthOf(chunk) {
    return Math.min(CHUNK_BYTES, this.size - chunk * CHUNK_BYTES);
  }

  /**
   * Check every chunk that is there against its hash, and forget those that are not what they were.
   *
   * @param {AbortSignal} [signal]
   * @param {(checkedBytes: number) => void} [onCheck] told of each chunk's bytes
   */
  async verify(signal, onCheck) {
    const memory = new Uint8Array(CHUNK_BYTES);
    for (let chunk = 0; chunk < this.numChunks; chunk++) {
      if (!this.has(chunk)) continue;
      signal?.throwIfAborted();
      const part = memory.subarray(0, this.lengthOf(chunk));
      const got = this.#bytes.read(part, { at: chunk * CHUNK_BYTES });
      const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", part));
      const entry = chunk * ENTRY_BYTES;
      const isSame = got === part.length && hash.every((byte, i) => byte === this.#entries[entry + 1 + i]);
      if (!isSame) this.#enter(chunk, 0, new Uint8Array(ENTRY_BYTES - 1));
      onCheck?.(part.length);
    }
  }

  /**
   * Take the room for all of it from the browser.
   *
   * @throws {LeadoutError} StoreError: it does not give it
   */
  reserve() {
    const missing = this.size - this.#bytes.getSize();
    if (missing <= 0) return;
    try {
      this.#bytes.truncate(this.size);
    } catch (error) {
      if (!isQuota(error)) throw error;
      throw new LeadoutError(
        "StoreError",
        `${this.record.name} does not fit: the browser does not give this page another ` +
          `${formatBytes(missing)}`,
        { is_full: true, needed_bytes: missing },
      );
    }
  }

  /**
   * Keep a chunk.
   *
   * @param {number} chunk
   * @param {Uint8Array<ArrayBuffer>} bytes all of it
   * @param {Uint8Array} hash its SHA-256
   * @throws {LeadoutError} StoreError: the disk, or the browser's share of it, is full
   */
  write(chunk, bytes, hash) {
    try {
      writeAll(this.#bytes, bytes, chunk * CHUNK_BYTES);
      this.#enter(chunk, 1, hash);
    } catch (error) {
      if (!isQuota(error)) throw error;
      throw new LeadoutError(
        "StoreError",
        `the disk is full: ${formatBytes(this.storedBytes)} of ${this.record.name}'s ` +
          `${formatBytes(this.size)} are kept and will not be fetched again`,
        { is_full: true, stored_bytes: this.storedBytes, wanted_bytes: this.size },
      );
    }
  }

  /**
   * @param {number} offset
   * @param {Uint8Array<ArrayBuffer>} target within chunks that are there
   */
  read(offset, target) {
    this.#bytes.read(target, { at: offset });
  }

  /** Forget all of it. */
  clear() {
    this.#entries.fill(0);
    this.#table.truncate(0);
    this.#bytes.truncate(0);
  }

  /** @returns {Uint8Array<ArrayBuffer>} the table, for a hash over all hashes */
  entries() {
    return this.#entries.slice();
  }

  /** Have all of it on the disk. */
  flush() {
    for (const handle of [this.#bytes, this.#table]) handle.flush();
  }

  close() {
    this.flush();
    for (const handle of [this.#bytes, this.#table]) handle.close();
  }

  /**
   * @param {number} chunk
   * @param {number} state
   * @param {Uint8Array} hash
   */
  #enter(chunk, state, hash) {
    const at = chunk * ENTRY_BYTES;
    const entry = this.#entries.slice(at, at + ENTRY_BYTES);
    entry[0] = state;
    entry.set(hash, 1);
    writeAll(this.#table, entry, at);
    this.#entries.set(entry, at);
  }
}

/**
 * @param {SyncHandle} handle
 * @param {Uint8Array} bytes
 * @param {number} at
 * @throws {DOMException} QuotaExceededError: there is no room for all of it
 */
function writeAll(handle, bytes, at) {
  if (handle.write(bytes, { at }) !== bytes.length) throw new DOMException("a part was written", "QuotaExceededError");
}

/**
 * @param {unknown} error of the file system
 * @returns {boolean} whether there is no room
 */
function isQuota(error) {
  return error instanceof Error && error.name === "QuotaExceededError";
}

/**
 * @param {FileSystemDirectoryHandle} folder
 * @param {string} name
 * @returns {Promise<SyncHandle>}
 */
export async function openHandle(folder, name) {
  const handle = await folder.getFileHandle(name, { create: true });
  for (let tries = 1; ; tries++) {
    try {
      return await handle.createSyncAccessHandle();
    } catch (error) {
      const isLocked = /** @type {DOMException} */ (error).name === "NoModificationAllowedError";
      if (!isLocked || tries === MAX_OPEN_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, OPEN_RETRY_MS));
    }
  }
}

/**
 * @param {FileSystemDirectoryHandle} folder
 * @param {string} name
 * @param {object} record
 * @throws {LeadoutError} StoreError: there is no room; a record that was there is still there
 */
export async function writeRecord(folder, name, record) {
  const bytes = new TextEncoder().encode(JSON.stringify(record));
  try {
    const handle = await openHandle(folder, name);
    try {
      if (handle.getSize() < bytes.length) handle.truncate(bytes.length); // the room first
      writeAll(handle, bytes, 0);
      handle.truncate(bytes.length);
      handle.flush();
    } finally {
      handle.close();
    }
  } catch (error) {
    if (!isQuota(error)) throw error;
    const message = "the disk is full: there is no room even for the list of the model's files";
    throw new LeadoutError("StoreError", message, { is_full: true });
  }
}
