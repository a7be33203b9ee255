/**
 * The same client on a server that speaks OpenAI's protocol (vLLM, llama-server, …), for machines that are too small. It
 * works like any engine: completions, chats, streams, sessions, `<leadout-chat>`.
 *
 *     const { supported } = await Leadout.isSupported();
 *     const engine = supported
 *       ? await Leadout.load({ model })
 *       : await LeadoutRemote.load({ baseURL: "https://gpu.example/v1", model: "google/gemma-4-e2b-it" });
 *
 * Parameters and defaults mean the same as in the tab: temperature 0, max_tokens 256, seed 0. Parameters that only change
 * the speed (drafter, draft_tokens, run_ahead) are left out. Parameters that the server does not have are refused. Servers
 * do not tell token ids, so `tokens` are empty lists.
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
 * @property {string | URL} baseURL the address up to /v1, included
 * @property {string | null} [apiKey] sent as a bearer token. Everybody who opens the page can read it: let users give their
 *   own, or let the page's own server add one
 * @property {Record<string, string>} [headers]
 * @property {Record<string, unknown>} [body] more fields for every request, that only this server knows
 * @property {ServerKind} [kind] which server's parameter names to use; default: as its list of models says
 * @property {number} [maxRetries] how often to repeat a request when the server is busy (429, 5xx) or not there; default 2.
 *   The wait is what its Retry-After says, up to a minute
 * @property {number} [patienceMs] how long a server may be silent; default 300,000
 * @property {typeof fetch} [fetch] instead of the browser's
 */

/**
 * @typedef {ServerParams & RemoteOnlyParams} RemoteParams
 *
 * @typedef {object} RemoteOnlyParams
 * @property {string} [model] the model's name on the server; default: the first of its list
 * @property {number} [contextLength] of the model, if the server does not say
 * @property {1 | 2 | 4 | 8} [parallel] how many choices (`n`) to ask for at once; default 4
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
