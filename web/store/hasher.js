/**
 * The SHA-256 of a whole file, in a thread of its own, and behind what is fetched: no connection
 * waits for it. A load does, where the source publishes the hash: "ready" comes after the commit
 * records, so that no engine answers from a file that is not the published one.
 *
 * WebCrypto hashes only what is in memory as a whole. Of the libraries that hash piece by piece, hash-wasm
 * does about 140 MB in a second of one core, @noble/hashes 80 (measured in V8 on a shared server core). So
 * a connection of 1 Gbit/s is kept up with; a faster one is as fast, and the hash ends later.
 *
 * @module hasher
 */

/** @import {Assets} from "../assets.js" */

import { startModuleWorker } from "../module_worker.js";
import { LeadoutError } from "../runtime/errors.js";

/** Pieces that are on their way to the other thread at most. */
const MAX_ON_THE_WAY = 4;

/** Which worker hashes, with which library. @typedef {Pick<Assets, "hash_worker" | "sha256">} Hashing */

export class FileHasher {
  #worker;
  #onTheWay = 0;
  /** @type {(() => void) | null} */
  #wake = null;
  /** Memory that came back. @type {ArrayBuffer[]} */
  #spare = [];
  /** @type {LeadoutError | null} */
  #failure = null;
  /** @type {(hex: string) => void} */
  #resolve = () => {};
  /** @type {(error: Error) => void} */
  #reject = () => {};
  #digest;

  /** @param {Hashing} hashing */
  constructor({ hash_worker, sha256 }) {
    this.#worker = startModuleWorker(hash_worker, "leadout hash");
    this.#digest = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#digest.catch(() => {});
    this.#worker.addEventListener("message", ({ data }) => {
      if (data.digest) this.#resolve(data.digest);
      else this.#take(data.memory);
    });
    this.#worker.addEventListener("error", (event) => {
      const reason = event.message || "its script could not be loaded";
      this.#failure = new LeadoutError("StoreError", `the thread that hashes stopped: ${reason}; try again`);
      this.#reject(this.#failure);
      this.#wake?.();
    });
    this.#worker.postMessage({ library: sha256 });
  }

  /**
   * @param {number} length
   * @param {(piece: Uint8Array<ArrayBuffer>) => void} fill writes the file's next `length` bytes
   */
  async update(length, fill) {
    while (this.#onTheWay >= MAX_ON_THE_WAY && this.#failure === null) {
      await new Promise((resolve) => {
        this.#wake = () => resolve(undefined);
      });
    }
    if (this.#failure !== null) throw this.#failure;
    const found = this.#spare.findIndex((memory) => memory.byteLength >= length);
    const memory = found < 0 ? new ArrayBuffer(length) : this.#spare.splice(found, 1)[0];
    fill(new Uint8Array(memory, 0, length));
    this.#onTheWay++;
    this.#worker.postMessage({ memory, length }, [memory]);
  }

  /** @returns {Promise<string>} hexadecimal */
  digest() {
    this.#worker.postMessage({ isEnd: true });
    return this.#digest;
  }

  close() {
    this.#worker.terminate();
    this.#failure ??= new LeadoutError("StoreError", "hashing was ended");
    this.#reject(this.#failure);
    this.#wake?.();
  }

  /** @param {ArrayBuffer} memory */
  #take(memory) {
    this.#onTheWay--;
    this.#spare.push(memory);
    this.#wake?.();
  }
}
