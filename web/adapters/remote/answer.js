/**
 * A server's answer, as the events and the result that our worker gives.
 *
 * @module adapters/remote/answer
 */

/** @import {Generated, Logprob, Stats, TokenLogprob, ToolCall, ToolCallDelta} from "../../messages.js" */
/** @import {Usage} from "../../client/completions.js" */

import { LeadoutError } from "../../client/errors.js";

/** A "delta" event, but for its id. @typedef {{type: "delta", text: string, reasoning: string, tokens: number[],
 *   is_draft: boolean, num_drafted: number, decode_tokens_per_s: number, logprobs?: TokenLogprob[],
 *   num_settled?: number, tool_calls?: ToolCallDelta[]}} Delta
 */

export class ServerAnswer {
  #startedMs = performance.now();
  #host;
  #text = "";
  #reasoning = "";
  /** By their index. @type {Map<number, ToolCall>} */
  #calls = new Map();
  #numLogprobs = 0;
  #numPieces = 0;
  /** @type {number | null} */
  #firstMs = null;
  #lastMs = 0;
  /** @type {string | null} */
  #finish = null;
  #isDone = false;
  /** @type {any} */
  #usage = null;
  /** Of llama-server. @type {any} */
  #timings = null;

  /** @param {string} host */
  constructor(host) {
    this.#host = host;
  }

  /** The server has said that this is all. */
  done() {
    this.#isDone = true;
  }

  /**
   * @param {any} chunk of a stream, or a whole answer
   * @returns {Delta | null} null: it has none of the text
   */
  take(chunk) {
    this.#usage = chunk?.usage ?? this.#usage;
    this.#timings = chunk?.timings ?? this.#timings;
    const choice = chunk?.choices?.[0];
    if (!choice) return null;
    const said = choice.delta ?? choice.message ?? {};
    const text = said.content ?? choice.text ?? "";
    const reasoning = said.reasoning_content ?? said.reasoning ?? choice.reasoning_content ?? "";
    const tool_calls = this.#addCalls(said.tool_calls ?? []);
    this.#finish = choice.finish_reason ?? this.#finish;
    const logprobs = toLogprobs(choice.logprobs, reasoning !== "" && text === "");
    this.#numLogprobs += logprobs?.length ?? 0;
    if (!text && !reasoning && tool_calls.length === 0 && !logprobs?.length) return null;
    this.#text += text;
    this.#reasoning += reasoning;
    this.#lastMs = performance.now();
    this.#firstMs ??= this.#lastMs;
    this.#numPieces += 1;
    return {
      type: "delta",
      text,
      reasoning,
      tokens: [],
      is_draft: false,
      num_drafted: 0,
      decode_tokens_per_s: perSecond(this.#numPieces - 1, this.#lastMs - this.#firstMs),
      ...(logprobs && { logprobs, num_settled: this.#numLogprobs }),
      ...(tool_calls.length > 0 && { tool_calls }),
    };
  }

  /**
   * @param {boolean} hasTools
   * @returns {Generated}
   * @throws {LeadoutError} SourceError: the connection ended before the answer did
   */
  finish(hasTools) {
    if (this.#finish === null && !this.#isDone) {
      throw new LeadoutError(
        "SourceError",
        `The connection to ${this.#host} ended in the midst of an answer. Ask again.`,
        { host: this.#host, num_chars: this.#text.length },
      );
    }
    if (this.#finish === "content_filter") {
      throw new LeadoutError("SourceError", `A filter of ${this.#host} ended the answer.`, { host: this.#host });
    }
    const tool_calls = [...this.#calls.values()];
    const end = this.#finish === "length" ? "length" : "stop";
    const usage = this.#toUsage();
    return {
      prompt_tokens: [],
      tokens: [],
      text: this.#text,
      reasoning: this.#reasoning,
      finish_reason: tool_calls.length > 0 && end === "stop" ? "tool_calls" : end,
      stats: this.#toStats(usage),
      usage,
      ...(hasTools && { tool_calls }),
    };
  }

  /**
   * @param {any[]} deltas
   * @returns {ToolCallDelta[]} each with an index, and the first of a call with its id and name
   */
  #addCalls(deltas) {
    return deltas.map((delta, place) => {
      const index = delta.index ?? place;
      const { name, arguments: more = "" } = delta.function ?? {};
      const call = this.#calls.get(index);
      if (call) {
        call.function.arguments += more;
        return { index, function: { arguments: more } };
      }
      const id = delta.id || `call_${index}`;
      this.#calls.set(index, { id, type: "function", function: { name, arguments: more } });
      return { index, id, type: "function", function: { name, arguments: more } };
    });
  }

  /** Where a server does not tell, pieces are counted. @returns {Usage} */
  #toUsage() {
    const { prompt_tokens = 0, completion_tokens = this.#numPieces, ...details } = this.#usage ?? {};
    const { draft_n = 0, draft_n_accepted = 0, cache_n = 0 } = this.#timings ?? {};
    const of = details.completion_tokens_details ?? {};
    return {
      prompt_tokens,
      completion_tokens,
      total_tokens: prompt_tokens + completion_tokens,
      prompt_tokens_details: { cached_tokens: details.prompt_tokens_details?.cached_tokens ?? cache_n },
      completion_tokens_details: {
        accepted_prediction_tokens: of.accepted_prediction_tokens ?? draft_n_accepted,
        rejected_prediction_tokens: of.rejected_prediction_tokens ?? draft_n - draft_n_accepted,
        reasoning_tokens: of.reasoning_tokens ?? 0,
      },
    };
  }

  /**
   * @param {Usage} usage
   * @returns {Stats} times are measured here, unless the server tells its own
   */
  #toStats(usage) {
    const ttft_ms = (this.#firstMs ?? performance.now()) - this.#startedMs;
    const { prompt_ms = ttft_ms, predicted_ms = this.#lastMs - (this.#firstMs ?? this.#lastMs) } = this.#timings ?? {};
    const { accepted_prediction_tokens, rejected_prediction_tokens, reasoning_tokens } = usage.completion_tokens_details;
    const decode_tokens = Math.max(0, usage.completion_tokens - 1);
    return {
      load_ms: 0,
      prefill_ms: prompt_ms,
      prefill_tokens: usage.prompt_tokens,
      cached_tokens: usage.prompt_tokens_details.cached_tokens,
      decode_ms: predicted_ms,
      decode_tokens,
      drafter: "none",
      draft_tokens: "auto",
      cycles: 0,
      tokens_per_cycle: 0,
      drafted_tokens: accepted_prediction_tokens + rejected_prediction_tokens,
      accepted_tokens: accepted_prediction_tokens,
      drafted_per_position: [],
      accepted_per_position: [],
      self_test: "not run",
      reasoning_tokens,
      run_ahead: 1,
      ttft_ms,
      decode_tokens_per_s: this.#timings?.predicted_per_second ?? perSecond(decode_tokens, predicted_ms),
      device: this.#host,
    };
  }
}

/**
 * @param {number} count
 * @param {number} ms
 */
function perSecond(count, ms) {
  return ms > 0 ? (count * 1000) / ms : 0;
}

/**
 * @param {any} logprobs a chat's, or a completion's
 * @param {boolean} isReasoning
 * @returns {TokenLogprob[] | undefined} without ids, which servers do not tell
 */
function toLogprobs(logprobs, isReasoning) {
  const toEntries = (/** @type {any[]} */ entries, /** @type {boolean} */ isThought) =>
    entries.map(({ token, logprob, bytes, top_logprobs }) => ({
      ...toEntry(token, logprob, bytes),
      top_logprobs: (top_logprobs ?? []).map((/** @type {any} */ top) => toEntry(top.token, top.logprob, top.bytes)),
      ...(isThought && { is_reasoning: /** @type {const} */ (true) }),
    }));
  if (Array.isArray(logprobs?.content)) {
    return [...toEntries(logprobs.reasoning_content ?? [], true), ...toEntries(logprobs.content, isReasoning)];
  }
  if (Array.isArray(logprobs?.tokens)) {
    return logprobs.tokens.map((/** @type {string} */ token, /** @type {number} */ i) => ({
      ...toEntry(token, logprobs.token_logprobs?.[i]),
      top_logprobs: Object.entries(logprobs.top_logprobs?.[i] ?? {})
        .map(([top, logprob]) => toEntry(top, logprob))
        .sort((a, b) => b.logprob - a.logprob),
    }));
  }
  return undefined;
}

/**
 * @param {string} token
 * @param {any} logprob
 * @param {number[] | null} [bytes]
 * @returns {Logprob}
 */
function toEntry(token, logprob, bytes = [...new TextEncoder().encode(token)]) {
  return /** @type {Logprob} */ ({ token, logprob: logprob ?? -9999, bytes });
}
