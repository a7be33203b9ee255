/**
 * A file on an HTTP server, asked for in ranges: which errors may pass, which do not, and whether it
 * still is the file that the first answer was about.
 *
 * @module remote_file
 */

import { LeadoutError } from "./errors.js";
import { Stall } from "./stall.js";
import { isWebPage } from "../web_page.js";

/**
 * Asked for to learn a file's size, as it is read first, too. Little enough that a browser takes it all
 * in and has the connection free again, whoever reads it when.
 */
const HEAD_BYTES = 256 << 10;

/** How often an interrupted request is taken up again, and how long to wait first. */
export const MAX_RETRIES = 3;
export const RETRY_MS = 400;

/** What a server may ask for at most. */
const MAX_WAIT_MS = 60_000;

/** Statuses of a server that may answer properly a little later. */
const PASSING_STATUSES = new Set([408, 425, 429, 500, 502, 503, 504]);

/** What an HTTP status means to whoever gave the address. */
const STATUS_ADVICE = /** @type {Record<number, string>} */ ({
  401: "the server wants a login; use a file from your disk instead",
  403: "the server refuses this page; use a file from your disk instead",
  404: "there is no such file; check the address",
  410: "the file was taken down; check the address",
});

/**
 * What tells one state of a file from another.
 * @typedef {{size: number, etag: string | null, modified: string | null}} Identity
 */

/** What may pass by itself: the request is made again. */
export class Interruption extends Error {
  /**
   * @param {string} message
   * @param {number} [waitMs] how long the server asks to be left alone
   */
  constructor(message, waitMs = 0) {
    super(message);
    this.waitMs = Math.min(waitMs, MAX_WAIT_MS);
  }
}

export class RemoteFile {
  /** What every answer must be about; null until the first one. @type {Identity | null} */
  identity = null;
  #hasAnswered = false;

  /**
   * @param {string | URL} url absolute, or relative to the page or worker
   * @param {object} [options]
   * @param {typeof fetch} [options.fetch]
   * @param {number | null} [options.size] what the file has to have, where that is published
   * @param {string} [options.token] an access token for the URL's host; browsers drop it where a request
   *   is led to another one
   * @param {number} [options.retryMs] the wait before the question for the size is asked again; it doubles
   * @param {number} [options.stallMs] a server that says nothing for so long is asked again
   * @param {boolean} [options.isHashed] the caller knows the whole file's hash and checks it, so that an
   *   answer need only be of the same size: the machines behind one address may give different ETags
   */
  constructor(
    url,
    { fetch: fetchRange, size = null, token, retryMs = RETRY_MS, stallMs, isHashed = false } = {},
  ) {
    this.url = String(url);
    /** For messages: without its query, which may hold a secret. */
    this.name = this.url.replace(/[?#].*$/, "");
    this.wantedSize = size;
    /** @type {Record<string, string>} */
    this.headers = token ? { Authorization: `Bearer ${token}` } : {};
    this.retryMs = retryMs;
    this.stallMs = stallMs;
    this.isHashed = isHashed;
    this.fetch = fetchRange ?? ((/** @type {Parameters<typeof fetch>} */ ...args) => fetch(...args));
  }

  /**
   * Ask for a part of the file, to learn what file this is.
   *
   * @param {AbortSignal} [signal]
   * @param {{offset?: number, length?: number}} [part] default: the file's beginning
   * @returns {Promise<{identity: Identity, head: Response | null}>} `head` has the part's bytes; null if
   *   there are none
   * @throws {LeadoutError} SourceError
   */
  async identify(signal, { offset = 0, length = HEAD_BYTES } = {}) {
    let response;
    for (let retry = 0; response === undefined; retry++) {
      try {
        response = await this.#answerTo(offset, length, signal);
      } catch (error) {
        if (!(error instanceof Interruption)) throw error;
        if (retry === MAX_RETRIES) throw this.error(`cannot be fetched: ${error.message}; try again later`);
        await sleep(Math.max(error.waitMs, this.retryMs * 2 ** retry), signal);
        signal?.throwIfAborted();
      }
    }
    let size = sizeOf(response);
    if (size === null) {
      // A server of another origin may keep Content-Range to itself, but not Content-Length.
      const options = { method: "HEAD", cache: /** @type {const} */ ("no-store"), headers: this.headers };
      const head = await this.fetch(this.url, { ...options, signal }).catch(() => null);
      const length = head?.ok && !head.headers.has("Content-Encoding")
        ? head.headers.get("Content-Length")
        : null;
      if (length === null) {
        throw this.error(
          "lies on a server that does not tell its size (Content-Range is not among its " +
            "Access-Control-Expose-Headers); download the file and choose it from your disk",
        );
      }
      size = Number(length);
    }
    if (this.wantedSize !== null && size !== this.wantedSize) {
      await response.body?.cancel();
      throw this.#unpublished(size, this.wantedSize);
    }
    const { headers } = response;
    this.identity = { size, etag: headers.get("ETag"), modified: headers.get("Last-Modified") };
    return { identity: this.identity, head: response.status === 206 ? response : null };
  }

  /**
   * @param {number} offset
   * @param {number} length
   * @param {AbortSignal} [signal]
   * @returns {Promise<Response>} status 206; or 416 if the file is empty
   * @throws {LeadoutError | Interruption} SourceError
   */
  async request(offset, length, signal) {
    const range = `bytes=${offset}-${offset + length - 1}`;
    let response;
    try {
      // Past the browser's cache: it joins pieces of its own with new ones, under the headers of the
      // first, so that a file that changed would go unseen.
      const headers = { ...this.headers, Range: range };
      response = await this.fetch(this.url, {
        headers,
        signal,
        cache: "no-store",
        referrerPolicy: "no-referrer",
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      // Browsers do not tell a page why. Once it worked, it can only be the connection.
      if (this.#hasAnswered) throw new Interruption("the connection was cut");
      throw this.error(
        "cannot be fetched: there is no connection, the server does not allow this page to read it " +
          "(CORS), or this page's Content-Security-Policy forbids the address; download the file and " +
          "choose it from your disk",
      );
    }
    this.#hasAnswered = true;
    const { status } = response;
    if (status === 206 || (status === 416 && sizeOf(response) === 0)) {
      await this.#check(response, offset);
      return response;
    }
    await response.body?.cancel(); // above all not the whole file
    if (PASSING_STATUSES.has(status)) {
      throw new Interruption(`the server answered ${status}`, retryAfterMs(response));
    }
    this.#requireSize(response);
    const isOther = status === 416 || (status === 200 && this.#isOther(response));
    if (this.identity !== null && isOther) throw this.changed();
    if (status === 200 && isWebPage(response)) {
      throw this.error(
        "is a web page and no model file; check the address (some servers answer with a page where there is no " +
          "such file)",
        { status },
      );
    }
    if (status === 200) {
      throw this.error(
        "lies on a server that does not answer Range requests, which reading in pieces needs; " +
          "download the file and choose it from your disk",
        { status },
      );
    }
    const advice = STATUS_ADVICE[status] ?? "check the address, or use a file from your disk";
    throw this.error(`cannot be fetched: the server answered ${status}; ${advice}`, { status });
  }

  /**
   * `request`, with an end to the wait for an answer.
   *
   * @param {number} offset
   * @param {number} length
   * @param {AbortSignal} [signal]
   */
  async #answerTo(offset, length, signal) {
    const stall = new Stall(this.stallMs);
    try {
      return await this.request(offset, length, AbortSignal.any([stall.signal, ...(signal ? [signal] : [])]));
    } catch (error) {
      if (stall.signal.aborted && !signal?.aborted) throw new Interruption(stall.reason);
      throw error;
    } finally {
      stall.end();
    }
  }

  /** @param {Response} response of a file that has the published size, if it says its own */
  #requireSize(response) {
    const size = sizeOf(response);
    const wanted = this.wantedSize;
    if (wanted !== null && size !== null && size !== wanted) throw this.#unpublished(size, wanted);
  }

  /**
   * @param {number} size
   * @param {number} wanted
   */
  #unpublished(size, wanted) {
    return this.error(
      `has ${size.toLocaleString("en")} bytes, and ${wanted.toLocaleString("en")} were published; ` +
        "the server gives another file, or a pointer to it",
      { size, wanted },
    );
  }

  changed() {
    return this.error("was changed on the server while it was being read; load it again", {
      changed: true,
    });
  }

  /**
   * @param {string} what
   * @param {Record<string, unknown>} [detail]
   */
  error(what, detail = {}) {
    return new LeadoutError("SourceError", `${this.name} ${what}`, { source: this.name, ...detail });
  }

  /**
   * @param {Response} response
   * @param {number} offset that was asked for
   */
  async #check(response, offset) {
    try {
      this.#requireSize(response);
    } catch (error) {
      await response.body?.cancel();
      throw error;
    }
    const isOther = this.#isOther(response);
    const start = /^bytes (\d+)-/.exec(response.headers.get("Content-Range") ?? "");
    if (!isOther && (start === null || Number(start[1]) === offset)) return;
    await response.body?.cancel();
    if (isOther) throw this.changed();
    throw this.error("lies on a server that answers with another range than was asked for");
  }

  /**
   * @param {Response} response
   * @returns {boolean} whether it is of another file than the first response was
   */
  #isOther(response) {
    if (this.identity === null) return false;
    const { size, etag, modified } = this.identity;
    if (this.isHashed) return response.status === 206 && (sizeOf(response) ?? size) !== size;
    return (
      etag !== response.headers.get("ETag") ||
      modified !== response.headers.get("Last-Modified") ||
      (response.status === 206 && (sizeOf(response) ?? size) !== size)
    );
  }
}

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
 * @returns {number} 0 where it says nothing
 */
function retryAfterMs(response) {
  const seconds = Number(response.headers.get("Retry-After") ?? 0);
  return seconds > 0 ? 1000 * seconds : 0; // not the form with a date
}

/**
 * @param {Response} response
 * @returns {ReadableStream<Uint8Array>}
 */
export function bodyOf(response) {
  return response.body ?? new ReadableStream({ start: (controller) => controller.close() });
}

/**
 * @param {number} ms
 * @param {AbortSignal} [signal] ends the wait
 */
export function sleep(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve(undefined);
    }
    signal?.addEventListener("abort", done, { once: true });
    if (signal?.aborted) done();
  });
}
