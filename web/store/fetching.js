/**
 * Fetches the missing chunks of files, over a few connections at a time.
 *
 * 1. A connection takes a span: missing chunks in a row that no other one has taken. First those that
 *    somebody waits for, then in the order of the files.
 * 2. It asks for the span's range and copies what comes into one chunk's memory. When the chunk is
 *    full it is hashed and kept, and only then more is read: so a slow disk slows the network down, and
 *    no more than a chunk per connection is in memory.
 * 3. A cut connection is taken up again at the byte where it was cut. It ends when nothing came for a
 *    number of retries, over no connection; one without a byte for a while counts as cut.
 * 4. What cannot pass by itself ends all connections; what is kept stays kept.
 *
 * @module fetching
 */

import { LeadoutError, formatBytes } from "../runtime/errors.js";
import { readPieces } from "../runtime/read_ahead.js";
import { Interruption, bodyOf, sleep } from "../runtime/remote_file.js";
import { Stall } from "../runtime/stall.js";
import { CHUNK_BYTES } from "./records.js";

/** @import {RemoteFile} from "../runtime/remote_file.js" */
/** @import {ChunkFile} from "./chunk_file.js" */

/** @typedef {{chunks: ChunkFile | null, remote: RemoteFile}} FetchedFile */

/**
 * Chunks from `first` up to `end`.
 * @typedef {{file: FetchedFile, chunks: ChunkFile, first: number, end: number}} Span
 */

/**
 * @typedef {object} FetchOptions
 * @property {number} [connections] at a time; one server's browser limit over HTTP/1.1 is 6
 * @property {number} [retryMs] the wait before the first retry; it doubles with each further one
 * @property {number} [stallMs] a connection that brings nothing for so long counts as cut
 */

const CONNECTIONS = 5;

/** A span's chunks at most: few enough requests for a server that counts them ... */
const MAX_SPAN_CHUNKS = 16;

/** ... and at least, where there is little for all connections. */
const MIN_SPAN_CHUNKS = 2;

/** Without a byte on any connection: about a minute in all. */
const MAX_RETRIES = 10;
const RETRY_MS = 400;
const MAX_BACK_OFF_MS = 10_000;

export class Fetching {
  #files;
  #options;
  #onChunk;
  /** Chunks that a connection has taken. @type {Map<FetchedFile, Set<number>>} */
  #taken;
  /** What somebody waits for. @type {{file: FetchedFile, chunk: number} | null} */
  #wanted = null;
  #ending = new AbortController();
  #spanChunks;
  /** Came over all connections. */
  #numPieces = 0;

  /**
   * @param {FetchedFile[]} files in the order in which they are wanted
   * @param {FetchOptions} options
   * @param {(file: FetchedFile, chunk: number) => void} onChunk it is kept
   */
  constructor(files, options, onChunk) {
    this.#files = files;
    this.#options = options;
    this.#onChunk = onChunk;
    const { connections = CONNECTIONS } = options;
    const bytes = files.reduce((sum, { chunks }) => sum + (chunks ? chunks.size - chunks.storedBytes : 0), 0);
    const share = Math.ceil(bytes / CHUNK_BYTES / connections);
    this.#spanChunks = Math.min(Math.max(share, MIN_SPAN_CHUNKS), MAX_SPAN_CHUNKS);
    this.#taken = new Map(files.map((file) => [file, new Set()]));
  }

  /**
   * Fetch this chunk next, and what follows it.
   *
   * @param {FetchedFile} file
   * @param {number} chunk
   */
  want(file, chunk) {
    this.#wanted = { file, chunk };
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<void>} once everything is there
   */
  async run(signal) {
    const { connections = CONNECTIONS } = this.#options;
    const stop = () => this.#ending.abort(signal.reason);
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
    try {
      // All of them end before anybody closes the files.
      await Promise.allSettled(Array.from({ length: connections }, () => this.#lane()));
      this.#ending.signal.throwIfAborted();
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async #lane() {
    const memory = new Uint8Array(CHUNK_BYTES);
    try {
      for (let span = this.#take(); span !== null; span = this.#take()) {
        await this.#fetch(span, memory);
      }
    } catch (error) {
      this.#ending.abort(error);
      throw error;
    }
  }

  /** @returns {Span | null} */
  #take() {
    if (this.#ending.signal.aborted) return null;
    const wanted = this.#wanted;
    this.#wanted = null;
    const span = wanted && this.#takeFrom(wanted.file, wanted.chunk);
    if (span) return span;
    for (const file of this.#files) {
      const found = this.#takeFrom(file, 0);
      if (found) return found;
    }
    return null;
  }

  /**
   * @param {FetchedFile} file
   * @param {number} from
   * @returns {Span | null}
   */
  #takeFrom(file, from) {
    const taken = this.#taken.get(file);
    const { chunks } = file;
    if (taken === undefined || chunks === null) return null;
    const isFree = (/** @type {number} */ chunk) => !taken.has(chunk) && !chunks.has(chunk);
    let first = from;
    while (first < chunks.numChunks && !isFree(first)) first++;
    let end = first;
    while (end < chunks.numChunks && end < first + this.#spanChunks && isFree(end)) taken.add(end++);
    return end > first ? { file, chunks, first, end } : null;
  }

  /**
   * @param {Span} span
   * @param {Uint8Array<ArrayBuffer>} memory of a chunk
   */
  async #fetch({ file, chunks, first, end }, memory) {
    const { retryMs = RETRY_MS, stallMs } = this.#options;
    const { remote } = file;
    const { signal } = this.#ending;
    let chunk = first;
    let got = 0; // of this chunk
    const take = async (/** @type {Uint8Array} */ piece) => {
      for (let used = 0; used < piece.length && chunk < end; ) {
        const length = chunks.lengthOf(chunk);
        const part = piece.subarray(used, used + length - got);
        memory.set(part, got);
        got += part.length;
        used += part.length;
        if (got < length) continue;
        const bytes = memory.subarray(0, length);
        const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
        if (signal.aborted) return false;
        chunks.write(chunk, bytes, hash);
        this.#onChunk(file, chunk);
        chunk++;
        got = 0;
      }
      return chunk < end;
    };
    let numPieces = this.#numPieces;
    for (let retry = 0; chunk < end; retry++) {
      if (numPieces !== this.#numPieces) retry = Math.min(retry, MAX_RETRIES - 1); // others get on
      numPieces = this.#numPieces;
      const offset = chunk * CHUNK_BYTES + got;
      const last = Math.min(end * CHUNK_BYTES, chunks.size);
      let reason = "the connection was cut";
      let waitMs = 0;
      const stall = new Stall(stallMs);
      const either = AbortSignal.any([signal, stall.signal]);
      try {
        const response = await remote.request(offset, last - offset, either);
        remote.identity ??= { size: chunks.size, etag: null, modified: null };
        await readPieces(bodyOf(response), either, (piece) => {
          stall.reset();
          this.#numPieces++;
          retry = -1; // after what this attempt brought, the next one is a first one again
          return take(piece);
        });
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof LeadoutError) throw error;
        if (stall.signal.aborted) ({ reason } = stall);
        else if (error instanceof Interruption) [reason, waitMs] = [error.message, error.waitMs];
      } finally {
        stall.end();
      }
      signal.throwIfAborted();
      if (chunk === end) return;
      if (retry === MAX_RETRIES) {
        throw new LeadoutError(
          "SourceError",
          `fetching ${remote.name} stopped: ${reason}; ${formatBytes(chunks.storedBytes)} of ` +
            `${formatBytes(chunks.size)} are kept and will not be fetched again: try again later`,
          { source: remote.name, stored_bytes: chunks.storedBytes, wanted_bytes: chunks.size, reason },
        );
      }
      // At different moments, so that five connections do not come back as one.
      const backOffMs = retryMs * 2 ** retry * (0.75 + Math.random() / 2);
      await sleep(Math.max(waitMs, Math.min(backOffMs, MAX_BACK_OFF_MS)), signal);
      signal.throwIfAborted();
    }
  }
}
