/**
 * The same client on a server that speaks OpenAI's protocol (vLLM, llama-server, …), for where a machine is too small. What
 * a page does with an engine it does with this one: completions, chats, streams, sessions, `<leadout-chat>`.
 *
 *     const { supported } = await Leadout.isSupported();
 *     const engine = supported
 *       ? await Leadout.load({ model })
 *       : await LeadoutRemote.load({ baseURL: "https://gpu.example/v1", model: "google/gemma-4-e2b-it" });
 *
 * Parameters mean what they mean here, and so do defaults: temperature 0, max_tokens 256, seed 0. What changes speed alone
 * (drafter, draft_tokens, run_ahead) is left out; what a server has no name for is refused. Ids of tokens are not told by
 * servers, so `tokens` are empty lists.
 *
 * @module adapters/remote
 */

/** @import {Engine} from "../client.js" */
/** @import {Phase} from "../messages.js" */
/** @import {ServerKind, ServerModel} from "./remote/server.js" */

import { Leadout } from "../client.js";
import { RemoteWorker } from "./remote/remote_worker.js";
import { Server } from "./remote/server.js";

/**
 * @typedef {object} ServerParams
 * @property {string | URL} baseURL up to and with /v1
 * @property {string | null} [apiKey] sent as a bearer token. Whoever opens the page can read it: give a key of a user's own,
 *   or have the page's own server add one
 * @property {Record<string, string>} [headers]
 * @property {Record<string, unknown>} [body] more fields of every request, for what this server has beside OpenAI's
 * @property {ServerKind} [kind] whose names of parameters it has; default: as its list of models says
 * @property {number} [maxRetries] of requests that found it busy (429, 5xx) or not there; default 2. It is waited for as long
 *   as the server's Retry-After says, up to a minute
 * @property {number} [patienceMs] how long a server may be silent; default 300,000
 * @property {typeof fetch} [fetch] instead of the browser's
 */

/**
 * @typedef {ServerParams & RemoteOnlyParams} RemoteParams
 *
 * @typedef {object} RemoteOnlyParams
 * @property {string} [model] as the server names it; default: the first one of its list
 * @property {number} [contextLength] of the model, where the server does not say
 * @property {1 | 2 | 4 | 8} [parallel] choices (`n`) that are asked for at once; default 4
 * @property {AbortSignal | null} [signal]
 * @property {(phase: Phase) => void} [onPhase]
 */

/**
 * Ask a server for its models, and make a client of it.
 *
 * @param {RemoteParams} params
 * @returns {Promise<Engine>}
 * @throws {import("../client/errors.js").LeadoutError} SourceError: it cannot be reached, or refuses the key;
 *   ModelNotFoundError: it has no such model
 */
async function load({ model, contextLength, parallel = 4, signal, onPhase, ...params }) {
  const server = new Server(params);
  const worker = new RemoteWorker(server, { model, contextLength, parallel });
  const name = model ?? server.baseURL.host;
  return Leadout.load({ model: { name, files: [] }, worker, signal, onPhase });
}

/**
 * @param {ServerParams & {signal?: AbortSignal | null}} params
 * @returns {Promise<ServerModel[]>} that the server has
 */
async function listModels({ signal, ...params }) {
  return new Server(params).listModels(signal);
}

/** The way in. */
export const LeadoutRemote = Object.freeze({ load, models: Object.freeze({ list: listModels }) });
