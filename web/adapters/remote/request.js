/**
 * From a request of ours to a body that a server takes.
 *
 * @module adapters/remote/request
 */

/** @import {GenerateRequest} from "../../messages.js" */
/** @import {ServerKind} from "./server.js" */

import { NO_LIMIT } from "../engine_source.js";
import { requestError } from "../refusals.js";

const DEFAULT_MAX_TOKENS = 256;

/** Fields that all have, by the same name. Those of speed (drafter, draft_tokens, run_ahead) go nowhere. */
const SAME = [
  ..."presence_penalty frequency_penalty logit_bias stop response_format".split(" "),
  ..."tools tool_choice parallel_tool_calls".split(" "),
];

/** Names of what OpenAI has not, where they are others than ours. @type {Record<ServerKind, Record<string, string>>} */
const NAMES = {
  vllm: {},
  "llama.cpp": { repetition_penalty: "repeat_penalty" },
  leadout: {},
  other: {},
};

/** What is off here unless somebody asks for it, and on in servers. @type {Record<string, number>} */
const OFF = { top_k: 0, min_p: 0, repetition_penalty: 1 };

/**
 * @param {GenerateRequest} request
 * @param {{model: string, kind: ServerKind, contextLength: number}} server contextLength: 0 where it is not known
 * @returns {{path: string, body: Record<string, unknown>}}
 * @throws {import("../../client/errors.js").LeadoutError} RequestError: the server has no name for something
 */
export function toBody(request, { model, kind, contextLength }) {
  const given = /** @type {Record<string, any>} */ (request);
  const names = NAMES[kind];
  const isChat = request.messages !== undefined;
  const max_tokens = request.max_tokens ?? DEFAULT_MAX_TOKENS;
  // As much as there is: servers refuse what is more than that, and not all of them say how much it is.
  const isOpen = isChat && max_tokens >= (contextLength || NO_LIMIT);
  /** @type {Record<string, unknown>} */
  const body = {
    model,
    ...(isChat ? { messages: request.messages } : { prompt: request.prompt ?? request.prompt_ids }),
    stream: true,
    stream_options: { include_usage: true },
    ...(!isOpen && { max_tokens }),
    temperature: request.temperature ?? 0,
    top_p: request.top_p ?? 1,
    seed: request.seed ?? 0,
    ...toLogprobs(request, isChat),
    ...toThinking(request, kind),
    ...toGrammar(request, kind),
  };
  for (const name of SAME) {
    if (given[name] !== undefined) body[name] = given[name];
  }
  for (const [name, off] of Object.entries(OFF)) {
    const value = given[name] ?? (kind === "other" ? undefined : off);
    if (value !== undefined) body[names[name] ?? name] = value;
  }
  if (request.embeddings?.length) {
    throw refusal("embeddings", "Load the model in the page.");
  }
  if (request.ignore_eos !== undefined) body.ignore_eos = request.ignore_eos;
  if (kind === "leadout" && request.context_overflow) {
    body.context_overflow = request.context_overflow;
  } else if (request.context_overflow === "drop_oldest") {
    throw refusal("context_overflow", "Leave out the oldest messages yourself.");
  }
  return { path: isChat ? "chat/completions" : "completions", body };
}

/**
 * @param {GenerateRequest} request
 * @param {boolean} isChat
 */
function toLogprobs({ logprobs, top_logprobs }, isChat) {
  if (!logprobs) return {};
  if (!isChat) return { logprobs: top_logprobs ?? 0 };
  return { logprobs, ...(top_logprobs !== undefined && { top_logprobs }) };
}

/**
 * @param {GenerateRequest} request
 * @param {ServerKind} kind
 */
function toThinking({ enable_thinking }, kind) {
  if (enable_thinking === undefined) return {};
  if (kind === "leadout") return { enable_thinking };
  if (kind !== "other") return { chat_template_kwargs: { enable_thinking } };
  if (enable_thinking) throw refusal("enable_thinking", "Say in `body` of the load how it is asked for there.");
  return {};
}

/**
 * @param {GenerateRequest} request
 * @param {ServerKind} kind
 */
function toGrammar({ grammar, regex }, kind) {
  if (grammar === undefined && regex === undefined) return {};
  const given = { ...(grammar !== undefined && { grammar }), ...(regex !== undefined && { regex }) };
  if (kind === "leadout") return given;
  if (kind === "vllm") return { structured_outputs: given };
  if (kind === "llama.cpp" && regex === undefined) return { grammar };
  throw refusal(regex === undefined ? "grammar" : "regex", "Use response_format with a schema.");
}

/**
 * @param {string} parameter
 * @param {string} instead
 */
function refusal(parameter, instead) {
  return requestError(`This server has no parameter for ${parameter}. ${instead}`, parameter);
}
