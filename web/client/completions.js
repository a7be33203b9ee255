/**
 * OpenAI's shapes over the worker's "generate": chunks, or one object, out. Parameters go in by parameters.js.
 *
 * @module completions
 */

/** @import {Generated, Stats, TokenLogprob, ToolCall, ToolCallDelta} from "../messages.js" */
/** @import {ChatLogprobs, CompletionLogprobs} from "./logprobs.js" */

import { TextOffsets, toChatLogprobs } from "./logprobs.js";

/**
 * `cached_tokens` of the prompt were already in the KV cache. `accepted_prediction_tokens` are the drafted tokens that
 * became part of the answer. With several choices, the numbers are their sums.
 * @typedef {object} Usage
 * @property {number} prompt_tokens
 * @property {number} completion_tokens
 * @property {number} total_tokens
 * @property {{cached_tokens: number}} prompt_tokens_details
 * @property {UsageDetails} completion_tokens_details
 */

/**
 * @typedef {object} UsageDetails
 * @property {number} accepted_prediction_tokens
 * @property {number} rejected_prediction_tokens
 * @property {number} reasoning_tokens
 */

/** Calls of tools end chats alone.
 * @typedef {"stop" | "length"} CompletionFinish
 * @typedef {CompletionFinish | "tool_calls"} FinishReason
 */

/**
 * What Leadout adds to a chunk: the ids of its text, whether they were drafted (a chunk never mixes drafted and other
 * tokens), and the speed so far.
 * @typedef {{tokens: number[], is_draft: boolean, decode_tokens_per_s: number}} ChunkFigures
 */

/**
 * A piece of an answer, as it comes. `logprobs` are there where they were asked for: of all tokens that are certain
 * by now and were not told yet.
 * @typedef {{text: string, reasoning: string, figures: ChunkFigures, logprobs?: TokenLogprob[],
 *   tool_calls?: ToolCallDelta[]}} Piece
 */

/**
 * A continuation. `reasoning_content` is there only if the model reasoned; it is not part of `text`.
 * @template {CompletionFinish | null} T
 * @typedef {{index: number, text: string, reasoning_content?: string, logprobs: CompletionLogprobs | null,
 *   finish_reason: T}} CompletionChoice
 */

/**
 * `leadout` has the Stats of the last choice.
 * @typedef {object} Completion
 * @property {string} id
 * @property {"text_completion"} object
 * @property {number} created seconds since 1970
 * @property {string} model
 * @property {CompletionChoice<CompletionFinish>[]} choices
 * @property {Usage} usage
 * @property {Stats} leadout
 */

/**
 * A choice's last chunk has a finish_reason, and the Stats as `leadout`; the others have ChunkFigures there.
 * When usage is told is in parameters.js, at StreamOptions.
 * @typedef {object} CompletionChunk
 * @property {string} id
 * @property {"text_completion"} object
 * @property {number} created
 * @property {string} model
 * @property {CompletionChoice<CompletionFinish | null>[]} choices
 * @property {Usage | null} [usage]
 * @property {ChunkFigures | Stats} leadout
 */

/** `reasoning_content` is what other servers of reasoning models call it; it and `tool_calls` are there only where there
 * are some. `content` is null where there are calls alone.
 * @typedef {{role: "assistant", content: string | null, refusal: null, reasoning_content?: string,
 *   tool_calls?: ToolCall[]}} AnswerMessage
 */

/** @typedef {Partial<Omit<AnswerMessage, "tool_calls">> & {tool_calls?: ToolCallDelta[]}} AnswerDelta */

/**
 * @typedef {{index: number, message: AnswerMessage, logprobs: ChatLogprobs | null,
 *   finish_reason: FinishReason}} ChatChoice
 */

/**
 * @typedef {object} ChatCompletion
 * @property {string} id
 * @property {"chat.completion"} object
 * @property {number} created
 * @property {string} model
 * @property {ChatChoice[]} choices
 * @property {Usage} usage
 * @property {Stats} leadout
 */

/**
 * @typedef {{index: number, delta: AnswerDelta, logprobs: ChatLogprobs | null,
 *   finish_reason: FinishReason | null}} ChatChunkChoice
 */

/**
 * @typedef {object} ChatCompletionChunk
 * @property {string} id
 * @property {"chat.completion.chunk"} object
 * @property {number} created
 * @property {string} model
 * @property {ChatChunkChoice[]} choices
 * @property {Usage | null} [usage]
 * @property {ChunkFigures | Stats} leadout
 */

/**
 * @param {Generated[]} all the choices
 * @returns {Usage}
 */
export function toUsage(all) {
  const [first] = all;
  const sum = (/** @type {(one: Generated) => number} */ count) => all.reduce((total, one) => total + count(one), 0);
  const prompt_tokens = first.usage?.prompt_tokens ?? first.prompt_tokens.length;
  const completion_tokens = sum(({ tokens, usage }) => usage?.completion_tokens ?? tokens.length);
  return {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    prompt_tokens_details: { cached_tokens: first.stats.cached_tokens ?? 0 },
    completion_tokens_details: {
      accepted_prediction_tokens: sum(({ stats }) => stats.accepted_tokens),
      rejected_prediction_tokens: sum(({ stats }) => stats.drafted_tokens - stats.accepted_tokens),
      reasoning_tokens: sum(({ stats }) => stats.reasoning_tokens ?? 0),
    },
  };
}

/**
 * What all objects of one answer share.
 *
 * @param {"cmpl" | "chatcmpl"} prefix
 * @param {string} model
 */
export function newHead(prefix, model) {
  return { id: `${prefix}-${randomId()}`, created: Math.floor(Date.now() / 1000), model };
}

function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @typedef {ReturnType<typeof newHead>} Head */

/** @param {string} reasoning */
function withReasoning(reasoning) {
  return reasoning ? { reasoning_content: reasoning } : {};
}

/**
 * What an aborted generation brought is never seen: its promise rejects.
 *
 * @param {Generated} generated
 * @returns {CompletionFinish}
 */
function finishOf({ finish_reason }) {
  return finish_reason === "length" ? "length" : "stop";
}

/**
 * @param {Generated} generated
 * @returns {FinishReason}
 */
function chatFinishOf(generated) {
  return generated.finish_reason === "tool_calls" ? "tool_calls" : finishOf(generated);
}

/**
 * @param {Head} head
 * @param {Generated[]} all the choices
 * @returns {Completion}
 */
export function toCompletion(head, all) {
  const choices = all.map((generated, index) => ({
    index,
    text: generated.text,
    ...withReasoning(generated.reasoning),
    logprobs: new TextOffsets().take(generated.logprobs),
    finish_reason: finishOf(generated),
  }));
  return { ...head, object: "text_completion", choices, usage: toUsage(all), leadout: all[all.length - 1].stats };
}

/**
 * @param {Head} head
 * @param {Generated[]} all the choices
 * @returns {ChatCompletion}
 */
export function toChatCompletion(head, all) {
  const choices = all.map((generated, index) => {
    const { text, reasoning, tool_calls = [], logprobs } = generated;
    const hasCalls = tool_calls.length > 0;
    /** @type {AnswerMessage} */
    const message = {
      role: "assistant",
      content: hasCalls && !text ? null : text,
      refusal: null,
      ...withReasoning(reasoning),
      ...(hasCalls && { tool_calls }),
    };
    return { index, message, logprobs: toChatLogprobs(logprobs), finish_reason: chatFinishOf(generated) };
  });
  return { ...head, object: "chat.completion", choices, usage: toUsage(all), leadout: all[all.length - 1].stats };
}

/**
 * How the pieces of one choice become chunks.
 *
 * @template T
 * @typedef {object} Chunks
 * @property {() => T} [begin] a chunk without text, before the first one with logprobs
 * @property {(piece: Piece) => T} next
 * @property {(rest: Omit<Piece, "figures">, generated: Generated) => T} last `rest` is what no chunk carried yet
 */

/**
 * @param {Head} head
 * @param {number} index of the choice
 * @returns {Chunks<CompletionChunk>}
 */
export function completionChunks(head, index) {
  const offsets = new TextOffsets();
  /**
   * @param {Omit<Piece, "figures">} piece
   * @param {CompletionFinish | null} finish_reason
   * @param {ChunkFigures | Stats} leadout
   * @returns {CompletionChunk}
   */
  const chunk = ({ text, reasoning, logprobs }, finish_reason, leadout) => ({
    ...head,
    object: "text_completion",
    choices: [{ index, text, ...withReasoning(reasoning), logprobs: offsets.take(logprobs), finish_reason }],
    leadout,
  });
  return {
    next: (piece) => chunk(piece, null, piece.figures),
    last: (rest, generated) => chunk(rest, finishOf(generated), generated.stats),
  };
}

/**
 * @param {Head} head
 * @param {number} index of the choice
 * @returns {Chunks<ChatCompletionChunk>}
 */
export function chatChunks(head, index) {
  let isFirst = true;
  /**
   * @param {Omit<Piece, "figures">} piece
   * @param {FinishReason | null} finish_reason
   * @param {ChunkFigures | Stats} leadout
   * @returns {ChatCompletionChunk}
   */
  const chunk = ({ text, reasoning, logprobs, tool_calls }, finish_reason, leadout) => {
    /** @type {AnswerDelta} */
    const delta = {
      ...(isFirst && { role: "assistant" }), // the first one names the role
      ...((isFirst || text) && { content: text }),
      ...withReasoning(reasoning),
      ...(tool_calls && { tool_calls }),
    };
    isFirst = false;
    return {
      ...head,
      object: "chat.completion.chunk",
      choices: [{ index, delta, logprobs: toChatLogprobs(logprobs), finish_reason }],
      leadout,
    };
  };
  return {
    // OpenAI begins with such a chunk, and its client's helper counts the logprobs of a choice's first one twice.
    begin: () => chunk({ text: "", reasoning: "" }, null, { tokens: [], is_draft: false, decode_tokens_per_s: 0 }),
    next: (piece) => chunk(piece, null, piece.figures),
    last: (rest, generated) => chunk(rest, chatFinishOf(generated), generated.stats),
  };
}
