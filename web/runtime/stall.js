/**
 * Notices that nothing comes any more: of a dead connection, or of a device that hangs.
 *
 * @module stall
 */

/** Without a byte for so long, a connection counts as cut. */
export const STALL_MS = 20_000;

/** Aborts when it was not reset for a while. */
export class Stall {
  #controller = new AbortController();
  #timer = 0;
  #ms;

  /** @param {number} [ms] */
  constructor(ms = STALL_MS) {
    this.#ms = ms;
    this.reset();
  }

  get signal() {
    return this.#controller.signal;
  }

  /** What to say of it. */
  get reason() {
    return `nothing came for ${this.#ms / 1000} s`;
  }

  /** Something came. */
  reset() {
    this.end();
    this.#timer = /** @type {any} */ (setTimeout(() => this.#controller.abort(), this.#ms));
  }

  /** Nothing more is waited for. */
  end() {
    clearTimeout(this.#timer);
  }
}

/**
 * Wait, but not for ever.
 *
 * @template T
 * @param {Promise<T>} result
 * @param {number} ms
 * @param {() => unknown} onTimeout called when it has not come by then; returns what to reject with
 * @returns {Promise<T>}
 */
export function within(result, ms, onTimeout) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {Promise<never>} */
  const end = new Promise((_, reject) => {
    timer = setTimeout(() => reject(onTimeout()), ms);
  });
  return Promise.race([result, end]).finally(() => clearTimeout(timer));
}
