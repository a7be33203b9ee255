/**
 * OpenAI's endpoints over an engine: what is asked, and what is answered.
 *
 * @module adapters/server/endpoint
 */

/** @import {Engine} from "../../client.js" */
/** @import {Stream} from "../../client/stream.js" */

import { describe, toErrorEvent, toOpenAIError } from "./errors.js";

/** @typedef {{method: string, path: string, body: string}} Asked `path` is behind /v1/ */

/**
 * @typedef {object} Answered
 * @property {number} status
 * @property {"application/json" | "text/event-stream"} type
 * @property {string | AsyncIterable<string>} body
 */

/** Longer than any context; see engine_source.js, which a service worker has no need of. */
const NO_LIMIT = 2 ** 31 - 1;

/** Which method each path has. */
const METHODS = new Map([
  ["models", "GET"],
  ["completions", "POST"],
  ["chat/completions", "POST"],
]);

/**
 * @param {Engine} engine
 * @param {Asked} asked
 * @param {AbortSignal} [signal] the client has hung up
 * @returns {Promise<Answered>} never rejects
 */
export async function answerAsked(engine, { method, path, body }, signal) {
  const [, modelId] = /^models\/(.+)$/.exec(path) ?? [];
  const wanted = modelId === undefined ? METHODS.get(path) : "GET";
  if (wanted === undefined) {
    const known = [...METHODS.keys()].join(", ");
    return refuse(404, `There is no /v1/${path} here, only ${known}.`, "unknown_url");
  }
  if (method !== wanted) {
    return refuse(405, `/v1/${path} is asked with ${wanted}, not with ${method}.`, "method_not_allowed");
  }
  const { info } = engine;
  if (path === "models") return json(200, { object: "list", data: [toModel(info)] });
  if (modelId !== undefined) {
    const name = decode(modelId);
    if (name === info.name) return json(200, toModel(info));
    return refuse(404, `The model "${name}" is not loaded here; "${info.name}" is.`, "model_not_found", "model");
  }
  const params = parse(body);
  if (params === null) return refuse(400, "The body is not a JSON object.", "invalid_json");
  try {
    return path === "completions"
      ? await answerWith(engine.completions, toCompletionParams(params), signal)
      : await answerWith(engine.chat.completions, toChatParams(params, info.context_length), signal);
  } catch (error) {
    const { status, error: told } = toOpenAIError(error);
    return json(status, { error: told });
  }
}

/**
 * A `fetch` for a client's own requests, without a service worker:
 * `new OpenAI({ fetch: engineFetch(engine), baseURL: "http://leadout/v1", apiKey: "none" })`.
 *
 * @param {Engine} engine
 * @returns {typeof fetch} which answers whatever is below /v1/ of any host
 */
export function engineFetch(engine) {
  return async (input, init) => {
    const request = new Request(input, init);
    const path = new URL(request.url).pathname.replace(/^.*?\/v1\//, "");
    const leaving = new AbortController();
    const signal = AbortSignal.any([request.signal, leaving.signal]);
    const asked = { method: request.method, path, body: await request.text() };
    const { status, type, body } = await answerAsked(engine, asked, signal);
    request.signal.throwIfAborted();
    const content = typeof body === "string" ? body : toStream(body, leaving);
    return new Response(content, { status, headers: { "Content-Type": type, "Cache-Control": "no-store" } });
  };
}

/**
 * @param {AsyncIterable<string>} parts
 * @param {AbortController} leaving aborted when nobody reads any more
 * @returns {ReadableStream<Uint8Array<ArrayBuffer>>}
 */
function toStream(parts, leaving) {
  const encoder = new TextEncoder();
  const iterator = parts[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    cancel: () => leaving.abort(new DOMException("The response was left.", "AbortError")),
  });
}

/**
 * @param {{create: (params: any, options: {signal?: AbortSignal}) => Promise<any>}} endpoint
 * @param {Record<string, unknown>} params
 * @param {AbortSignal} [signal]
 * @returns {Promise<Answered>}
 */
async function answerWith(endpoint, params, signal) {
  if (!params.stream) return json(200, await endpoint.create(params, { signal }));
  // As OpenAI has it: no usage that nobody asked for.
  const options = params.stream_options ?? { include_usage: false };
  /** @type {Stream<unknown>} */
  const stream = await endpoint.create({ ...params, stream_options: options }, { signal });
  const chunks = stream[Symbol.asyncIterator]();
  const first = await chunks.next(); // what is wrong with a request is known by now, and has its status
  return { status: 200, type: "text/event-stream", body: toEvents(first, chunks) };
}

/**
 * @param {IteratorResult<unknown>} first
 * @param {AsyncIterator<unknown>} chunks
 * @returns {AsyncGenerator<string>}
 */
async function* toEvents(first, chunks) {
  let isOver = false;
  try {
    for (let next = first; !next.done; next = await chunks.next()) {
      yield `data: ${JSON.stringify(next.value)}\n\n`;
    }
    isOver = true;
    yield "data: [DONE]\n\n";
  } catch (error) {
    isOver = true;
    yield toErrorEvent(toOpenAIError(error).error);
  } finally {
    if (!isOver) await chunks.return?.();
  }
}

/**
 * @param {Record<string, any>} params
 * @param {number} contextLength
 */
function toChatParams({ signal: _, ...params }, contextLength) {
  const hasLimit = params.max_tokens != null || params.max_completion_tokens != null;
  // At OpenAI's, an answer without a limit ends where it ends.
  return hasLimit ? params : { ...params, max_tokens: contextLength || NO_LIMIT };
}

/**
 * @param {Record<string, any>} params whose prompt may be a text, ids, or a list of one of them
 * @returns {Record<string, unknown>}
 */
function toCompletionParams({ signal: _, ...params }) {
  const { prompt, ...others } = params;
  if (!Array.isArray(prompt)) return params;
  const [only] = prompt;
  if (typeof only === "number") return { ...others, prompt_ids: prompt };
  if (prompt.length !== 1) {
    return params; // the engine says by name that a prompt is a text
  }
  return Array.isArray(only) ? { ...others, prompt_ids: only } : { ...others, prompt: only };
}

/** @param {Engine["info"]} info */
function toModel({ name, context_length, num_parameters }) {
  return {
    id: name,
    object: "model",
    created: 0,
    owned_by: "leadout",
    max_model_len: context_length,
    meta: { n_params: num_parameters },
  };
}

/**
 * @param {number} status
 * @param {unknown} body
 * @returns {Answered}
 */
function json(status, body) {
  return { status, type: "application/json", body: JSON.stringify(body) };
}

/**
 * @param {number} status
 * @param {string} message
 * @param {string} code
 * @param {string | null} [param]
 */
function refuse(status, message, code, param = null) {
  return json(status, { error: describe(status, message, code, param) });
}

/**
 * @param {string} body
 * @returns {Record<string, any> | null}
 */
function parse(body) {
  try {
    const value = JSON.parse(body);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
