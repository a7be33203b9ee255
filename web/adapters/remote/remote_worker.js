/**
 * What takes the worker's place where a server computes: it speaks the client's messages (web/messages.js) and asks the server.
 *
 * @module adapters/remote/remote_worker
 */

/** @import {ClientMessage, ErrorMessage, Generated, GenerateRequest, ModelInfo, WorkerMessage} from "../../messages.js" */
/** @import {Server, ServerModel} from "./server.js" */

import { readJson } from "../../client/bounded_json.js";
import { LeadoutError } from "../../client/errors.js";
import { isJson } from "../is_json.js";
import { requestError } from "../refusals.js";
import { ServerAnswer } from "./answer.js";
import { toBody } from "./request.js";
import { partsOf, readEvents } from "./sse.js";

/** Answers to what only a model in the tab can do. */
const NOT_OF_SERVERS = { score: "Logits of a prompt", profile: "A profile", assume: "Made-up prompts", estimate: "A forecast" };

export class RemoteWorker extends EventTarget {
  #server;
  #options;
  #isTerminated = false;
  /** Requests that are open. @type {Map<number, AbortController>} */
  #open = new Map();
  /** @type {ServerModel | null} */
  #model = null;

  /**
   * @param {Server} server
   * @param {{model?: string, contextLength?: number, parallel: number}} options
   */
  constructor(server, options) {
    super();
    this.#server = server;
    this.#options = options;
  }

  /** @param {ClientMessage} message */
  postMessage(message) {
    if (this.#isTerminated) return;
    if (message.type === "abort") {
      this.#open.get(message.target)?.abort(new DOMException("The request was aborted.", "AbortError"));
    } else if (message.type === "ping") {
      this.#post({ type: "pong", id: message.id });
    } else {
      this.#answer(message);
    }
  }

  terminate() {
    this.#isTerminated = true;
    for (const leaving of this.#open.values()) leaving.abort();
  }

  /** @param {Exclude<ClientMessage, {type: "abort" | "ping"}>} message */
  async #answer(message) {
    const { id } = message;
    const leaving = new AbortController();
    this.#open.set(id, leaving);
    try {
      this.#post({ type: "result", id, value: await this.#handle(message, leaving.signal) });
    } catch (error) {
      this.#post({ type: "error", id, error: toMessage(error) });
    } finally {
      this.#open.delete(id);
    }
  }

  /**
   * @param {Exclude<ClientMessage, {type: "abort" | "ping"}>} message
   * @param {AbortSignal} signal
   * @returns {Promise<unknown>}
   */
  async #handle(message, signal) {
    switch (message.type) {
      case "boot":
      case "unload":
        return null;
      case "load":
        return this.#load(message.id, signal);
      case "generate":
        return this.#generate(message.id, message.request, signal);
      case "tokenize":
        return this.#tokenize(message.text, signal);
      case "pull":
        throw requestError("A server's model is not kept in this browser.", "model");
      default: {
        const what = NOT_OF_SERVERS[message.type];
        throw requestError(`${what}: servers do not tell. Load the model here with Leadout.load.`, message.type);
      }
    }
  }

  /**
   * @param {number} id
   * @param {AbortSignal} signal
   * @returns {Promise<ModelInfo>}
   */
  async #load(id, signal) {
    const startedMs = performance.now();
    this.#post({ type: "phase", id, phase: "loading_weights" });
    const model = await this.#findModel(signal);
    const contextLength = this.#options.contextLength ?? model.context_length;
    this.#model = { ...model, context_length: contextLength };
    this.#post({ type: "phase", id, phase: "ready" });
    return {
      name: model.id,
      architecture: "remote",
      num_parameters: model.num_parameters,
      context_length: contextLength,
      has_chat_template: true,
      weights_bytes: 0,
      allocated_bytes: 0,
      peak_bytes: 0,
      device: this.#server.baseURL.host,
      load_ms: performance.now() - startedMs,
      dispatches_per_step: 0,
      drafter: null,
      max_draft_tokens: 0,
      self_test: "not run",
      parallel: this.#options.parallel,
    };
  }

  /** @param {AbortSignal} signal */
  async #findModel(signal) {
    const { model: wanted } = this.#options;
    const models = await this.#server.listModels(signal);
    const model = wanted === undefined ? models[0] : models.find(({ id }) => id === wanted);
    if (!model) {
      const names = models.map(({ id }) => id);
      throw new LeadoutError(
        "ModelNotFoundError",
        `${this.#server.baseURL.host} has no model "${wanted ?? "at all"}". It has: ${names.join(", ") || "none"}.`,
        { name: wanted, known: names },
      );
    }
    return model;
  }

  /**
   * @param {number} id
   * @param {GenerateRequest} request
   * @param {AbortSignal} signal
   * @returns {Promise<Generated>}
   */
  async #generate(id, request, signal) {
    const { id: model, kind, context_length } = this.#loaded();
    const { path, body } = toBody(request, { model, kind, contextLength: context_length });
    const server = this.#server;
    const answer = new ServerAnswer(server.baseURL.host);
    const { response, watch } = await server.send(path, { body: { ...body, ...server.body }, signal });
    this.#post({ type: "prompt", id, tokens: [] });
    try {
      for await (const chunk of this.#chunksOf(response, answer, () => watch.heard())) {
        const delta = answer.take(chunk);
        if (delta) this.#post({ ...delta, id });
      }
    } catch (error) {
      const reason = watch.reasonOf(error);
      if (reason) throw reason;
      // Otherwise the connection broke: `finish` says so, unless all had come by then.
    } finally {
      watch.leave();
    }
    return answer.finish(request.tools !== undefined);
  }

  /**
   * @param {Response} response
   * @param {ServerAnswer} answer
   * @param {() => void} onPart
   * @returns {AsyncGenerator<unknown>}
   */
  async *#chunksOf(response, answer, onPart) {
    const type = response.headers.get("Content-Type") ?? "";
    if (type.includes("json")) {
      yield await readJson(response); // a server that streams not
      return answer.done();
    }
    if (!type.includes("event-stream")) {
      const url = response.url || this.#server.baseURL.href;
      throw new LeadoutError("SourceError", `${url} answered with ${type || "no type"}, not with a stream. Check baseURL.`, {
        url,
      });
    }
    for await (const { data, error, isWhole } of readEvents(partsOf(response, onPart))) {
      if (!isWhole && !isJson(data) && data !== "[DONE]") return; // the connection was cut here
      if (error) throw this.#server.toError(parse(error), 500);
      if (data === "[DONE]") return answer.done();
      const chunk = parse(data);
      if (chunk?.error) {
        throw this.#server.toError(chunk.error, Number(chunk.error.status ?? chunk.error.code) || 500);
      }
      yield chunk;
    }
  }

  /**
   * @param {string} text
   * @param {AbortSignal} signal
   * @returns {Promise<number[]>}
   */
  async #tokenize(text, signal) {
    const { id: model, kind } = this.#loaded();
    if (kind === "other" || kind === "leadout") {
      throw requestError("This server does not tell ids of tokens.", "tokenize");
    }
    const body =
      kind === "vllm" ? { model, prompt: text, add_special_tokens: true } : { content: text, add_special: true };
    const { response, watch } = await this.#server.send("../tokenize", { body, signal });
    return (await readJson(response).finally(() => watch.stop())).tokens;
  }

  #loaded() {
    if (this.#model === null) throw requestError("The model has not been loaded.", "model");
    return this.#model;
  }

  /** @param {WorkerMessage} message */
  #post(message) {
    if (!this.#isTerminated) this.dispatchEvent(new MessageEvent("message", { data: message }));
  }
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
    throw new LeadoutError("SourceError", `The server sent what is not JSON: ${shown}`);
  }
}

/**
 * @param {any} error
 * @returns {ErrorMessage}
 */
function toMessage(error) {
  const { name = "Error", message = String(error), detail } = error ?? {};
  return { name, message, ...(detail && { detail }) };
}
