/**
 * Requests to a server that speaks OpenAI's protocol, and its failures by name.
 *
 * @module adapters/remote/server
 */

/** @import {ServerParams} from "../remote.js" */

import { readJson } from "../../client/bounded_json.js";
import { LeadoutError } from "../../client/errors.js";
import { requestError } from "../refusals.js";

/**
 * Whose names a server has for what OpenAI has not; "leadout" is `leadout/server`.
 * @typedef {"vllm" | "llama.cpp" | "leadout" | "other"} ServerKind
 */

/**
 * A model as a server lists it; `context_length` and `num_parameters` are 0 where it does not say.
 * @typedef {{id: string, kind: ServerKind, context_length: number, num_parameters: number}} ServerModel
 */

/** By the owners that they name in their lists of models. @type {Map<unknown, ServerKind>} */
const KINDS = new Map([
  ["vllm", "vllm"],
  ["llamacpp", "llama.cpp"],
  ["leadout", "leadout"],
]);

const MAX_RETRIES = 2;
const PATIENCE_MS = 300_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 60_000;

/** What may pass: too many requests, and a server that is being started or is behind another one. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

/** How servers say that a prompt is too long. */
const TOO_LONG = /context.{0,20}(length|size|window)|exceed_context_size|too many tokens/i;

export class Server {
  #params;
  /** With a slash at its end. @type {URL} */
  baseURL;

  /** @param {ServerParams} params */
  constructor(params) {
    const text = String(params.baseURL);
    if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
      throw requestError(`baseURL is "${text}"; wanted an address such as https://host/v1.`, "baseURL");
    }
    this.baseURL = new URL(text);
    this.baseURL.pathname = this.baseURL.pathname.replace(/\/*$/, "/");
    this.#params = params;
  }

  /** Whose names it has, where the page has said so. */
  get kind() {
    return this.#params.kind;
  }

  /** Fields of every request. */
  get body() {
    return this.#params.body ?? {};
  }

  /**
   * @param {AbortSignal | null} [signal]
   * @returns {Promise<ServerModel[]>}
   */
  async listModels(signal) {
    const { response, watch } = await this.send("models", { signal });
    const { data } = (await readJson(response).finally(() => watch.stop())) ?? {};
    if (!Array.isArray(data)) {
      throw new LeadoutError("SourceError", `${response.url} lists no models. ${this.#adviseAddress()}`, {
        url: response.url,
      });
    }
    return data
      .filter((model) => typeof model?.id === "string")
      .map(({ id, owned_by, max_model_len, meta }) => ({
        id,
        kind: this.kind ?? KINDS.get(owned_by) ?? "other",
        context_length: toCount(max_model_len ?? meta?.n_ctx ?? meta?.n_ctx_train),
        num_parameters: toCount(meta?.n_params),
      }));
  }

  /**
   * Send a request, again where the server was busy. Nothing is sent again once an answer has begun.
   *
   * @param {string} path relative to baseURL
   * @param {{body?: unknown, signal?: AbortSignal | null}} [options] with a body it is a POST
   * @returns {Promise<{response: Response, watch: Watch}>} ok; the watch ends the connection when the server falls
   *   silent, and is stopped by who has read the answer
   * @throws {LeadoutError} by name; an abort rejects with the signal's reason
   */
  async send(path, { body, signal } = {}) {
    const { maxRetries = MAX_RETRIES } = this.#params;
    for (let numTries = 1; ; numTries++) {
      const watch = new Watch(this.#params.patienceMs ?? PATIENCE_MS, signal);
      let failure;
      try {
        const response = await this.#fetch(path, body, watch);
        if (response.ok) return { response, watch };
        failure = await this.#failureOf(response);
      } catch (error) {
        failure = watch.reasonOf(error) ?? this.#unreachable(path, error);
      }
      watch.stop();
      signal?.throwIfAborted();
      const waitMs = toWaitMs(failure, numTries);
      if (waitMs === null || numTries > maxRetries) throw failure;
      await sleep(waitMs, signal);
    }
  }

  /**
   * @param {unknown} error what a server told in the midst of an answer, or with a status
   * @param {number} status
   * @returns {LeadoutError}
   */
  toError(error, status) {
    const { message, type, code, param } = toDetails(error);
    const host = this.baseURL.host;
    const told = message ? `${host} says: ${message}` : `${host} answered ${status}.`;
    const detail = { status, code: code ?? type ?? null, parameter: param ?? undefined };
    if (status === 401 || status === 403) {
      const hint = this.#params.apiKey ? "Check apiKey." : "Give it an apiKey.";
      return new LeadoutError("SourceError", `${told} It refuses this access (${status}). ${hint}`, detail);
    }
    if (code === "context_length_exceeded" || TOO_LONG.test(`${type} ${message}`)) {
      return new LeadoutError("ContextLengthError", told, detail);
    }
    if (status === 404) {
      return code === "model_not_found" || /model/i.test(message)
        ? new LeadoutError("ModelNotFoundError", told, detail)
        : new LeadoutError("SourceError", `${told} ${this.#adviseAddress()}`, detail);
    }
    if (status >= 400 && status < 500 && !PASSING.has(status)) {
      return new LeadoutError("RequestError", told, detail);
    }
    return new LeadoutError("SourceError", told, detail);
  }

  /** @param {string} path @param {unknown} body @param {Watch} watch */
  #fetch(path, body, watch) {
    const { apiKey, headers, fetch: ask = fetch } = this.#params;
    return ask(new URL(path, this.baseURL), {
      method: body === undefined ? "GET" : "POST",
      headers: {
        ...(body !== undefined && { "Content-Type": "application/json" }),
        ...(apiKey && { Authorization: `Bearer ${apiKey}` }),
        ...headers,
      },
      referrerPolicy: "no-referrer",
      signal: watch.signal,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  }

  /** @param {Response} response */
  async #failureOf(response) {
    const { status, headers } = response;
    const said = await readJson(response).catch(() => null);
    const failure = this.toError(said?.error ?? said, status);
    const retryAfterMs = toRetryAfterMs(headers);
    if (retryAfterMs !== null) failure.detail.retry_after_s = retryAfterMs / 1000;
    return failure;
  }

  /**
   * @param {string} path
   * @param {unknown} cause
   */
  #unreachable(path, cause) {
    const url = new URL(path, this.baseURL).href;
    return new LeadoutError(
      "SourceError",
      `${url} cannot be reached. Is the server running? It must allow this page (CORS), and so must this page's ` +
        "security policy (connect-src).",
      { url, cause: String(cause) },
    );
  }

  #adviseAddress() {
    return this.baseURL.pathname.endsWith("/v1/") ? "Check baseURL." : "Check baseURL, which usually ends with /v1.";
  }
}

/** Ends a connection that is silent for too long, or that nobody wants any more. */
export class Watch {
  #patienceMs;
  #leaving = new AbortController();
  #given;
  #onAbort;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #isSilent = false;

  /**
   * @param {number} patienceMs
   * @param {AbortSignal | null} [given]
   */
  constructor(patienceMs, given) {
    this.#patienceMs = patienceMs;
    this.#given = given;
    this.#onAbort = () => this.#leaving.abort(given?.reason);
    if (given?.aborted) this.#onAbort();
    given?.addEventListener("abort", this.#onAbort);
    this.heard();
  }

  get signal() {
    return this.#leaving.signal;
  }

  /** Something came. */
  heard() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#isSilent = true;
      this.#leaving.abort();
    }, this.#patienceMs);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#given?.removeEventListener("abort", this.#onAbort);
  }

  /** End the connection. */
  leave() {
    this.stop();
    this.#leaving.abort();
  }

  /**
   * @param {unknown} error
   * @returns {any} the named failure behind it; null: it is another one
   */
  reasonOf(error) {
    if (this.#given?.aborted) return this.#given.reason;
    if (this.#isSilent) {
      const seconds = this.#patienceMs / 1000;
      return new LeadoutError("SourceError", `The server was silent for ${seconds} s. Try again later.`, { seconds });
    }
    return error instanceof LeadoutError ? error : null;
  }
}

/**
 * @param {unknown} error as servers tell it: OpenAI's object, FastAPI's detail, or text
 * @returns {{message: string, type?: string, code?: unknown, param?: string}}
 */
function toDetails(error) {
  if (typeof error === "string") return { message: error };
  const { message, detail, type, code, param } = /** @type {Record<string, any>} */ (error ?? {});
  const text = message ?? detail ?? "";
  return { message: (typeof text === "string" ? text : JSON.stringify(text)).slice(0, 2000), type, code, param };
}

/**
 * @param {any} failure
 * @param {number} numTries
 * @returns {number | null} null: trying again is of no use
 */
function toWaitMs(failure, numTries) {
  const { status, retry_after_s, cause } = failure?.detail ?? {};
  if (failure?.name !== "SourceError" || !(cause || PASSING.has(status))) return null;
  const waitMs = retry_after_s === undefined ? FIRST_WAIT_MS * 2 ** (numTries - 1) : retry_after_s * 1000;
  return waitMs <= LONGEST_WAIT_MS ? waitMs : null;
}

/**
 * @param {Headers} headers
 * @returns {number | null}
 */
function toRetryAfterMs(headers) {
  const text = headers.get("Retry-After");
  if (text === null) return null;
  const waitMs = /^[0-9.]+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(waitMs) ? Math.max(0, waitMs) : null;
}

/** @param {unknown} value */
function toCount(value) {
  return typeof value === "number" && value > 0 ? value : 0;
}

/**
 * @param {number} ms
 * @param {AbortSignal | null} [signal]
 */
function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", leave);
      resolve(undefined);
    }, ms);
    const leave = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", leave, { once: true });
  });
}
