/**
 * From an answer in OpenAI's shapes to the AI SDK's parts.
 *
 * @module adapters/ai_sdk/answer
 */

/** @import {LanguageModelV4Content, LanguageModelV4FinishReason, LanguageModelV4StreamPart} from "@ai-sdk/provider" */
/** @import {LanguageModelV4Usage, SharedV4ProviderMetadata} from "@ai-sdk/provider" */
/** @import {AnswerMessage, ChatCompletionChunk, ChunkFigures, FinishReason, Usage} from "../../client/completions.js" */
/** @import {Stats, ToolCallDelta} from "../../messages.js" */

import { isJson } from "../is_json.js";

/**
 * @param {AnswerMessage} message
 * @returns {LanguageModelV4Content[]}
 */
export function toContent({ reasoning_content, content, tool_calls = [] }) {
  return [
    ...(reasoning_content ? [{ type: /** @type {const} */ ("reasoning"), text: reasoning_content }] : []),
    ...(content ? [{ type: /** @type {const} */ ("text"), text: content }] : []),
    ...tool_calls.map((call) => ({
      type: /** @type {const} */ ("tool-call"),
      toolCallId: call.id,
      toolName: call.function.name,
      input: call.function.arguments,
    })),
  ];
}

/**
 * @param {FinishReason} reason
 * @returns {LanguageModelV4FinishReason}
 */
export function toFinishReason(reason) {
  return { unified: reason === "tool_calls" ? "tool-calls" : reason, raw: reason };
}

/**
 * @param {Usage | null | undefined} usage
 * @returns {LanguageModelV4Usage}
 */
export function toUsage(usage) {
  const cached = usage?.prompt_tokens_details.cached_tokens;
  const reasoning = usage?.completion_tokens_details.reasoning_tokens;
  return {
    inputTokens: {
      total: usage?.prompt_tokens,
      noCache: usage ? usage.prompt_tokens - (cached ?? 0) : undefined,
      cacheRead: cached,
      cacheWrite: undefined,
    },
    outputTokens: {
      total: usage?.completion_tokens,
      text: usage ? usage.completion_tokens - (reasoning ?? 0) : undefined,
      reasoning,
    },
    ...(usage && { raw: JSON.parse(JSON.stringify(usage)) }),
  };
}

/**
 * @param {Stats} stats
 * @returns {SharedV4ProviderMetadata} all figures, as JSON has them
 */
export function toMetadata(stats) {
  return { leadout: JSON.parse(JSON.stringify(stats)) };
}

/** The parts of one answer, from its chunks. */
export class AnswerParts {
  #includeRawChunks;
  #isFirst = true;
  /** The block that is being written; text and reasoning are never written at once. @type {"text" | "reasoning" | null} */
  #open = null;
  #numBlocks = 0;
  /** By their index. @type {Map<number, {id: string, name: string, input: string}>} */
  #calls = new Map();
  /** @type {LanguageModelV4FinishReason} */
  #finishReason = { unified: "other", raw: undefined };
  /** @type {Usage | null | undefined} */
  #usage;
  /** @type {Stats | null} */
  #stats = null;

  /** @param {{includeRawChunks?: boolean}} [options] */
  constructor({ includeRawChunks = false } = {}) {
    this.#includeRawChunks = includeRawChunks;
  }

  /**
   * @param {ChatCompletionChunk} chunk
   * @returns {Generator<LanguageModelV4StreamPart>}
   */
  *take(chunk) {
    if (this.#includeRawChunks) yield { type: "raw", rawValue: chunk };
    if (this.#isFirst) {
      this.#isFirst = false;
      const timestamp = new Date(chunk.created * 1000);
      yield { type: "response-metadata", id: chunk.id, modelId: chunk.model, timestamp };
    }
    this.#usage = chunk.usage ?? this.#usage;
    if (isStats(chunk.leadout)) this.#stats = chunk.leadout;
    const [choice] = chunk.choices;
    if (!choice) return;
    const { reasoning_content, content, tool_calls = [] } = choice.delta;
    if (reasoning_content) yield* this.#write("reasoning", reasoning_content);
    if (content) yield* this.#write("text", content);
    for (const delta of tool_calls) yield* this.#call(delta);
    if (choice.finish_reason) this.#finishReason = toFinishReason(choice.finish_reason);
  }

  /** @returns {Generator<LanguageModelV4StreamPart>} what an answer ends with */
  *end() {
    yield* this.#close();
    for (const { id, name, input } of this.#calls.values()) {
      yield { type: "tool-input-end", id };
      // A call that was cut off by max_tokens is none.
      if (isJson(input)) yield { type: "tool-call", toolCallId: id, toolName: name, input };
    }
    const providerMetadata = this.#stats ? toMetadata(this.#stats) : undefined;
    yield { type: "finish", finishReason: this.#finishReason, usage: toUsage(this.#usage), providerMetadata };
  }

  /**
   * @param {unknown} error
   * @returns {Generator<LanguageModelV4StreamPart>} what an answer ends with that failed
   */
  *fail(error) {
    yield* this.#close();
    yield { type: "error", error };
    yield { type: "finish", finishReason: { unified: "error", raw: undefined }, usage: toUsage(this.#usage) };
  }

  /**
   * @param {"text" | "reasoning"} kind
   * @param {string} delta
   * @returns {Generator<LanguageModelV4StreamPart>}
   */
  *#write(kind, delta) {
    if (this.#open !== kind) {
      yield* this.#close();
      this.#open = kind;
      this.#numBlocks += 1;
      yield { type: `${kind}-start`, id: this.#blockId() };
    }
    yield { type: `${kind}-delta`, id: this.#blockId(), delta };
  }

  /** @returns {Generator<LanguageModelV4StreamPart>} */
  *#close() {
    if (this.#open === null) return;
    yield { type: `${this.#open}-end`, id: this.#blockId() };
    this.#open = null;
  }

  #blockId() {
    return `block-${this.#numBlocks}`;
  }

  /**
   * @param {ToolCallDelta} delta
   * @returns {Generator<LanguageModelV4StreamPart>}
   */
  *#call({ index, id = "", function: { name = "", arguments: more = "" } = {} }) {
    let call = this.#calls.get(index);
    if (!call) {
      yield* this.#close();
      call = { id, name, input: "" };
      this.#calls.set(index, call);
      yield { type: "tool-input-start", id, toolName: name };
    }
    call.input += more;
    if (more) yield { type: "tool-input-delta", id: call.id, delta: more };
  }
}

/**
 * @param {ChunkFigures | Stats} leadout
 * @returns {leadout is Stats}
 */
function isStats(leadout) {
  return "ttft_ms" in leadout;
}
