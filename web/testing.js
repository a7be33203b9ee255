/**
 * A model that is not there, for the tests of pages that use Leadout: an engine, and the worker
 * behind it, that speak the real messages and write a text that the test chose.
 *
 *     const engine = await createFakeEngine({ text: " Paris.", tokensPerSecond: 50 });
 *     document.querySelector("leadout-chat").engine = engine;
 *
 * @module testing
 */

/** @import {ClientMessage, ErrorMessage, GenerateRequest, ModelInfo} from "./messages.js" */
/** @import {Phase, Stats, WorkerMessage} from "./messages.js" */
/** @import {Engine} from "./client.js" */

import { Leadout } from "./client.js";

/**
 * @typedef {object} FakeOptions
 * @property {string | ((request: GenerateRequest) => string)} [text] what the model writes
 * @property {number} [tokensPerSecond] default: as fast as it goes
 * @property {number} [bootMs] how long each phase before the weights takes; default 0
 * @property {number} [loadMs] how long the weights take; default 0
 * @property {number} [weightsBytes] default 253 MB
 * @property {Partial<ModelInfo>} [info] what "load" says about the model
 * @property {ErrorMessage} [bootError] "boot" fails with it
 * @property {ErrorMessage} [loadError] "load" fails with it, half-way through the weights
 * @property {ErrorMessage} [generateError] each "generate" fails with it
 * @property {number} [loseDeviceAfterTokens] the device is lost after so many tokens
 * @property {number} [crashAfterTokens] the worker dies after so many tokens
 */

const WEIGHTS_BYTES = 253_000_000;
const NUM_PROGRESS_EVENTS = 20;
const SCORE_VOCAB_SIZE = 8;

/** A word with the space before it; what is a token here. */
const TOKEN_PATTERN = /\s*\S+|\s+$/g;

/**
 * The worker's side of messages.js, wherever it runs.
 *
 * @param {(message: WorkerMessage) => void} post
 * @param {FakeOptions} [options]
 * @param {() => void} [crash] what `crashAfterTokens` does
 * @returns {(message: ClientMessage) => void} takes the client's messages
 */
export function createFakeBackend(post, options = {}, crash = () => {}) {
  /** @type {Set<number>} */
  const aborted = new Set();
  /** One request at a time, as in the worker. @type {Promise<void>} */
  let queue = Promise.resolve();
  /** @type {Record<"boot" | "load" | "unload" | "generate" | "score" | "tokenize", (message: any) => Promise<unknown>>} */
  const handlers = {
    boot: (message) => boot(message.id),
    load: (message) => load(message.id, message.model.name),
    unload: async () => null,
    generate: (message) => generate(message.id, message.request),
    score: (message) => score(message.id, message.ids),
    tokenize: async (message) => splitTokens(message.text).map(toId),
  };

  /** @param {number} id */
  async function boot(id) {
    for (const phase of /** @type {Phase[]} */ (["loading_runtime", "loading_package"])) {
      post({ type: "phase", id, phase });
      await sleep(options.bootMs ?? 0);
    }
    throwIfGiven(options.bootError);
    return null;
  }

  /**
   * @param {number} id
   * @param {string} name
   * @returns {Promise<ModelInfo>}
   */
  async function load(id, name) {
    const total_bytes = options.weightsBytes ?? WEIGHTS_BYTES;
    post({ type: "phase", id, phase: "loading_weights" });
    for (let step = 0; step <= NUM_PROGRESS_EVENTS; step++) {
      throwIfAborted(id);
      const loaded_bytes = Math.round((total_bytes * step) / NUM_PROGRESS_EVENTS);
      post({ type: "progress", id, phase: "loading_weights", loaded_bytes, total_bytes });
      if (step === NUM_PROGRESS_EVENTS / 2) {
        throwIfGiven(options.loadError);
      }
      await sleep((options.loadMs ?? 0) / NUM_PROGRESS_EVENTS);
    }
    for (const phase of /** @type {Phase[]} */ (["compiling_kernels", "warming_up"])) {
      post({ type: "phase", id, phase });
      await sleep(options.bootMs ?? 0);
    }
    post({ type: "phase", id, phase: "ready" });
    return {
      name,
      architecture: "gemma3_text",
      num_parameters: 268_098_176,
      context_length: 4096,
      has_chat_template: false,
      weights_bytes: total_bytes,
      allocated_bytes: total_bytes + 48_000_000,
      peak_bytes: total_bytes + 64_000_000,
      device: "Fake adapter",
      load_ms: options.loadMs ?? 0,
      dispatches_per_step: 200,
      ...options.info,
    };
  }

  /**
   * @param {number} id
   * @param {GenerateRequest} request
   */
  async function generate(id, request) {
    throwIfGiven(options.generateError);
    const started = performance.now();
    const words = splitTokens(
      typeof options.text === "function" ? options.text(request) : (options.text ?? " Hello."),
    );
    const maxTokens = request.max_tokens ?? 256;
    const prompt = request.prompt ?? request.messages?.map(({ content }) => content).join(" ") ?? "";
    const promptIds = request.prompt_ids ?? splitTokens(prompt).map(toId);
    /** @type {string[]} */
    const written = [];
    let firstMs = 0;
    for (const text of words.slice(0, maxTokens)) {
      await sleep(1000 / (options.tokensPerSecond ?? Infinity));
      if (aborted.has(id)) {
        break;
      }
      if (written.length === options.loseDeviceAfterTokens) {
        const message = "The graphics device was lost. Load the model again.";
        post({ type: "device_lost", id, error: { name: "DeviceLostError", message } });
        return new Promise(() => {}); // a lost device answers nothing more
      }
      if (written.length === options.crashAfterTokens) {
        crash();
        return new Promise(() => {});
      }
      firstMs ||= performance.now() - started;
      written.push(text);
      const seconds = (performance.now() - started - firstMs) / 1000;
      post({
        type: "delta",
        id,
        text,
        tokens: [toId(text)],
        decode_tokens_per_s: seconds > 0 ? (written.length - 1) / seconds : 0,
      });
    }
    const decodeMs = performance.now() - started - firstMs;
    /** @type {Stats} */
    const stats = {
      load_ms: options.loadMs ?? 0,
      prefill_ms: firstMs,
      prefill_tokens: promptIds.length,
      decode_ms: decodeMs,
      decode_tokens: Math.max(0, written.length - 1), // the first one is the prefill's
      cycles: written.length,
      drafted_tokens: 0,
      accepted_tokens: 0,
      accepted_per_position: [],
      run_ahead: 1,
      ttft_ms: firstMs,
      decode_tokens_per_s: decodeMs > 0 ? ((written.length - 1) * 1000) / decodeMs : 0,
      device: "Fake adapter",
    };
    const isCut = written.length < words.length;
    return {
      prompt_tokens: promptIds,
      tokens: written.map(toId),
      text: written.join(""),
      finish_reason: aborted.has(id) ? "abort" : isCut ? "length" : "stop",
      stats,
    };
  }

  /**
   * All tokens are equally likely here.
   *
   * @param {number} id
   * @param {number[]} ids
   */
  async function score(id, ids) {
    const data = new Float32Array(ids.length * SCORE_VOCAB_SIZE).buffer;
    post({ type: "logits", id, start: 0, data });
    return { rows: ids.length, vocab_size: SCORE_VOCAB_SIZE };
  }

  /** @param {number} id */
  function throwIfAborted(id) {
    throwIfGiven(aborted.has(id) ? { name: "AbortError", message: "Aborted." } : undefined);
  }

  return (message) => {
    if (message.type === "abort") {
      aborted.add(message.target);
      return;
    }
    const { id, type } = message;
    queue = queue.then(async () => {
      try {
        throwIfAborted(id);
        post({ type: "result", id, value: await handlers[type](message) });
      } catch (error) {
        post({ type: "error", id, error: /** @type {ErrorMessage} */ (error) });
      }
    });
  };
}

/** A Worker of createFakeBackend, in the page itself: pass it to `Leadout.load`. */
export class FakeWorker extends EventTarget {
  #isTerminated = false;
  #receive;
  /** Every message that the client sent, oldest first. @type {ClientMessage[]} */
  messages = [];

  /** @param {FakeOptions} [options] */
  constructor(options = {}) {
    super();
    this.#receive = createFakeBackend(
      (message) => {
        // Answers come later than the call, as they do across threads.
        queueMicrotask(() => this.#emit(new MessageEvent("message", { data: message })));
      },
      options,
      () => this.#emit(new ErrorEvent("error", { message: "the fake worker crashed" })),
    );
  }

  /** @param {ClientMessage} message */
  postMessage(message) {
    if (!this.#isTerminated) {
      this.messages.push(message);
      this.#receive(structuredClone(message));
    }
  }

  terminate() {
    this.#isTerminated = true;
  }

  /** @param {Event} event */
  #emit(event) {
    if (!this.#isTerminated) {
      this.dispatchEvent(event);
    }
  }
}

/**
 * An Engine that needs neither a GPU nor a model.
 *
 * @param {FakeOptions} [options]
 * @returns {Promise<Engine>}
 */
export function createFakeEngine(options = {}) {
  const model = { name: "fake", files: [] };
  return Leadout.load({ model, worker: new FakeWorker(options) });
}

/**
 * @param {string} text
 * @returns {string[]} which together are the text
 */
function splitTokens(text) {
  return text.match(TOKEN_PATTERN) ?? [];
}

/**
 * @param {string} token
 * @returns {number} the same id for the same text
 */
function toId(token) {
  let id = 7;
  for (const character of token) {
    id = (id * 31 + (character.codePointAt(0) ?? 0)) % 262_144;
  }
  return id;
}

/** @param {ErrorMessage} [error] */
function throwIfGiven(error) {
  if (error) {
    throw error;
  }
}

/** @param {number} ms */
function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
