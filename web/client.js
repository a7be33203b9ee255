/**
 * The client: a model in a worker, seen from a page, in OpenAI's shapes.
 *
 *     const engine = await Leadout.load({ model: "gemma3-270m" });
 *     const stream = await engine.completions.create({ prompt: "Once", stream: true });
 *     for await (const chunk of stream) console.log(chunk.choices[0].text);
 *
 * @module client
 */

/** @import {FetchEvent, GenerateRequest, Generated, ModelInfo, PassProfile, ProfileRequest} from "./messages.js" */
/** @import {Scored} from "./messages.js" */
/** @import {WorkerLike} from "./client/channel.js" */
/** @import {ChatCompletion, ChatCompletionChunk, Completion, CompletionChunk} from "./client/completions.js" */
/** @import {Generating} from "./client/generating.js" */
/** @import {HealingChannel} from "./client/healing.js" */
/** @import {DrafterChoice, Hub, ModelChoice} from "./client/models.js" */
/** @import {ChatParams, CompletionParams} from "./client/parameters.js" */
/** @import {SavedSession, SessionOptions} from "./client/session.js" */
/** @import {Stream} from "./client/stream.js" */

import { answerStream, answerWhole } from "./client/answering.js";
import { chatChunks, completionChunks, newHead, toChatCompletion, toCompletion } from "./client/completions.js";
import { LeadoutError } from "./client/errors.js";
import { Follower } from "./client/generating.js";
import { estimate, loadModel } from "./client/loading.js";
import { listModels } from "./client/models.js";
import { toAsked } from "./client/parameters.js";
import { Session, newSession } from "./client/session.js";
import { models } from "./client/store.js";
import { isSupported } from "./client/support.js";
import { listKnownModels } from "./hub/known_models.js";
import { parseHubName } from "./hub/names.js";

/** @typedef {import("./messages.js").Phase} Phase */
/** @typedef {import("./client/healing.js").Progress} Progress */
/** The `detail` of "healing" events. @typedef {import("./client/healing.js").HealingEvent} HealingEvent */

/**
 * @typedef {object} LoadParams
 * @property {ModelChoice} model a name that the site lists or known_models.json has; a model on the hub,
 *   hf:owner/name[@revision][:file]; a URL of a .gguf or of a folder with config.json, a File, a list of Files, or {name, files}; for figures of speed also {name, shape},
 *   weights of a Gemma 4's shape that are made up on the device
 * @property {DrafterChoice} [drafter] what proposes tokens for the model to check: "auto", the
 *   default, is what comes with the model, if anything does; "none"; "ngram", what the text itself
 *   says elsewhere; or a model of its own. It changes the speed, never the text
 * @property {Hub} [hub] which hub, and the access token for it
 * @property {number} [maxDraftTokens] the most that requests may have drafted at a time, 0 to 7
 * @property {1 | 2 | 4 | 8} [parallel] requests that run at once; default 1. Each has a KV cache of its own on the
 *   device (see `estimate`), all share the weights and every pass over them, and more requests wait. It
 *   changes the speed, never the text
 * @property {AbortSignal | null} [signal] ends the load and frees what it took
 * @property {boolean} [store] whether a model from afar is kept in this browser, so that the next load
 *   fetches nothing and needs no connection; default true. See `Leadout.models`
 * @property {(event: FetchEvent) => void} [onFetch] told while such a model is fetched
 * @property {(progress: Progress) => void} [onProgress]
 * @property {(phase: Phase) => void} [onPhase]
 * @property {number} [contextLength] rows of KV cache
 * @property {"f32" | "f16"} [kvDtype] storage of the KV cache
 * @property {"accurate" | "fast"} [precision] "fast" lets decoding multiply quantised weights by activations of 8
 *   bits instead of 16: faster with drafts, and other text now and then; default "accurate"
 * @property {"auto" | "gpu" | "paged"} [placement] of E2B's and E4B's per-layer embeddings, 1.3 GB and more:
 *   "gpu"; "paged" leaves them in the file and reads rows as they are used, which is slower and gives the
 *   same text; "auto", the default, pages where the device has no room, as far as that is known
 * @property {number} [pagedRows] of these that the GPU keeps; default 64 MiB's worth
 * @property {number} [memoryBytes] what the device has, where somebody knows; browsers do not say
 * @property {number} [keptPrompts] behind how many prompts the keys and values of layers with a sliding window are kept,
 *   0 to 64, so that the next turn of a conversation reads only what is new, however long the answer was; default: one
 *   more than `parallel`, as far as that takes little beside all else. It changes the speed, never the text
 * @property {number} [runAhead] cycles in flight, 1 to 8
 * @property {boolean} [heal] whether the engine comes back by itself where its worker or its device
 *   fails, and a load begins once again; default true
 * @property {(event: HealingEvent) => void} [onHealing] told when the load begins again, and what comes of it: what
 *   the engine's "healing" events say once there is an engine
 * @property {string | URL} [assets] the folder with the engine's files (`assets` of the npm package), where they do not
 *   lie where this module looks for them; relative to the page. It may be of another origin, which has to allow that
 * @property {WorkerLike | (() => WorkerLike)} [worker] instead of Leadout's own (for tests, or for a
 *   bundler's), or what starts one; the engine then owns it and terminates it. Without a function
 *   nothing heals
 */

/**
 * Start a worker and load a model into it.
 *
 * @param {LoadParams} params
 * @returns {Promise<Engine>}
 * @throws {LeadoutError} by name; an abort rejects with the signal's reason (an AbortError)
 */
async function load(params) {
  /** @type {Engine | null} */
  let engine = null;
  const channel = await loadModel(params, (detail) => {
    if (engine) engine.dispatchEvent(new CustomEvent("healing", { detail }));
    else params.onHealing?.(detail);
  });
  engine = new Engine(channel);
  return engine;
}

/**
 * @param {string} text
 * @returns {boolean} whether it names a model on the hub: hf:owner/name[@revision][:file], or owner/name
 */
function isHubName(text) {
  return parseHubName(text) !== null;
}

/**
 * A loaded model. As many requests as it was loaded for (`parallel`) run at once; others wait, in their order.
 *
 * When the worker or the device fails, the model is loaded again and open requests go on, with the same
 * ids; "healing" events (see `HealingEvent`) say so. Where that fails, or another failure comes
 * within a minute, open requests reject with the reason, later ones too, and `needsReload` is true: dispose
 * of the engine and load the model again.
 */
export class Engine extends EventTarget {
  #channel;
  #isUnloaded = false;

  /**
   * Use `Leadout.load`.
   *
   * @param {HealingChannel} channel
   */
  constructor(channel) {
    super();
    this.#channel = channel;
    /** OpenAI's `completions`: text continues a prompt. */
    this.completions = new Completions(this);
    /** OpenAI's `chat.completions`: the model answers messages. */
    this.chat = { completions: new ChatCompletions(this) };
    /** OpenAI's `embeddings`, which say by name that they are not here. */
    this.embeddings = new Embeddings();
  }

  /** What the model is, and where it runs. @returns {ModelInfo} */
  get info() {
    return this.#channel.info;
  }

  /** Resolves with the reason when the engine fails for good; never rejects. */
  get lost() {
    return this.#channel.lost;
  }

  /** Why requests reject now; null while the engine works. */
  get failure() {
    return this.#channel.failure;
  }

  /** Whether this engine can no longer answer. */
  get needsReload() {
    return this.#isUnloaded || this.failure !== null;
  }

  /**
   * Begin a conversation: `session.send("Hello")` knows all that was said in it.
   *
   * @param {SessionOptions} [options] a system message, and parameters for all that is sent
   * @returns {Session}
   * @throws {LeadoutError} RequestError, for a parameter that a chat does not have
   */
  session(options = {}) {
    return newSession(this, options);
  }

  /**
   * Take up a conversation that was exported, by this engine or by another one with the same model.
   *
   * @param {SavedSession} saved
   * @returns {Session}
   * @throws {LeadoutError} SessionError: it is another model's, or none
   */
  importSession(saved) {
    return Session.import(this, saved);
  }

  /**
   * Run one request, without OpenAI's shapes around it.
   *
   * @param {GenerateRequest} request
   * @param {Generating} [options]
   * @returns {Promise<Generated>}
   */
  async generate(request, { signal, onDelta } = {}) {
    const follower = new Follower(onDelta);
    const generated = await this.#request(
      { type: "generate", request },
      { signal, onEvent: (event) => follower.take(event) },
    );
    return follower.finish(generated);
  }

  /**
   * @param {string} text
   * @returns {Promise<number[]>} the ids that a prompt of this text has
   */
  tokenize(text) {
    return this.#request({ type: "tokenize", text });
  }

  /**
   * Run the model over given ids, for evaluation.
   *
   * @param {number[]} ids
   * @param {{signal?: AbortSignal | null, onLogits?: (logits: Float32Array, start: number) => void}} [options]
   *   onLogits gets the logits of consecutive ids from `start` on, [rows, vocab_size]
   * @returns {Promise<Scored>}
   */
  score(ids, { signal, onLogits } = {}) {
    return this.#request(
      { type: "score", ids },
      {
        signal,
        onEvent: (event) => {
          if (event.type === "logits") {
            onLogits?.(new Float32Array(event.data), event.start);
          }
        },
      },
    );
  }

  /**
   * Say what every op of a pass costs, by the device's own clock.
   *
   * @param {ProfileRequest} request
   * @param {{signal?: AbortSignal | null}} [options]
   * @returns {Promise<PassProfile>}
   */
  profile(request, { signal } = {}) {
    return this.#request({ type: "profile", request }, { signal });
  }

  /**
   * Take ids as prefilled, where weights are made up: decoding behind them is timed without the wait.
   *
   * @param {number[]} ids
   */
  assume(ids) {
    return this.#request({ type: "assume", ids });
  }

  /** Free the model's memory on the device. The engine answers no more. */
  async unload() {
    if (!this.#isUnloaded) {
      this.#channel.stopHealing(); // what is not there needs no device
      const done = this.#request({ type: "unload" });
      this.#isUnloaded = true;
      await done;
    }
  }

  /** End the worker at once and free all it holds; open requests reject with an AbortError. */
  dispose() {
    this.#channel.close(new DOMException("The engine was disposed of.", "AbortError"));
  }

  /**
   * @param {Parameters<HealingChannel["request"]>[0]} request
   * @param {Parameters<HealingChannel["request"]>[1]} [options]
   * @returns {Promise<any>}
   */
  #request(request, options) {
    if (this.#isUnloaded) {
      return Promise.reject(
        new LeadoutError("RequestError", "The model was unloaded. Load it again."),
      );
    }
    return this.#channel.request(request, options);
  }
}

class Completions {
  #engine;

  /** @param {Engine} engine */
  constructor(engine) {
    this.#engine = engine;
  }

  /**
   * Continue `prompt` (or `prompt_ids`).
   *
   * @overload
   * @param {CompletionParams & {stream: true}} params
   * @param {{signal?: AbortSignal | null}} [options]
   * @returns {Promise<Stream<CompletionChunk>>}
   */
  /**
   * @overload
   * @param {CompletionParams & {stream?: false | null}} params
   * @param {{signal?: AbortSignal | null}} [options]
   * @returns {Promise<Completion>}
   */
  /**
   * @param {CompletionParams} params
   * @param {{signal?: AbortSignal | null}} [options] where OpenAI's client takes the signal
   * @returns {Promise<Stream<CompletionChunk> | Completion>}
   */
  async create(params, { signal = params.signal } = {}) {
    const asked = toAsked(params, "completion");
    const head = newHead("cmpl", this.#engine.info.name);
    if (!params.stream) {
      return toCompletion(head, await answerWhole(this.#engine, asked, signal));
    }
    return answerStream(this.#engine, asked, signal, (index) => completionChunks(head, index));
  }
}

class ChatCompletions {
  #engine;

  /** @param {Engine} engine */
  constructor(engine) {
    this.#engine = engine;
  }

  /**
   * Answer `messages`, with the checkpoint's chat template.
   *
   * @overload
   * @param {ChatParams & {stream: true}} params
   * @param {{signal?: AbortSignal | null}} [options]
   * @returns {Promise<Stream<ChatCompletionChunk>>}
   */
  /**
   * @overload
   * @param {ChatParams & {stream?: false | null}} params
   * @param {{signal?: AbortSignal | null}} [options]
   * @returns {Promise<ChatCompletion>}
   */
  /**
   * @param {ChatParams} params
   * @param {{signal?: AbortSignal | null}} [options] where OpenAI's client takes the signal
   * @returns {Promise<Stream<ChatCompletionChunk> | ChatCompletion>}
   */
  async create(params, { signal = params.signal } = {}) {
    const asked = toAsked(params, "chat");
    const head = newHead("chatcmpl", this.#engine.info.name);
    if (!params.stream) {
      return toChatCompletion(head, await answerWhole(this.#engine, asked, signal));
    }
    return answerStream(this.#engine, asked, signal, (index) => chatChunks(head, index));
  }
}

/** What Leadout has not. */
class Embeddings {
  /**
   * @returns {Promise<never>}
   * @throws {LeadoutError} RequestError
   */
  async create() {
    throw new LeadoutError(
      "RequestError",
      "Leadout makes no embeddings: its models write text. Use a model that was made for them, elsewhere.",
      { parameter: "embeddings" },
    );
  }
}

/** The way in. */
export const Leadout = Object.freeze({
  load,
  isSupported,
  isHubName,
  listModels,
  listKnownModels,
  models: Object.freeze({ ...models, estimate }),
});
