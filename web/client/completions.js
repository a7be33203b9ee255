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
 * @property {number | null} [repetition_penalty] 1 = off
 * @property {number | null} [seed] unsigned, 32 bits; default 0
 * @property {string | string[] | null} [stop] strings that end the text and are not part of it
 * @property {boolean | null} [ignore_eos]
 * @property {number | null} [run_ahead] cycles in flight, 1 to 8
 * @property {AbortSignal | null} [signal]
 */

/** @typedef {SharedParams & {prompt?: string, prompt_ids?: number[]}} CompletionParams */

/** @typedef {{type: "text", text: string}} TextPart */

/** @typedef {{role: string, content: string | TextPart[]}} ChatMessage */

/** @typedef {SharedParams & {messages: ChatMessage[]}} ChatParams */

/**
 * @typedef {object} Usage
 * @property {number} prompt_tokens
 * @property {number} completion_tokens
 * @property {number} total_tokens
 * @property {{accepted_prediction_tokens: number, rejected_prediction_tokens: number}} completion_tokens_details
 */

/** @typedef {"stop" | "length" | "abort"} FinishReason */

/** What Leadout adds to a chunk: the ids of its text and the speed so far.
 * @typedef {{tokens: number[], decode_tokens_per_s: number}} ChunkFigures
 */

/**
 * @typedef {object} Completion
 * @property {string} id
 * @property {"text_completion"} object
 * @property {number} created seconds since 1970
 * @property {string} model
 * @property {{index: 0, text: string, logprobs: null, finish_reason: FinishReason}[]} choices
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
 * @property {{index: 0, text: string, logprobs: null, finish_reason: FinishReason | null}[]} choices
 * @property {Usage} [usage]
 * @property {ChunkFigures | Stats} leadout
 */

/**
 * @typedef {object} ChatCompletion
 * @property {string} id
 * @property {"chat.completion"} object
 * @property {number} created
 * @property {string} model
 * @property {{index: 0, message: {role: "assistant", content: string}, logprobs: null, finish_reason: FinishReason}[]} choices
 * @property {Usage} usage
 * @property {Stats} leadout
 */

/**
 * @typedef {object} ChatCompletionChunk
 * @property {string} id
 * @property {"chat.completion.chunk"} object
 * @property {number} created
 * @property {string} model
 * @property {{index: 0, delta: {role?: "assistant", content?: string}, logprobs: null, finish_reason: FinishReason | null}[]} choices
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
  "seed",
  "ignore_eos",
  "run_ahead",
]);

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
  const known = new Set([...PASSED_PARAMS, ...OWN_PARAMS]);
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
  for (const name of PASSED_PARAMS) {
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

/**
 * @param {Head} head
 * @param {Generated} generated
 * @returns {Completion}
 */
export function toCompletion(head, generated) {
  const { text, finish_reason, stats } = generated;
  return {
    ...head,
    object: "text_completion",
    choices: [{ index: 0, text, logprobs: null, finish_reason }],
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
  const { text, finish_reason, stats } = generated;
  const message = /** @type {const} */ ({ role: "assistant", content: text });
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
 * @param {string} text
 * @param {ChunkFigures} figures
 * @returns {CompletionChunk}
 */
export function toChunk(head, text, figures) {
  return {
    ...head,
    object: "text_completion",
    choices: [{ index: 0, text, logprobs: null, finish_reason: null }],
    leadout: figures,
  };
}

/**
 * @param {Head} head
 * @param {string} text what no chunk carried yet
 * @param {Generated} generated
 * @returns {CompletionChunk}
 */
export function toLastChunk(head, text, generated) {
  const { finish_reason, stats } = generated;
  return {
    ...head,
    object: "text_completion",
    choices: [{ index: 0, text, logprobs: null, finish_reason }],
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
  const { text, finish_reason } = chunk.choices[0];
  /** @type {{role?: "assistant", content?: string}} */
  const delta = isFirst ? { role: "assistant", content: text } : text ? { content: text } : {};
  return {
    ...chunk,
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, logprobs: null, finish_reason }],
  };
}
