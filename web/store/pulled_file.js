/**
 * One file of a model that is being pulled: a Source that can be read from the first moment. What is
 * not there yet is waited for, and fetched first.
 *
 * @module pulled_file
 */

import { LeadoutError } from "../runtime/errors.js";
import { checkRange } from "../runtime/read_ahead.js";
import { ChunkFile, writeRecord } from "./chunk_file.js";
import { DiskFile } from "./disk_file.js";
import { FileHasher } from "./hasher.js";
import { CHUNK_BYTES, STORE_VERSION, sha256Hex } from "./records.js";

/** @import {RemoteFile} from "../runtime/remote_file.js" */
/** @import {Fetching} from "./fetching.js" */
/** @import {FileRecord, Folders} from "./records.js" */

/** What the file's readers are told when it gets on. */
class Waiting {
  /** @type {(() => void)[]} */
  #resolves = [];

  wait() {
    return new Promise((resolve) => this.#resolves.push(() => resolve(undefined)));
  }

  wake() {
    for (const resolve of this.#resolves.splice(0)) resolve();
  }
}

export class PulledFile {
  #folders;
  #disk;
  #news = new Waiting();
  /** @type {FileHasher | null} */
  #hasher = null;
  /** @type {Promise<void> | null} */
  #hashing = null;
  #numHashed = 0;
  /** @type {unknown} */
  #failure = null;
  /** Where what is missing comes from. @type {Fetching | null} */
  fetching = null;
  /** As long as this pull holds the file's lock. @type {ChunkFile | null} */
  chunks = null;
  /** Of those, how many bytes; or what another tab says. */
  storedBytes = 0;
  /** How many of the bytes that were kept before this pull have been compared with their hashes. */
  verifiedBytes = 0;
  #onCheck;

  /**
   * @param {Folders} folders
   * @param {FileRecord} record
   * @param {{remote: RemoteFile, isDone: boolean, onCheck?: () => void}} options `onCheck` is told
   *   when more is verified or hashed
   */
  constructor(folders, record, { remote, isDone, onCheck = () => {} }) {
    this.#folders = folders;
    this.#onCheck = onCheck;
    this.#disk = new DiskFile(folders, record.id);
    this.record = record;
    this.remote = remote;
    this.isDone = isDone;
    this.name = record.name;
    if (isDone) this.#countAll();
  }

  // ---- as a Source --------------------------------------------------------------------------

  async size() {
    return this.record.size;
  }

  /**
   * @param {number} offset
   * @param {number} length
   * @param {Uint8Array<ArrayBuffer>} [into]
   * @returns {Promise<Uint8Array<ArrayBuffer>>}
   */
  async read(offset, length, into = new Uint8Array(length)) {
    checkRange(this.name, offset, length, this.record.size);
    for (let done = 0; done < length; ) {
      const at = offset + done;
      const chunk = Math.floor(at / CHUNK_BYTES);
      const part = into.subarray(done, Math.min(length, (chunk + 1) * CHUNK_BYTES - offset));
      // First, because the disk is read under the file's lock, which this pull may hold for long.
      if (this.chunks?.has(chunk)) {
        this.chunks.read(at, part);
        done += part.length;
        continue;
      }
      if (this.isDone) {
        await this.#disk.read(at, into.subarray(done, length));
        break;
      }
      this.#throwIfFailed();
      this.fetching?.want(this, chunk);
      await this.#news.wait();
    }
    return into;
  }

  close() {
    this.#disk.close();
  }

  // ---- for the pull, which holds the file's lock --------------------------------------------

  /**
   * Take up what is there.
   *
   * @param {import("./hasher.js").Hashing} hashing of the whole file
   * @param {AbortSignal} signal
   */
  async open(hashing, signal) {
    const chunks = await ChunkFile.open(this.#folders, this.record);
    try {
      chunks.reserve();
      await chunks.verify(signal, (bytes) => {
        this.verifiedBytes += bytes;
        this.#onCheck();
      });
    } catch (error) {
      chunks.close();
      throw error;
    }
    this.chunks = chunks;
    this.storedBytes = chunks.storedBytes;
    if (this.record.sha256 !== null) this.#hasher = new FileHasher(hashing);
    this.#hash();
    this.#news.wake();
  }

  /**
   * @param {number} chunk that was kept
   * @returns {number} its bytes
   */
  take(chunk) {
    const bytes = /** @type {ChunkFile} */ (this.chunks).lengthOf(chunk);
    this.storedBytes += bytes;
    this.#hash();
    this.#news.wake();
    return bytes;
  }

  /** @returns {number} how much of it is known to be right: hashed as a whole, if its hash is published */
  get hashedBytes() {
    if (this.isDone || this.record.sha256 === null) return this.storedBytes;
    return Math.min(this.#numHashed * CHUNK_BYTES, this.record.size);
  }

  /**
   * All is there: check it as a whole and write the commit record.
   *
   * @throws {LeadoutError} IntegrityError; the file's bytes are dropped then. Or what `fail` was told
   */
  async commit() {
    const { record } = this;
    const chunks = /** @type {ChunkFile} */ (this.chunks);
    if (this.#hasher !== null) {
      while (this.#numHashed < chunks.numChunks) {
        await this.#hash();
        this.#throwIfFailed();
      }
      const found = await this.#hasher.digest();
      if (found !== record.sha256) {
        chunks.clear();
        this.storedBytes = 0;
        throw new LeadoutError(
          "IntegrityError",
          `${record.name} has the SHA-256 ${found.slice(0, 16)}…, and its source publishes ` +
            `${record.sha256?.slice(0, 16)}…; what was fetched was dropped: fetch it again`,
          { name: record.name, found, wanted: record.sha256 },
        );
      }
    }
    const tree = await sha256Hex(chunks.entries());
    this.#throwIfFailed();
    chunks.flush();
    const done = { version: STORE_VERSION, size: record.size, sha256: record.sha256, tree };
    await writeRecord(this.#folders.files, `${record.id}.done`, done);
    this.setDone();
  }

  /** All is there, and was checked; here or in another tab. */
  setDone() {
    this.isDone = true;
    this.#countAll();
    this.#endHashing();
    this.#news.wake();
  }

  /** @param {unknown} error that ends what is under way, and that readers get unless all is there */
  fail(error) {
    this.#failure = error;
    this.#endHashing();
    this.#news.wake();
  }

  /** What was fetched is of a file that the source has no more. */
  drop() {
    this.chunks?.clear();
    this.storedBytes = 0;
  }

  /** Nothing more is written: from now on the disk is read. */
  closeChunks() {
    this.chunks?.close();
    this.chunks = null;
  }

  #countAll() {
    this.storedBytes = this.verifiedBytes = this.record.size;
  }

  #throwIfFailed() {
    if (this.#failure !== null) throw this.#failure;
  }

  #endHashing() {
    this.#hasher?.close();
    this.#hasher = null;
  }

  /** @returns {Promise<void>} once what follows what was hashed is hashed, as far as it is there */
  #hash() {
    this.#hashing ??= this.#hashOn().finally(() => {
      this.#hashing = null;
    });
    this.#hashing.catch(() => {}); // commit() sees it
    return this.#hashing;
  }

  async #hashOn() {
    for (;;) {
      const [hasher, chunks, chunk] = [this.#hasher, this.chunks, this.#numHashed];
      if (hasher === null || chunks === null || chunk === chunks.numChunks || !chunks.has(chunk)) return;
      await hasher.update(chunks.lengthOf(chunk), (piece) => chunks.read(chunk * CHUNK_BYTES, piece));
      this.#numHashed++;
      this.#onCheck();
    }
  }
}
