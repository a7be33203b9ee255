/**
 * Log-probabilities in OpenAI's two shapes: of chats, and of completions.
 *
 * @module logprobs
 */

/** @import {Logprob, TokenLogprob} from "../messages.js" */

/** A token of a chat's answer. @typedef {Logprob & {top_logprobs: Logprob[]}} ChatLogprob */

/**
 * `content` is of the answer; `reasoning_content`, which OpenAI has not, of what was thought before it, with the
 * marks around it, and is there only where there is some.
 * @typedef {{content: ChatLogprob[], refusal: null, reasoning_content?: ChatLogprob[]}} ChatLogprobs
 */

/**
 * Of a completion, one entry a token in each list. `text_offset` counts characters of the text that was generated;
 * `top_logprobs` has the token itself, too.
 * @typedef {object} CompletionLogprobs
 * @property {string[]} tokens
 * @property {number[]} token_logprobs
 * @property {Record<string, number>[]} top_logprobs
 * @property {number[]} text_offset
 */

/**
 * @param {TokenLogprob[] | undefined} entries
 * @returns {ChatLogprobs | null} null: nobody asked
 */
export function toChatLogprobs(entries) {
  if (!entries) {
    return null;
  }
  const [content, reasoning] = [false, true].map((isReasoning) =>
    entries
      .filter(({ is_reasoning = false }) => is_reasoning === isReasoning)
      .map(({ is_reasoning: _, ...entry }) => entry),
  );
  return { content, refusal: null, ...(reasoning.length > 0 && { reasoning_content: reasoning }) };
}

/** Says where tokens lie in the text of one completion, as they come. */
export class TextOffsets {
  #decoder = new TextDecoder();
  #numChars = 0;

  /**
   * @param {TokenLogprob[] | undefined} entries that follow those before
   * @returns {CompletionLogprobs | null} null: nobody asked
   */
  take(entries) {
    if (!entries) {
      return null;
    }
    const own = entries.filter(({ is_reasoning }) => !is_reasoning);
    return {
      tokens: own.map(({ token }) => token),
      token_logprobs: own.map(({ logprob }) => logprob),
      top_logprobs: own.map(({ token, logprob, top_logprobs }) => ({
        // Of tokens that are written alike the likeliest counts, which comes first.
        ...Object.fromEntries([...top_logprobs].reverse().map((other) => [other.token, other.logprob])),
        [token]: logprob,
      })),
      text_offset: own.map((entry) => this.#pass(entry)),
    };
  }

  /** @param {TokenLogprob} entry */
  #pass({ token, bytes }) {
    const start = this.#numChars;
    const text = bytes ? this.#decoder.decode(Uint8Array.from(bytes), { stream: true }) : token;
    this.#numChars += text.length;
    return start;
  }
}
