/**
 * A stream of chunks: an async iterable that can be left at any time.
 *
 * @module stream
 */

/**
 * Chunks are kept until somebody takes them, so that a slow reader loses none. Leaving the loop
 * (break, return, throw) aborts the generation; an abort drops what was not yet read.
 *
 * @template T
 * @implements {AsyncIterable<T>}
 */
export class Stream {
  /** @type {T[]} */
  #chunks = [];
  #isDone = false;
  /** @type {unknown} */
  #error = null;
  /** @type {(() => void) | null} */
  #wake = null;
  #abort;

  /**
   * @param {(push: (chunk: T) => void) => Promise<void>} produce runs at once; its end is the
   *   stream's end, and its error the reader's
   * @param {() => void} abort asks the producer to stop
   */
  constructor(produce, abort) {
    this.#abort = abort;
    produce((chunk) => {
      this.#chunks.push(chunk);
      this.#notify();
    }).then(
      () => this.#end(),
      (error) => this.#end(error),
    );
  }

  /** Stop the generation; a reader gets an AbortError. */
  abort() {
    this.#abort();
  }

  /** @returns {AsyncIterator<T, undefined>} */
  [Symbol.asyncIterator]() {
    return {
      next: () => this.#next(),
      return: async () => {
        this.#chunks = [];
        this.#error = null;
        if (!this.#isDone) {
          this.#isDone = true;
          this.#abort();
        }
        return { done: true, value: undefined };
      },
    };
  }

  /** @returns {Promise<IteratorResult<T, undefined>>} */
  async #next() {
    for (;;) {
      if (this.#error) {
        const error = this.#error;
        this.#error = null; // like every iterator: thrown once, ended afterwards
        throw error;
      }
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        return { done: false, value: chunk };
      }
      if (this.#isDone) {
        return { done: true, value: undefined };
      }
      await new Promise((resolve) => {
        this.#wake = () => resolve(undefined);
      });
    }
  }

  /** @param {unknown} [error] */
  #end(error) {
    if (this.#isDone) {
      return;
    }
    this.#isDone = true;
    if (error) {
      this.#error = error;
      this.#chunks = [];
    }
    this.#notify();
  }

  #notify() {
    this.#wake?.();
    this.#wake = null;
  }
}
