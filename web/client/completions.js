/**
 * OpenAI's shapes over the worker's "generate": parameters in, chunks or one object out.
 *
 * @module completions
 */

/** @import {GenerateRequest, Generated, Stats} from "../messages.js" */

import { LeadoutError } from "./errors.js";

/**
 * @typedef {object} SharedParams
 * @property {string} [model] taken for OpenAI's sake; the loaded model answers
 * @property {boolean | null} [stream]
 * @property {number | null} [max_tokens] default 256
 * @property {number | null} [max_completion_tokens] OpenAI's newer name of max_tokens
 * @property {number | null} [temperature] default 0 (greedy)
 * @property {number | null} [top_k] 0 = off
 * @property {number | null} [top_p] 1 = off
 * @property {number | null} [min_p] 0 = off
 * @property {number | null} [repetition_penalty] 1 = off; it counts the prompt, too
 * @property {number | null} [presence_penalty] -2 to 2, off the logits of tokens that the answer has
 * @property {number | null} [frequency_penalty] -2 to 2, for every time that the answer has the token
 * @property {Record<string, number> | null} [logit_bias] by token id, -100 (never) to 100
 * @property {number | null} [seed] unsigned, 32 bits; default 0
 * @property {string | string[] | null} [stop] strings that end the text and are not part of it
 * @property {boolean | null} [ignore_eos]
 * @property {number | null} [run_ahead] cycles in flight, 1 to 8
 * @property {"auto" | "none" | "mtp" | "ngram" | null} [drafter] default "auto": what was loaded
 * @property {number | "auto" | null} [draft_tokens] drafted per cycle, 0 to 7; default "auto"
 * @property {AbortSignal | null} [signal]
 */

/** @typedef {SharedParams & {prompt?: string, prompt_ids?: number[]}} CompletionParams */

/** @typedef {{type: "text", text: string}} TextPart */

/**
 * A message may carry more, such as an answer's `reasoning_content`; it is left out of the prompt.
 * @typedef {{role: string, content: string | TextPart[]}} ChatMessage
 */

/**
 * `enable_thinking`: have the model reason before it answers, where its chat template knows how.
 * @typedef {SharedParams & {messages: ChatMessage[], enable_thinking?: boolean | null}} ChatParams
 */

/**
 * @typedef {object} Usage
 * @property {number} prompt_tokens
 * @property {number} completion_tokens
 * @property {number} total_tokens
 * @property {{accepted_prediction_tokens: number, rejected_prediction_tokens: number, reasoning_tokens?: number}} completion_tokens_details
 */

/** @typedef {"stop" | "length" | "abort"} FinishReason */

/**
 * What Leadout adds to a chunk: the ids of its text, whether these were drafted (and accepted; a chunk
 * never mixes the two kinds), and the speed so far.
 * @typedef {{tokens: number[], is_draft: boolean, decode_tokens_per_s: number}} ChunkFigures
 */

/** A piece of an answer, as it comes. @typedef {{text: string, reasoning: string, figures: ChunkFigures}} Piece */

/**
 * A continuation. `reasoning_content` is there only where the model reasoned, and is no part of `text`.
 * @template {FinishReason | null} T
 * @typedef {{index: 0, text: string, reasoning_content?: string, logprobs: null, finish_reason: T}} CompletionChoice
 */

/**
 * @typedef {object} Completion
 * @property {string} id
 * @property {"text_completion"} object
 * @property {number} created seconds since 1970
 * @property {string} model
 * @property {CompletionChoice<FinishReason>[]} choices
 * @property {Usage} usage
 * @property {Stats} leadout
 */

/**
 * The last chunk has a finish_reason, `usage`, and the Stats as `leadout`; the others have
 * ChunkFigures there.
 * @typedef {object} CompletionChunk
 * @property {string} id
 * @property {"text_completion"} object
 * @property {number} created
 * @property {string} model
 * @property {CompletionChoice<FinishReason | null>[]} choices
 * @property {Usage} [usage]
 * @property {ChunkFigures | Stats} leadout
 */

/** As the field is called by other servers of reasoning models; it is there only where there is some.
 * @typedef {{role: "assistant", content: string, reasoning_content?: string}} AnswerMessage
 */

/**
 * @typedef {object} ChatCompletion
 * @property {string} id
 * @property {"chat.completion"} object
 * @property {number} created
 * @property {string} model
 * @property {{index: 0, message: AnswerMessage, logprobs: null, finish_reason: FinishReason}[]} choices
 * @property {Usage} usage
 * @property {Stats} leadout
 */

/**
 * @typedef {object} ChatCompletionChunk
 * @property {string} id
 * @property {"chat.completion.chunk"} object
 * @property {number} created
 * @property {string} model
 * @property {{index: 0, delta: Partial<AnswerMessage>, logprobs: null, finish_reason: FinishReason | null}[]} choices
 * @property {Usage} [usage]
 * @property {ChunkFigures | Stats} leadout
 */

/** Parameters that go to the worker as they are. */
const PASSED_PARAMS = /** @type {const} */ ([
  "prompt",
  "prompt_ids",
  "max_tokens",
  "temperature",
  "top_k",
  "top_p",
  "min_p",
  "repetition_penalty",
  "presence_penalty",
  "frequency_penalty",
  "logit_bias",
  "seed",
  "ignore_eos",
  "run_ahead",
  "drafter",
  "draft_tokens",
]);

/** Those that mean something to a chat template alone. */
const PASSED_CHAT_PARAMS = /** @type {const} */ (["enable_thinking"]);

/** Parameters that end here. */
const OWN_PARAMS = ["model", "stream", "signal", "stop", "messages", "max_completion_tokens"];

/**
 * Translate OpenAI's parameters; the worker checks their ranges.
 *
 * @param {CompletionParams | ChatParams} params
 * @param {"completion" | "chat"} kind
 * @returns {GenerateRequest}
 * @throws {LeadoutError} RequestError, for a parameter that would otherwise be ignored in silence
 */
export function toGenerateRequest(params, kind) {
  const given = /** @type {Record<string, any>} */ (
    // OpenAI's clients send null for "the default".
    Object.fromEntries(Object.entries(params).filter(([, value]) => value != null))
  );
  /** @type {readonly string[]} */
  const passed = kind === "chat" ? [...PASSED_PARAMS, ...PASSED_CHAT_PARAMS] : PASSED_PARAMS;
  const known = new Set([...passed, ...OWN_PARAMS]);
  for (const name of Object.keys(given)) {
    if (!known.has(name)) {
      throw requestError(`Leadout has no parameter "${name}". Leave it out.`, name);
    }
  }
  const inputs = ["prompt", "prompt_ids", "messages"].filter((name) => name in given);
  const wanted = kind === "chat" ? ["messages"] : ["prompt", "prompt_ids"];
  if (inputs.length !== 1 || !wanted.includes(inputs[0])) {
    throw requestError(
      `Wanted ${wanted.join(" or ")}; given: ${inputs.join(" and ") || "none of them"}.`,
      wanted[0],
    );
  }
  /** @type {Record<string, unknown>} */
  const request = {};
  for (const name of passed) {
    if (name in given) {
      request[name] = given[name];
    }
  }
  if ("max_completion_tokens" in given) {
    request.max_tokens = given.max_completion_tokens;
  }
  if ("stop" in given) {
    request.stop = typeof given.stop === "string" ? [given.stop] : given.stop;
  }
  if (kind === "chat") {
    if (!Array.isArray(given.messages)) {
      throw requestError("messages must be a list of {role, content}.", "messages");
    }
    request.messages = given.messages.map(toPlainMessage);
  }
  return request;
}

/**
 * @param {ChatMessage} message
 * @returns {{role: string, content: string}}
 */
function toPlainMessage({ role, content }) {
  if (typeof content === "string") {
    return { role, content };
  }
  if (Array.isArray(content) && content.every((part) => part?.type === "text")) {
    return { role, content: content.map((part) => part.text).join("") };
  }
  throw requestError("A message's content must be text, or a list of text parts.", "messages");
}

/**
 * @param {string} message
 * @param {string} parameter
 */
function requestError(message, parameter) {
  return new LeadoutError("RequestError", message, { parameter });
}

/**
 * @param {Generated} generated
 * @returns {Usage}
 */
export function toUsage({ prompt_tokens, tokens, stats }) {
  return {
    prompt_tokens: prompt_tokens.length,
    completion_tokens: tokens.length,
    total_tokens: prompt_tokens.length + tokens.length,
    completion_tokens_details: {
      accepted_prediction_tokens: stats.accepted_tokens,
      rejected_prediction_tokens: stats.drafted_tokens - stats.accepted_tokens,
      ...(stats.reasoning_tokens !== undefined && { reasoning_tokens: stats.reasoning_tokens }),
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
 * @param {Head} head
 * @param {Generated} generated
 * @returns {Completion}
 */
export function toCompletion(head, generated) {
  const { text, reasoning, finish_reason, stats } = generated;
  return {
    ...head,
    object: "text_completion",
    choices: [{ index: 0, text, ...withReasoning(reasoning), logprobs: null, finish_reason }],
    usage: toUsage(generated),
    leadout: stats,
  };
}

/**
 * @param {Head} head
 * @param {Generated} generated
 * @returns {ChatCompletion}
 */
export function toChatCompletion(head, generated) {
  const { text, reasoning, finish_reason, stats } = generated;
  /** @type {AnswerMessage} */
  const message = { role: "assistant", content: text, ...withReasoning(reasoning) };
  return {
    ...head,
    object: "chat.completion",
    choices: [{ index: 0, message, logprobs: null, finish_reason }],
    usage: toUsage(generated),
    leadout: stats,
  };
}

/**
 * @param {Head} head
 * @param {Piece} piece
 * @returns {CompletionChunk}
 */
export function toChunk(head, { text, reasoning, figures }) {
  return {
    ...head,
    object: "text_completion",
    choices: [{ index: 0, text, ...withReasoning(reasoning), logprobs: null, finish_reason: null }],
    leadout: figures,
  };
}

/**
 * @param {Head} head
 * @param {{text: string, reasoning: string}} rest what no chunk carried yet
 * @param {Generated} generated
 * @returns {CompletionChunk}
 */
export function toLastChunk(head, { text, reasoning }, generated) {
  const { finish_reason, stats } = generated;
  return {
    ...head,
    object: "text_completion",
    choices: [{ index: 0, text, ...withReasoning(reasoning), logprobs: null, finish_reason }],
    usage: toUsage(generated),
    leadout: stats,
  };
}

/**
 * @param {CompletionChunk} chunk
 * @param {boolean} isFirst the first one names the role
 * @returns {ChatCompletionChunk}
 */
export function toChatChunk(chunk, isFirst) {
  const { text, reasoning_content, finish_reason } = chunk.choices[0];
  /** @type {Partial<AnswerMessage>} */
  const delta = {
    ...(isFirst && { role: "assistant" }),
    ...((isFirst || text) && { content: text }),
    ...(reasoning_content && { reasoning_content }),
  };
  return {
    ...chunk,
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, logprobs: null, finish_reason }],
  };
}
