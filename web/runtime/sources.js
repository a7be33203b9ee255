/**
 * Where a checkpoint's bytes come from: a URL, a file that the user picked, or memory. What they have
 * in common is in read_ahead.js.
 *
 * @module sources
 */

import { LeadoutError } from "./errors.js";
import { ReadAheadSource, checkRange, cutShort, fillFromStream } from "./read_ahead.js";

/** @typedef {import("./read_ahead.js").Source} Source */

/**
 * Asked for to learn a file's size, as it is read first, too. Little enough that a browser takes it all
 * in and has the connection free again, whoever reads it when.
 */
const HEAD_BYTES = 256 << 10;

/** How often an interrupted request is taken up again, and how long to wait first. */
const MAX_RETRIES = 3;
const RETRY_MS = 400;

/** Statuses of a server that may answer properly a little later. */
const PASSING_STATUSES = new Set([408, 425, 429, 500, 502, 503, 504]);

/** What an HTTP status means to whoever gave the address. */
const STATUS_ADVICE = /** @type {Record<number, string>} */ ({
  401: "the server wants a login; use a file from your disk instead",
  403: "the server refuses this page; use a file from your disk instead",
  404: "there is no such file; check the address",
  410: "the file was taken down; check the address",
});

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

/**
 * What tells one state of a file from another.
 * @typedef {{size: number, etag: string | null, modified: string | null}} Identity
 */

/** A file on an HTTP server that answers Range requests. */
export class UrlSource extends ReadAheadSource {
  /** Null until the first answer. @type {Promise<Identity> | null} */
  #identifying = null;
  /** @type {Identity | null} */
  #identity = null;
  /** The first answer, until what it has is read. @type {Response | null} */
  #head = null;

  /**
   * @param {string | URL} url absolute, or relative to the page or worker
   * @param {{retryMs?: number, fetch?: typeof fetch, size?: number, token?: string}} [options]
   *   `retryMs`: the wait before the first retry; it doubles with each further one. `size`: what the file
   *   has to have. `token`: an access token for the URL's host; browsers drop it where a request is led
   *   to another one
   */
  constructor(url, options = {}) {
    const { retryMs = RETRY_MS, fetch: fetchRange = (...args) => fetch(...args), size, token } = options;
    const href = String(url);
    super(href.replace(/[?#].*$/, ""));
    this.url = href;
    this.retryMs = retryMs;
    this.fetch = fetchRange;
    this.wantedSize = size;
    /** @type {Record<string, string>} */
    this.headers = token ? { Authorization: `Bearer ${token}` } : {};
  }

  /** @override */
  async size() {
    this.#identifying ??= this.#identify();
    try {
      this.#identity = await this.#identifying;
    } catch (error) {
      this.#identifying = null; // the next one asks again
      throw error;
    }
    return this.#identity.size;
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
      try {
        const rest = target.subarray(before);
        const response = await this.#request(offset + before, rest.length, signal);
        await this.#checkIdentity(response);
        await fillFromStream(bodyOf(response), rest, signal, (bytes) => {
          got = before + bytes;
        });
        if (got === target.length) return;
      } catch (error) {
        if (signal.aborted || error instanceof LeadoutError) throw error;
        if (error instanceof Interruption) reason = error.message;
      }
      if (retry === MAX_RETRIES) throw cutShort(this.name, offset, target.length, got, reason);
      await sleep(this.retryMs * 2 ** retry);
      signal.throwIfAborted();
    }
  }

  /**
   * @param {number} offset
   * @param {number} length
   * @param {AbortSignal} [signal]
   * @returns {Promise<Response>} status 206; or 416 if the file is empty
   * @throws {LeadoutError | Interruption} SourceError
   */
  async #request(offset, length, signal) {
    const range = `bytes=${offset}-${offset + length - 1}`;
    let response;
    try {
      // Past the browser's cache: it joins pieces of its own with new ones, under the headers of the
      // first, so that a file that changed would go unseen.
      const headers = { ...this.headers, Range: range };
      response = await this.fetch(this.url, { headers, signal, cache: "no-store" });
    } catch (error) {
      if (signal?.aborted) throw error;
      // Browsers do not tell a page why. Once it worked, it can only be the connection.
      if (this.#identity !== null) throw new Interruption("the connection was cut");
      throw this.#error(
        "cannot be fetched: there is no connection, the server does not allow this page to read it " +
          "(CORS), or this page's Content-Security-Policy forbids the address; download the file and " +
          "choose it from your disk",
      );
    }
    const { status } = response;
    if (status === 206 || (status === 416 && sizeOf(response) === 0)) return response;
    await response.body?.cancel(); // above all not the whole file
    if (PASSING_STATUSES.has(status)) throw new Interruption(`the server answered ${status}`);
    const isOther = status === 416 || (status === 200 && this.#isOther(response));
    if (this.#identity !== null && isOther) throw this.#changed();
    if (status === 200) {
      throw this.#error(
        "lies on a server that does not answer Range requests, which reading in pieces needs; " +
          "download the file and choose it from your disk",
        { status },
      );
    }
    const advice = STATUS_ADVICE[status] ?? "check the address, or use a file from your disk";
    throw this.#error(`cannot be fetched: the server answered ${status}; ${advice}`, { status });
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
    try {
      await fillFromStream(bodyOf(head), target, signal, (bytes) => {
        got = bytes;
      });
    } catch (error) {
      if (signal.aborted) throw error;
      // The connection was cut: what is missing is asked for again, as any other range.
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
    let response;
    for (let retry = 0; response === undefined; retry++) {
      try {
        response = await this.#request(0, HEAD_BYTES);
      } catch (error) {
        if (!(error instanceof Interruption)) throw error;
        if (retry === MAX_RETRIES) throw this.#error(`cannot be fetched: ${error.message}; try again later`);
        await sleep(this.retryMs * 2 ** retry);
      }
    }
    if (response.status === 206) this.#head = response;
    let size = sizeOf(response);
    if (size === null) {
      // A server of another origin may keep Content-Range to itself, but not Content-Length.
      const head = await this.fetch(this.url, { method: "HEAD", headers: this.headers, cache: "no-store" }).catch(() => null);
      const length = head?.ok && !head.headers.has("Content-Encoding")
        ? head.headers.get("Content-Length")
        : null;
      if (length === null) {
        throw this.#error(
          "lies on a server that does not tell its size (Content-Range is not among its " +
            "Access-Control-Expose-Headers); download the file and choose it from your disk",
        );
      }
      size = Number(length);
    }
    if (this.wantedSize !== undefined && size !== this.wantedSize) {
      this.#dropHead();
      throw this.#error(
        `has ${size.toLocaleString("en")} bytes, and ${this.wantedSize.toLocaleString("en")} were published; ` +
          "the server gives another file, or a pointer to it",
        { size, wanted: this.wantedSize },
      );
    }
    return { size, etag: response.headers.get("ETag"), modified: response.headers.get("Last-Modified") };
  }

  /** @param {Response} response */
  async #checkIdentity(response) {
    if (!this.#isOther(response)) return;
    await response.body?.cancel();
    throw this.#changed();
  }

  /**
   * @param {Response} response
   * @returns {boolean} whether it is of another file than the first response was
   */
  #isOther(response) {
    if (this.#identity === null) return false;
    const { size, etag, modified } = this.#identity;
    return (
      etag !== response.headers.get("ETag") ||
      modified !== response.headers.get("Last-Modified") ||
      (response.status === 206 && (sizeOf(response) ?? size) !== size)
    );
  }

  #changed() {
    return this.#error("was changed on the server while it was being read; load it again");
  }

  /**
   * @param {string} what
   * @param {Record<string, unknown>} [detail]
   */
  #error(what, detail = {}) {
    return new LeadoutError("SourceError", `${this.name} ${what}`, { source: this.name, ...detail });
  }
}

/** What may pass by itself: the request is made again. */
class Interruption extends Error {}

/**
 * @param {Response} response
 * @returns {number | null} the whole file's size as Content-Range says it
 */
function sizeOf(response) {
  const total = /\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "");
  return total === null ? null : Number(total[1]);
}

/**
 * @param {Response} response
 * @returns {ReadableStream<Uint8Array>}
 */
function bodyOf(response) {
  return response.body ?? new ReadableStream({ start: (controller) => controller.close() });
}

/** @param {number} ms */
function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
