/**
 * OpenAI's parameters and Leadout's own, and what happens to each. The worker checks their ranges.
 *
 * @module parameters
 */

/** @import {GenerateRequest, PromptEmbeddings, PromptMessage, ResponseFormat} from "../messages.js" */
/** @import {Tool, ToolCall, ToolChoice} from "../messages.js" */

import { LeadoutError } from "./errors.js";

/**
 * Parameters that completions and chats share. Null means the default, as with OpenAI's clients.
 *
 * @typedef {object} SharedParams
 * @property {string} [model] accepted because OpenAI's clients send it; the loaded model answers
 * @property {boolean | null} [stream]
 * @property {StreamOptions | null} [stream_options]
 * @property {number | null} [n] how many choices, 1 to 128, with the seeds seed, seed + 1, …; default 1. As many are written
 *   at once as the model was loaded for (`parallel`). In a stream, chunks come as they are written, each with the
 *   `index` of its choice. If one fails, all end. A choice's text does not depend on the others
 * @property {number | null} [max_tokens] default 256
 * @property {number | null} [max_completion_tokens] OpenAI's newer name of max_tokens
 * @property {number | null} [temperature] default 0: always the likeliest token
 * @property {number | null} [top_k] 0 = off
 * @property {number | null} [top_p] 1 = off
 * @property {number | null} [min_p] 0 = off
 * @property {number | null} [repetition_penalty] 1 = off; counts the prompt too
 * @property {number | null} [presence_penalty] -2 to 2, subtracted from the logits of tokens that the answer already has
 * @property {number | null} [frequency_penalty] -2 to 2, subtracted for each time that the answer has the token
 * @property {Record<string, number> | null} [logit_bias] by token id, -100 (never) to 100
 * @property {number | null} [seed] unsigned, 32 bits; default 0
 * @property {string | string[] | null} [stop] up to 16 strings of up to 256 characters; the text ends before the
 *   first of them
 * @property {boolean | null} [ignore_eos]
 * @property {number | null} [run_ahead] how many cycles are queued on the device, 1 to 8; as many as keep it busy if left out
 * @property {ResponseFormat | null} [response_format] the answer must be JSON, or JSON that fits a schema
 * @property {string | null} [grammar] instead of that: the answer must fit this EBNF
 * @property {string | null} [regex] instead of that: the whole answer must match this regular expression
 * @property {"auto" | "none" | "mtp" | "ngram" | null} [drafter] default "auto": what was loaded
 * @property {number | "auto" | null} [draft_tokens] how many tokens to draft per cycle, 0 to 7; default "auto": as many as pay
 * @property {AbortSignal | null} [signal]
 */

/**
 * `include_usage`: true sends the usage in a last chunk without choices, as OpenAI does; false sends none. Without it,
 * usage comes with the last choice's last chunk. `include_obfuscation` is ignored.
 * @typedef {{include_usage?: boolean | null, include_obfuscation?: boolean | null}} StreamOptions
 */

/**
 * `logprobs`: give each token's log-probability, and those of this many likeliest tokens, 0 to 20. As in chats, they are
 * the model's own: before temperature, penalties, biases and filters.
 * @typedef {SharedParams & {prompt?: string, prompt_ids?: number[], embeddings?: PromptEmbeddings[],
 *   logprobs?: number | null}} CompletionParams
 */

/** @typedef {{type: "text", text: string}} TextPart */

/**
 * Other fields of a message, such as an answer's `reasoning_content`, are left out of the prompt. An answer that called
 * tools has its `tool_calls`. Each result is a message of the role "tool" with the `tool_call_id` of its call.
 * @typedef {{role: string, content?: string | TextPart[] | null, tool_calls?: ToolCall[], tool_call_id?: string,
 *   name?: string}} ChatMessage
 */

/**
 * What only chats take. `enable_thinking`: let the model reason before it answers, if its chat template can. `logprobs`:
 * give each token's log-probability, and those of the `top_logprobs` (0 to 20) likeliest tokens. `tools`: functions that
 * the model may call, if its template knows tools.
 * `context_overflow`: what happens to a chat that does not fit into the context. "error", the default, rejects with a
 * ContextLengthError. "drop_oldest" leaves out the oldest questions with everything that followed them, until there is
 * room for `max_tokens` or a quarter of the context. The system message and the last question always stay.
 * `leadout.dropped_messages` says how many messages were left out. A quarter of the context is left out at a time, more
 * than necessary, so that most turns find their prompt in the cache.
 * @typedef {SharedParams & {messages: ChatMessage[], enable_thinking?: boolean | null, logprobs?: boolean | null,
 *   top_logprobs?: number | null, tools?: Tool[] | null, tool_choice?: ToolChoice | null,
 *   parallel_tool_calls?: boolean | null, context_overflow?: "error" | "drop_oldest" | null}} ChatParams
 */

/**
 * What a call turns into: one request per choice, and when a stream tells the usage.
 * @typedef {{requests: GenerateRequest[], usage: "with last" | "alone" | "never"}} Asked
 */

/** Parameters that go to the worker unchanged. */
const PASSED_PARAMS = [
  "prompt",
  "prompt_ids",
  "embeddings",
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
  "response_format",
  "grammar",
  "regex",
];

/** Those that only chats have. */
const PASSED_CHAT_PARAMS = [
  "enable_thinking",
  "logprobs",
  "top_logprobs",
  "tools",
  "tool_choice",
  "parallel_tool_calls",
  "context_overflow",
];

/** Parameters that are handled here. */
const OWN_PARAMS = ["model", "stream", "stream_options", "signal", "stop", "messages", "max_completion_tokens", "n"];

/**
 * Accepted and ignored. They do not change the answer; at OpenAI they say who asks, how fast and at what cost it is
 * answered, and whether it is stored. Here nothing leaves the machine, and nothing is stored.
 */
const IGNORED_PARAMS = [
  "user",
  "safety_identifier",
  "metadata",
  "store",
  "service_tier",
  "prompt_cache_key",
  "prompt_cache_retention",
  "prediction",
];

/** OpenAI's parameters that are accepted only with these values, which change nothing. @type {Record<string, unknown[]>} */
const NEUTRAL_VALUES = { best_of: [1], echo: [false], suffix: [""], modalities: [["text"]] };

/** What to use instead of parameters that do not exist here. @type {Record<string, string>} */
const INSTEAD = {
  reasoning_effort: "Use enable_thinking.",
  verbosity: "Ask for it in the messages.",
  functions: "They are OpenAI's old name of tools.",
  function_call: "It is OpenAI's old name of tool_choice.",
  best_of: "Use n, and choose among the answers.",
};

const MAX_CHOICES = 128;

/**
 * @param {string} name
 * @returns {boolean} whether it is a chat's parameter, here or at OpenAI: accepted, ignored, or refused with advice
 */
export function isChatParam(name) {
  const lists = [PASSED_PARAMS, PASSED_CHAT_PARAMS, OWN_PARAMS, IGNORED_PARAMS];
  return lists.some((list) => list.includes(name)) || [NEUTRAL_VALUES, INSTEAD].some((names) => Object.hasOwn(names, name));
}

/**
 * Translate OpenAI's parameters.
 *
 * @param {CompletionParams | ChatParams} params
 * @param {"completion" | "chat"} kind
 * @returns {Asked}
 * @throws {LeadoutError} RequestError, for a parameter that would otherwise be ignored in silence
 */
export function toAsked(params, kind) {
  const given = /** @type {Record<string, any>} */ (
    // OpenAI's clients send null for "the default".
    Object.fromEntries(Object.entries(params).filter(([, value]) => value != null))
  );
  const passed = kind === "chat" ? [...PASSED_PARAMS, ...PASSED_CHAT_PARAMS] : PASSED_PARAMS;
  const ownParams = kind === "chat" ? OWN_PARAMS : [...OWN_PARAMS, "logprobs"];
  refuseUnknown(given, [...passed, ...ownParams, ...IGNORED_PARAMS]);
  const inputs = ["prompt", "prompt_ids", "messages"].filter((name) => name in given);
  const wanted = kind === "chat" ? ["messages"] : ["prompt", "prompt_ids"];
  if (inputs.length !== 1 || !wanted.includes(inputs[0])) {
    throw requestError(
      `Wanted ${wanted.join(" or ")}; given: ${inputs.join(" and ") || "none of them"}.`,
      wanted[0],
    );
  }
  /** @type {Record<string, any>} */
  const request = Object.fromEntries(passed.filter((name) => name in given).map((name) => [name, given[name]]));
  if ("max_completion_tokens" in given) {
    request.max_tokens = given.max_completion_tokens;
  }
  if ("stop" in given) {
    request.stop = typeof given.stop === "string" ? [given.stop] : given.stop;
  }
  if (kind === "completion" && "logprobs" in given) {
    request.logprobs = true;
    request.top_logprobs = given.logprobs;
  }
  if (kind === "chat") {
    if (!Array.isArray(given.messages)) {
      throw requestError("messages must be a list of {role, content}.", "messages");
    }
    request.messages = given.messages.map(toPlainMessage);
  }
  return { requests: perChoice(request, given.n ?? 1), usage: toUsageTime(given) };
}

/**
 * @param {Record<string, unknown>} given
 * @param {string[]} known
 */
function refuseUnknown(given, known) {
  for (const [name, value] of Object.entries(given)) {
    const neutral = (Object.hasOwn(NEUTRAL_VALUES, name) ? NEUTRAL_VALUES[name] : []).map((one) => JSON.stringify(one));
    if (known.includes(name) || neutral.includes(JSON.stringify(value))) {
      continue;
    }
    throw requestError(
      neutral.length > 0
        ? `${name} is ${JSON.stringify(value)}; Leadout knows ${neutral.join(", ")} alone. ${INSTEAD[name] ?? "Leave it out."}`
        : `Leadout has no parameter "${name}". ${Object.hasOwn(INSTEAD, name) ? INSTEAD[name] : "Leave it out."}`,
      name,
    );
  }
}

/**
 * @param {Record<string, any>} request
 * @param {unknown} count
 * @returns {GenerateRequest[]} with a seed each
 */
function perChoice(request, count) {
  if (typeof count !== "number" || !Number.isInteger(count) || count < 1 || count > MAX_CHOICES) {
    throw requestError(`n is ${JSON.stringify(count)}; wanted a whole number from 1 to ${MAX_CHOICES}.`, "n");
  }
  if (count === 1) {
    return [request];
  }
  const first = request.seed ?? 0;
  // A seed that is none is for the worker to refuse.
  return Array.from({ length: count }, (_, i) => ({
    ...request,
    seed: i === 0 || !Number.isInteger(first) ? first : (first + i) % 2 ** 32,
  }));
}

/**
 * @param {Record<string, any>} given
 * @returns {Asked["usage"]}
 */
function toUsageTime({ stream, stream_options }) {
  if (stream_options === undefined) {
    return "with last";
  }
  if (!stream || typeof stream_options !== "object") {
    throw requestError("stream_options is an object, only for stream: true. Leave it out.", "stream_options");
  }
  for (const name of Object.keys(stream_options)) {
    if (!["include_usage", "include_obfuscation"].includes(name)) {
      throw requestError(`Leadout has no stream_options.${name}. Leave it out.`, `stream_options.${name}`);
    }
  }
  const { include_usage } = stream_options;
  if (include_usage == null) {
    return "with last";
  }
  return include_usage ? "alone" : "never";
}

/**
 * @param {ChatMessage} message
 * @returns {PromptMessage}
 */
function toPlainMessage(message) {
  const { role, tool_calls, tool_call_id, name } = message;
  const isCalling = Array.isArray(tool_calls) && tool_calls.length > 0;
  return {
    role,
    content: toText(message.content, isCalling),
    ...(isCalling && { tool_calls }),
    ...(tool_call_id !== undefined && { tool_call_id }),
    ...(name !== undefined && { name }),
  };
}

/**
 * @param {ChatMessage["content"]} content
 * @param {boolean} isCalling a message of calls may have none
 */
function toText(content, isCalling) {
  if (typeof content === "string") {
    return content;
  }
  if (content == null && isCalling) {
    return "";
  }
  if (Array.isArray(content) && content.every((part) => part?.type === "text")) {
    return content.map((part) => part.text).join("");
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
