/**
 * Where a checkpoint's bytes come from: a URL, a file that the user picked, or memory. What they have
 * in common is in read_ahead.js.
 *
 * @module sources
 */

import { LeadoutError } from "./errors.js";
import { ReadAheadSource, checkRange, cutShort, fillFromStream } from "./read_ahead.js";
import { Interruption, MAX_RETRIES, RETRY_MS, RemoteFile, bodyOf, sleep } from "./remote_file.js";
import { Stall } from "./stall.js";

/** @typedef {import("./read_ahead.js").Source} Source */
/** @typedef {import("./remote_file.js").Identity} Identity */

/** A file that the user picked or dropped, or any Blob. */
export class BlobSource extends ReadAheadSource {
  /**
   * @param {Blob} blob
   * @param {string} [name]
   */
  constructor(blob, name = "name" in blob ? String(blob.name) : "file") {
    super(name);
    this.blob = blob;
  }

  /** @override */
  async size() {
    return this.blob.size;
  }

  /**
   * @override
   * @param {number} offset
   * @param {Uint8Array<ArrayBuffer>} target
   * @param {AbortSignal} signal
   */
  async fill(offset, target, signal) {
    const part = this.blob.slice(offset, offset + target.length);
    let got = 0;
    try {
      got = await fillFromStream(part.stream(), target, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      throw new LeadoutError(
        "SourceError",
        `${this.name} cannot be read any more (${/** @type {Error} */ (error).message}); it was ` +
          "changed, moved or removed since it was chosen: choose it again",
        { source: this.name, offset },
      );
    }
    if (got < target.length) throw cutShort(this.name, offset, target.length, got, "the file ended");
  }
}

/** Bytes in memory. */
export class MemorySource {
  /**
   * @param {string} name
   * @param {Uint8Array<ArrayBuffer>} bytes
   */
  constructor(name, bytes) {
    this.name = name;
    this.bytes = bytes;
  }

  async size() {
    return this.bytes.length;
  }

  /**
   * @param {number} offset
   * @param {number} length
   * @param {Uint8Array<ArrayBuffer>} [into]
   */
  async read(offset, length, into) {
    checkRange(this.name, offset, length, this.bytes.length);
    const part = this.bytes.subarray(offset, offset + length);
    if (into === undefined) return part.slice();
    into.set(part);
    return into;
  }
}

/** A file on an HTTP server that answers Range requests. */
export class UrlSource extends ReadAheadSource {
  /** Null until somebody asks. @type {Promise<Identity> | null} */
  #identifying = null;
  /** The first answer, until what it has is read. @type {Response | null} */
  #head = null;
  #remote;

  /**
   * @param {string | URL} url absolute, or relative to the page or worker
   * @param {{retryMs?: number, stallMs?: number, fetch?: typeof fetch, size?: number | null, token?: string}}
   *   [options] `retryMs`: the wait before the first retry; it doubles with each further one. `stallMs`: a
   *   connection that brings nothing for so long counts as cut. `size`: what the file has to have. `token`:
   *   an access token for the URL's host; browsers drop it where a request is led to another one
   */
  constructor(url, { retryMs = RETRY_MS, stallMs, fetch: fetchRange, size, token } = {}) {
    const remote = new RemoteFile(url, { fetch: fetchRange, size, token, retryMs, stallMs });
    super(remote.name);
    this.#remote = remote;
    this.url = remote.url;
    this.retryMs = retryMs;
    this.stallMs = stallMs;
  }

  /** @override */
  async size() {
    this.#identifying ??= this.#identify();
    try {
      return (await this.#identifying).size;
    } catch (error) {
      this.#identifying = null; // the next one asks again
      throw error;
    }
  }

  /** @override */
  close() {
    super.close();
    this.#dropHead();
  }

  /**
   * Read a range; take it up again from where it stopped if the connection is cut.
   *
   * @override
   * @param {number} offset
   * @param {Uint8Array<ArrayBuffer>} target
   * @param {AbortSignal} signal
   */
  async fill(offset, target, signal) {
    let got = offset === 0 ? await this.#fillFromHead(target, signal) : 0;
    if (got === target.length) return;
    for (let retry = 0; ; retry++) {
      const before = got;
      let reason = "the connection was cut";
      let waitMs = 0;
      const stall = new Stall(this.stallMs);
      const either = AbortSignal.any([signal, stall.signal]);
      try {
        const rest = target.subarray(before);
        const response = await this.#remote.request(offset + before, rest.length, either);
        await fillFromStream(bodyOf(response), rest, either, (bytes) => {
          stall.reset();
          got = before + bytes;
        });
        if (got === target.length) return;
      } catch (error) {
        if (signal.aborted || error instanceof LeadoutError) throw error;
        if (stall.signal.aborted) ({ reason } = stall);
        else if (error instanceof Interruption) [reason, waitMs] = [error.message, error.waitMs];
      } finally {
        stall.end();
      }
      if (retry === MAX_RETRIES) throw cutShort(this.name, offset, target.length, got, reason);
      await sleep(Math.max(waitMs, this.retryMs * 2 ** retry), signal);
      signal.throwIfAborted();
    }
  }

  /**
   * Take what the first answer has, once.
   *
   * @param {Uint8Array<ArrayBuffer>} target
   * @param {AbortSignal} signal
   * @returns {Promise<number>} bytes; the rest is asked for
   */
  async #fillFromHead(target, signal) {
    const head = this.#head;
    this.#head = null;
    if (head === null) return 0;
    let got = 0;
    const stall = new Stall(this.stallMs);
    try {
      await fillFromStream(bodyOf(head), target, AbortSignal.any([signal, stall.signal]), (bytes) => {
        stall.reset();
        got = bytes;
      });
    } catch (error) {
      if (signal.aborted) throw error;
      // The connection was cut: what is missing is asked for again, as any other range.
    } finally {
      stall.end();
    }
    return got;
  }

  #dropHead() {
    this.#head?.body?.cancel().catch(() => {});
    this.#head = null;
  }

  /** @returns {Promise<Identity>} */
  async #identify() {
    this.#dropHead();
    const { identity, head } = await this.#remote.identify();
    this.#head = head;
    return identity;
  }
}
