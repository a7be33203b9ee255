/**
 * Combines the fetches of a model and its drafter into one.
 *
 * @module fetches
 */

/** @import {FetchEvent} from "../messages.js" */

export class Fetches {
  /** The last event of each part. @type {Map<string, FetchEvent>} */
  #events = new Map();

  /** Whether a fetch is still running. */
  get isOpen() {
    return [...this.#events.values()].some(({ state }) => state !== "done");
  }

  /**
   * @param {FetchEvent} event
   * @returns {FetchEvent} the event for all parts together
   */
  take(event) {
    this.#events.set(event.source, event);
    const events = [...this.#events.values()];
    const first = events.find(({ state }) => state !== "done") ?? event;
    const sum = (/** @type {"stored_bytes" | "total_bytes" | "checked_bytes" | "bytes_per_s"} */ key) =>
      events.reduce((total, each) => total + each[key], 0);
    return {
      ...first,
      stored_bytes: sum("stored_bytes"),
      total_bytes: sum("total_bytes"),
      checked_bytes: sum("checked_bytes"),
      bytes_per_s: sum("bytes_per_s"),
    };
  }

  clear() {
    this.#events.clear();
  }
}
