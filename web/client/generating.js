/**
 * A generation's events, as a caller wants them.
 *
 * @module generating
 */

/** @import {Generated, TokenLogprob, ToolCallDelta} from "../messages.js" */
/** @import {WorkerEvent} from "./channel.js" */
/** @import {ChunkFigures} from "./completions.js" */

/**
 * @typedef {object} Generating
 * @property {AbortSignal | null} [signal]
 * @property {(text: string, figures: ChunkFigures & {reasoning: string, logprobs?: TokenLogprob[],
 *   tool_calls?: ToolCallDelta[]}) => void} [onDelta] gets the answer's text, and beside the figures what was reasoned;
 *   either may be "". Logprobs, where they were asked for, are of all tokens that no stop string can take back any more
 *   and that were not told yet
 */

/**
 * Takes the events of one generation. Logprobs come with the tokens, which may be taken back as long as their text is
 * held.
 */
export class Follower {
  #onDelta;
  /** Of all tokens that came. @type {TokenLogprob[] | null} */
  #logprobs = null;
  #numTold = 0;
  /** As the first worker said: one that goes on gets the prompt as ids. */
  #numDropped = 0;

  /** @param {Generating["onDelta"]} onDelta */
  constructor(onDelta) {
    this.#onDelta = onDelta;
  }

  /** @param {WorkerEvent} event */
  take(event) {
    if (event.type === "prompt") {
      this.#numDropped = Math.max(this.#numDropped, event.dropped_messages ?? 0);
    }
    if (event.type !== "delta") {
      return;
    }
    if (event.logprobs) {
      this.#logprobs = [...(this.#logprobs ?? []), ...event.logprobs];
    }
    const { text, reasoning, tool_calls, tokens, is_draft, decode_tokens_per_s } = event;
    if (!text && !reasoning && !tool_calls) {
      return;
    }
    const { num_settled = this.#numTold } = event;
    const logprobs = this.#logprobs?.slice(this.#numTold, num_settled);
    this.#numTold = Math.max(this.#numTold, num_settled);
    const figures = { tokens, is_draft, decode_tokens_per_s };
    this.#onDelta?.(text, { reasoning, ...figures, ...(logprobs && { logprobs }), ...(tool_calls && { tool_calls }) });
  }

  /**
   * @param {Generated} generated as the worker gave it
   * @returns {Generated} with the logprobs of its tokens, where they were asked for, and what was left out of the prompt
   */
  finish(generated) {
    const { tokens, usage } = generated;
    const logprobs = usage ? this.#logprobs : this.#logprobs?.slice(0, tokens.length);
    const stats = { ...generated.stats, dropped_messages: this.#numDropped };
    return { ...generated, stats, ...(logprobs && { logprobs }) };
  }
}
