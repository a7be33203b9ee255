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
 * @property {ModelChoice} model which model: a name that the site lists; a short name such as "gemma-4-e2b"; a model on
 *   the hub, hf:owner/name[@revision][:file]; the URL of a .gguf or of a folder with config.json; a File or a list of
 *   Files; {name, files}. To measure speed also {name, shape}: weights of that shape are made up on the device
 * @property {DrafterChoice} [drafter] what guesses tokens for the model to check. "auto", the default: the drafter that
 *   comes with the model, if there is one; "none"; "ngram": what followed the same words earlier in the text; or a
 *   model. It changes the speed, never the text
 * @property {Hub} [hub] which hub, and the access token for it
 * @property {number} [maxDraftTokens] the most tokens to draft per cycle, 0 to 7
 * @property {1 | 2 | 4 | 8} [parallel] how many requests run at once; default 1. More requests wait. Each has a KV cache
 *   of its own on the device (see `estimate`); all share the weights and every pass over them. It changes the speed,
 *   never the text
 * @property {AbortSignal | null} [signal] ends the load and frees what it took
 * @property {boolean} [store] whether a model from another site is kept in this browser, so that the next load
 *   downloads nothing and needs no connection; default true. See `Leadout.models`
 * @property {(event: FetchEvent) => void} [onFetch] called while such a model is downloaded
 * @property {(progress: Progress) => void} [onProgress] called while weights arrive on the device
 * @property {(phase: Phase) => void} [onPhase] called when a phase of the load begins
 * @property {number} [contextLength] how many tokens fit into the context; default: the model's, at most 4,096
 * @property {"f32" | "f16"} [kvDtype] how the KV cache is stored; "f16" takes half the memory; default "f32"
 * @property {"accurate" | "fast"} [precision] "fast": decoding multiplies quantised weights by activations of 8 bits
 *   instead of 16. Faster with drafts, but the text sometimes differs. Default "accurate"
 * @property {"auto" | "gpu" | "paged"} [placement] where E2B's and E4B's per-layer embeddings are kept (1.3 GB and
 *   more). "gpu": in GPU memory. "paged": in the file, from which rows are read when they are used; slower, the same
 *   text. "auto", the default: paged where the device is known to have no room
 * @property {number} [pagedRows] how many of these rows the GPU keeps; default 64 MiB's worth
 * @property {number} [memoryBytes] how much memory the device has, if you know; browsers do not say
 * @property {number} [keptPrompts] for how many prompts the keys and values of sliding layers are kept, 0 to 64. The next
 *   turn of a conversation then reads only what is new, however long the answer was. Default: one more than `parallel`,
 *   as long as that takes little memory. It changes the speed, never the text
 * @property {number} [runAhead] how many cycles are queued on the device, 1 to 8; as many as keep it busy if left out
 * @property {boolean} [heal] whether the engine comes back by itself after its worker or its device failed, and a failed
 *   load starts again once; default true
 * @property {(event: HealingEvent) => void} [onHealing] called when the load starts again, and with its outcome. Once
 *   there is an engine, its "healing" events say the same
 * @property {string | URL} [assets] the folder with the engine's files (`assets` of the npm package), if they are not
 *   where this module looks for them; relative to the page. It may be on another origin that allows it
 * @property {WorkerLike | (() => WorkerLike)} [worker] a worker instead of Leadout's own (for tests, or for a bundler),
 *   or a function that starts one. The engine owns it and terminates it. Without a function nothing heals
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
 * A loaded model. As many requests run at once as it was loaded for (`parallel`); others wait in order.
 *
 * When the worker or the device fails, the model is loaded again and open requests continue with the same ids;
 * "healing" events (see `HealingEvent`) tell of it. If that fails, or a second failure comes within a minute, open and
 * later requests reject with the reason, and `needsReload` is true. Then dispose of the engine and load the model again.
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
    /** OpenAI's `embeddings`: `create` rejects, because Leadout makes none. */
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
   * Begin a conversation: `session.send("Hello")` knows everything that was said before.
   *
   * @param {SessionOptions} [options] a system message, and parameters for all messages
   * @returns {Session}
   * @throws {LeadoutError} RequestError: a chat has no such parameter
   */
  session(options = {}) {
    return newSession(this, options);
  }

  /**
   * Continue a conversation that was exported from this engine, or from another one with the same model.
   *
   * @param {SavedSession} saved
   * @returns {Session}
   * @throws {LeadoutError} SessionError: it was with another model, or is not a saved conversation
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
   * Measure what each operation of a pass costs, by the device's own clock.
   *
   * @param {ProfileRequest} request
   * @param {{signal?: AbortSignal | null}} [options]
   * @returns {Promise<PassProfile>}
   */
  profile(request, { signal } = {}) {
    return this.#request({ type: "profile", request }, { signal });
  }

  /**
   * Treat ids as already read, with made-up weights only: decoding after them can be timed without the wait.
   *
   * @param {number[]} ids
   */
  assume(ids) {
    return this.#request({ type: "assume", ids });
  }

  /** Free the model's memory on the device. The engine cannot answer any more. */
  async unload() {
    if (!this.#isUnloaded) {
      this.#channel.stopHealing(); // what is not there needs no device
      const done = this.#request({ type: "unload" });
      this.#isUnloaded = true;
      await done;
    }
  }

  /** End the worker at once and free everything it holds; open requests reject with an AbortError. */
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

/** OpenAI's `embeddings`, which Leadout does not have. */
class Embeddings {
  /**
   * @returns {Promise<never>}
   * @throws {LeadoutError} RequestError
   */
  async create() {
    throw new LeadoutError(
      "RequestError",
      "Leadout makes no embeddings: its models write text. Use another library, with an embedding model.",
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
