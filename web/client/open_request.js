/**
 * A request that waits for its answer, and how it is asked again of another worker.
 *
 * A generation is not begun again but goes on: beside the request, the worker gets the tokens that
 * came already, and goes on behind them with the ids, and the text, that it would have had.
 *
 * @module open_request
 */

/** @import {ClientMessage, Resumption} from "../messages.js" */
/** @import {WithoutId, WorkerEvent} from "./channel.js" */

export class OpenRequest {
  #request;
  #onEvent;
  /** Settle `answer`, once. @type {(value: any) => void} */
  resolve = () => {};
  /** @type {(reason: unknown) => void} */
  reject = () => {};
  /** Of a generation, once the worker has told them. @type {number[] | null} */
  #promptTokens = null;
  /** Passes whose tokens came, the prompt's last one first. @type {Resumption["cycles"]} */
  #cycles = [];
  /** Tokens of a pass that has not ended. @type {number[]} */
  #drafts = [];
  #beganMs = 0;
  /** Null before the first token. @type {number | null} */
  #ttftMs = null;
  #decodeMs = 0;
  /** When tokens came last, of this worker's. @type {number | null} */
  #lastMs = null;
  /** The first position whose logits have not come. */
  #nextLogits = 0;

  /**
   * @param {WithoutId<ClientMessage>} request
   * @param {object} options
   * @param {AbortSignal | null} [options.signal]
   * @param {(event: WorkerEvent) => void} options.onEvent
   */
  constructor(request, { signal, onEvent }) {
    this.#request = request;
    this.#onEvent = onEvent;
    this.signal = signal;
    /** @type {Promise<any>} */
    this.answer = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /**
   * Take note of what the worker tells, and pass it on, once.
   *
   * @param {WorkerEvent} event
   */
  take(event) {
    if (event.type === "prompt") {
      this.#promptTokens = event.tokens;
      this.#beganMs = performance.now();
    } else if (event.type === "delta") {
      this.#note(event.tokens, event.is_draft ? null : event.num_drafted);
    } else if (event.type === "logits") {
      if (event.start < this.#nextLogits) return; // of a worker that began anew
      this.#nextLogits = event.start + 1;
    }
    this.#onEvent(event);
  }

  /** @returns {WithoutId<ClientMessage>} what to ask, with what came already */
  message() {
    const tokens = this.#promptTokens;
    if (this.#request.type !== "generate" || tokens === null) return this.#request;
    // The same ids, and not what a chat template makes of the messages by now: it may know the date.
    const { prompt: _, messages: __, ...fields } = this.#request.request;
    const request = { ...fields, prompt_ids: tokens };
    if (this.#ttftMs === null) return { type: "generate", request };
    this.#lastMs = null; // the pause does not count
    const drafts = this.#drafts.length > 0 && { tokens: this.#drafts, num_drafted: this.#drafts.length };
    return {
      type: "generate",
      request,
      resumption: {
        cycles: [...this.#cycles, ...(drafts ? [drafts] : [])],
        ttft_ms: this.#ttftMs,
        decode_ms: this.#decodeMs,
      },
    };
  }

  /**
   * @param {number[]} tokens
   * @param {number | null} numDrafted in the pass that ends with them; null: it goes on
   */
  #note(tokens, numDrafted) {
    if (tokens.length === 0) return; // the end of a text
    const nowMs = performance.now();
    this.#ttftMs ??= nowMs - this.#beganMs;
    this.#decodeMs += this.#lastMs === null ? 0 : nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    this.#drafts.push(...tokens);
    if (numDrafted === null) return;
    this.#cycles.push({ tokens: this.#drafts, num_drafted: numDrafted });
    this.#drafts = [];
  }
}
