/**
 * What all sources of bytes are, and how those that are slow to ask read ahead.
 *
 * Reads are small and mostly one after the other, requests are dear, so a source reads ahead in
 * windows: small where reads jump about (headers), large where they follow each other (weights). While
 * one window is taken from, the next is filled; the memory of the two is used over and over.
 *
 * @module read_ahead
 */

import { LeadoutError, formatBytes } from "./errors.js";

/**
 * A random-access run of bytes; pyapp/leadout/checkpoint/source.py says the same in Python.
 * @typedef {object} Source
 * @property {string} name for messages: a file name, or a URL without its query
 * @property {() => Promise<number>} size in bytes
 * @property {(offset: number, length: number, into?: Uint8Array<ArrayBuffer>) =>
 *   Promise<Uint8Array<ArrayBuffer>>} read exactly `length` bytes: into `into` if that is given (and
 *   returns it), else into a new array. Rejects with a SourceError.
 * @property {(offset: number, target: Uint8Array<ArrayBuffer>) => Promise<void>} [readAlone] fill `target`
 *   with bytes that none will follow, perhaps beside other reads; where there is none, `read` does that
 * @property {() => void} [close] drop what was read ahead and cancel what is under way; the source can
 *   be read again
 */

/** The first window, and every window after a jump. */
const MIN_WINDOW_BYTES = 256 << 10;

/** Windows grow by this factor while reads follow each other ... */
const WINDOW_GROWTH = 4;

/** ... up to this size. */
const MAX_WINDOW_BYTES = 8 << 20;

/**
 * A run of bytes that was read ahead, or is being. `ready` settles when it is whole.
 * @typedef {{start: number, end: number, bytes: Uint8Array<ArrayBuffer>, ready: Promise<void>,
 *   cancel: AbortController}} Window
 */

/** Reads ahead; a child only says how a range is fetched. @abstract */
export class ReadAheadSource {
  /** @type {Window | null} */
  #current = null;
  /** @type {Window | null} */
  #next = null;
  /** Memory of full size that no window uses. @type {ArrayBuffer | null} */
  #spare = null;
  /** Reads run one after the other. @type {Promise<unknown>} */
  #queue = Promise.resolve();

  /** @param {string} name */
  constructor(name) {
    this.name = name;
  }

  /** @returns {Promise<number>} the length in bytes */
  async size() {
    throw new TypeError("a child says this");
  }

  /**
   * Fill `target` with the bytes from `offset` on, or reject.
   *
   * @protected
   * @param {number} _offset
   * @param {Uint8Array<ArrayBuffer>} _target not past the end of the source
   * @param {AbortSignal} _signal
   * @returns {Promise<void>}
   */
  async fill(_offset, _target, _signal) {
    throw new TypeError("a child says this");
  }

  /**
   * @param {number} offset
   * @param {number} length
   * @param {Uint8Array<ArrayBuffer>} [into] of `length` bytes
   * @returns {Promise<Uint8Array<ArrayBuffer>>} `into`, or a new array
   */
  read(offset, length, into) {
    const reading = this.#queue.then(() => this.#read(offset, length, into));
    this.#queue = reading.catch(() => {});
    return reading;
  }

  /**
   * @param {number} offset
   * @param {Uint8Array<ArrayBuffer>} target
   */
  async readAlone(offset, target) {
    checkRange(this.name, offset, target.length, await this.size());
    await this.fill(offset, target, new AbortController().signal);
  }

  close() {
    this.#current?.cancel.abort();
    this.#next?.cancel.abort();
    this.#current = null;
    this.#next = null;
    this.#spare = null;
  }

  /**
   * @param {number} offset
   * @param {number} length
   * @param {Uint8Array<ArrayBuffer>} [into]
   */
  async #read(offset, length, into) {
    const size = await this.size();
    checkRange(this.name, offset, length, size);
    const target = into ?? new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const window = await this.#windowAt(offset + done, length - done, size);
      const from = offset + done - window.start;
      const part = window.bytes.subarray(from, from + length - done);
      target.set(part, done);
      done += part.length;
    }
    return target;
  }

  /**
   * @param {number} offset
   * @param {number} wanted bytes from there on
   * @param {number} size
   * @returns {Promise<Window>} a whole window that has the byte at `offset`
   */
  async #windowAt(offset, wanted, size) {
    const has = (/** @type {Window | null} */ window) =>
      window !== null && window.start <= offset && offset < window.end;
    if (!has(this.#current)) {
      // What follows may begin a little later: tensors are aligned in their file.
      const gap = this.#current === null ? Infinity : offset - this.#current.end;
      const followed = gap >= 0 && gap < MIN_WINDOW_BYTES;
      const previousBytes = this.#current?.bytes.length ?? 0;
      this.#recycle(this.#current);
      this.#current = this.#next;
      this.#next = null;
      if (!has(this.#current)) {
        this.#current?.cancel.abort();
        const grown = followed ? previousBytes * WINDOW_GROWTH : MIN_WINDOW_BYTES;
        this.#current = this.#open(offset, Math.max(grown, wanted), size);
      }
    }
    const window = /** @type {Window} */ (this.#current);
    try {
      await window.ready;
    } catch (error) {
      if (this.#current === window) this.#current = null; // the next read tries again
      throw error;
    }
    // Reads that came this far will go on: the next window fills before anybody asks for it.
    const isGrown = window.bytes.length > MIN_WINDOW_BYTES;
    if (isGrown && this.#current === window && this.#next === null && window.end < size) {
      this.#next = this.#open(window.end, window.bytes.length * WINDOW_GROWTH, size);
    }
    return window;
  }

  /**
   * @param {number} start
   * @param {number} wanted
   * @param {number} size
   * @returns {Window} that has begun to fill
   */
  #open(start, wanted, size) {
    const length = Math.min(Math.max(wanted, MIN_WINDOW_BYTES), MAX_WINDOW_BYTES, size - start);
    let memory = this.#spare;
    if (memory !== null && length > MAX_WINDOW_BYTES / WINDOW_GROWTH) this.#spare = null;
    else memory = new ArrayBuffer(length);
    const bytes = new Uint8Array(memory, 0, length);
    const cancel = new AbortController();
    const ready = this.fill(start, bytes, cancel.signal);
    ready.catch(() => {}); // whoever reads the window sees it
    return { start, end: start + length, bytes, ready, cancel };
  }

  /** @param {Window | null} window that was read to its end, or jumped out of */
  #recycle(window) {
    if (window?.bytes.buffer.byteLength === MAX_WINDOW_BYTES) this.#spare = window.bytes.buffer;
  }
}

/**
 * @param {string} name
 * @param {number} offset
 * @param {number} length
 * @param {number} size
 */
export function checkRange(name, offset, length, size) {
  const isCount = (/** @type {number} */ n) => Number.isSafeInteger(n) && n >= 0;
  if (isCount(offset) && isCount(length) && offset + length <= size) return;
  throw new LeadoutError(
    "SourceError",
    `${name} has ${size} bytes, and ${length} bytes at ${offset} were asked for; it is cut short or ` +
      "damaged: download it again",
    { source: name, offset, wanted_bytes: length, size },
  );
}

/**
 * The readers of reads under way, held until the read is over. Else Chromium (seen in 156, with a Blob's
 * stream and a BYOB reader) takes stream and reader for garbage while a read is pending, if nothing
 * but the promise chain of who waits leads to them, and the read never settles. WebKit did the same
 * (its bug 302685).
 * @type {Set<StreamReader>}
 */
const readersInUse = new Set();

/**
 * Copy a stream into an array. Bytes past the array's end are not taken.
 *
 * @param {ReadableStream<Uint8Array>} stream
 * @param {Uint8Array<ArrayBuffer>} target
 * @param {AbortSignal} signal
 * @param {(bytes: number) => void} [onBytes] told of all bytes so far, after every piece
 * @returns {Promise<number>} how many bytes there were, at most `target.length`
 */
export async function fillFromStream(stream, target, signal, onBytes = () => {}) {
  let got = 0;
  if (target.length === 0) return 0;
  await readPieces(stream, signal, (piece) => {
    const part = piece.subarray(0, target.length - got);
    target.set(part, got);
    got += part.length;
    onBytes(got);
    return got < target.length;
  });
  return got;
}

/**
 * Read a stream piece by piece, and no faster than `take` takes them.
 *
 * @param {ReadableStream<Uint8Array>} stream cancelled at the end, whatever the end
 * @param {AbortSignal} signal
 * @param {(piece: Uint8Array) => boolean | Promise<boolean>} take a piece, which is gone with the next
 *   one; false: no more
 */
export async function readPieces(stream, signal, take) {
  const reader = readerOf(stream);
  const cancel = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", cancel);
  readersInUse.add(reader);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      signal.throwIfAborted();
      if (done || value === undefined || !(await take(value))) break;
    }
  } finally {
    readersInUse.delete(reader);
    signal.removeEventListener("abort", cancel);
    cancel();
  }
}

/**
 * A stream's reader, reduced to what is used; a value is gone with the next read.
 * @typedef {{read: () => Promise<{done: boolean, value?: Uint8Array}>, cancel: () => Promise<void>}}
 *   StreamReader
 */

/** What a read from a byte stream fills at most. */
const PIECE_BYTES = 256 << 10;

/**
 * Read a stream through one piece of memory. A stream's own pieces are each a new array: hundreds of
 * megabytes of garbage in a load, which is collected late.
 *
 * @param {ReadableStream<Uint8Array>} stream
 * @returns {StreamReader} which holds the stream, as long as it is held itself
 */
function readerOf(stream) {
  let byob;
  try {
    byob = stream.getReader({ mode: "byob" });
  } catch {
    return stream.getReader(); // a browser whose streams cannot do it: correct, with more garbage
  }
  const reader = byob;
  let memory = new ArrayBuffer(PIECE_BYTES);
  return {
    async read() {
      const { done, value } = await reader.read(new Uint8Array(memory));
      if (value !== undefined) memory = value.buffer; // reading moved the memory there
      return { done, value };
    },
    cancel: () => reader.cancel(),
  };
}

/**
 * @param {string} name
 * @param {number} offset
 * @param {number} wanted
 * @param {number} got
 * @param {string} reason
 * @returns {LeadoutError}
 */
export function cutShort(name, offset, wanted, got, reason) {
  return new LeadoutError(
    "SourceError",
    `reading ${name} stopped at byte ${offset + got} (${formatBytes(got)} of ${formatBytes(wanted)}): ` +
      `${reason}; try again`,
    { source: name, offset, wanted_bytes: wanted, read_bytes: got, reason },
  );
}
