/**
 * A fake model for the tests of pages that use Leadout: an engine, and the worker behind it. They speak the real messages
 * and write a text that the test chooses.
 *
 *     const engine = await createFakeEngine({ text: " Paris.", tokensPerSecond: 50 });
 *     document.querySelector("leadout-chat").engine = engine;
 *
 * @module testing
 */

/** @import {Forecast, ClientMessage, DrafterInfo, ErrorMessage, GenerateRequest, LoadOptions} from "./messages.js" */
/** @import {ModelInfo, ModelRef, PassProfile, Phase, Resumption, Stats, TokenLogprob, ToolCall} from "./messages.js" */
/** @import {WorkerMessage} from "./messages.js" */
/** @import {Engine} from "./client.js" */

import { Leadout } from "./client.js";
import { Drafting } from "./testing_drafting.js";

/** What "estimate" fails with unless the test gives one. */
const NO_FORECAST = { name: "RequestError", message: "No forecast was given." };

/** What "profile" fails with unless the test gives one. */
const NO_PROFILE = { name: "DeviceError", message: "this device gives no timestamps" };

/** @typedef {{name: string, arguments: string}[]} FakeCalls */

/**
 * @typedef {object} FakeOptions
 * @property {string | ((request: GenerateRequest) => string)} [text] what the model writes
 * @property {string} [reasoning] what it reasons before that, if the request asks for reasoning
 * @property {FakeCalls | ((request: GenerateRequest) => FakeCalls)} [calls] which tools it calls after its text, if the
 *   request has tools
 * @property {number[]} [accepts] how many drafted tokens are accepted in each cycle; it repeats; default [2, 0, 3, 1].
 *   Nothing is drafted unless the load has a drafter
 * @property {number} [tokensPerSecond] default: as fast as possible
 * @property {number} [bootMs] how long each phase before the weights takes; default 0
 * @property {number} [loadMs] how long the weights take; default 0
 * @property {number} [weightsBytes] default 253 MB
 * @property {Partial<ModelInfo>} [info] fields of `engine.info`
 * @property {ErrorMessage} [bootError] "boot" fails with it
 * @property {ErrorMessage} [loadError] "load" fails with it, half-way through the weights
 * @property {boolean} [crashesAtLoad] the worker dies half-way through the weights; default false
 * @property {ErrorMessage | ((request: GenerateRequest) => ErrorMessage | undefined)} [generateError] each "generate"
 *   fails with it; a function can choose which ones
 * @property {Forecast} [forecast] the answer to "estimate"; default: there is none
 * @property {number} [probeMs] how long the probe takes; default 0
 * @property {PassProfile} [profile] the answer to "profile"; default: there is none
 * @property {number} [droppedMessages] how many of a chat's messages are left out of its prompt; default 0
 * @property {number} [loseDeviceAfterTokens] the device is lost after this many tokens of this worker
 * @property {number} [crashAfterTokens] the worker dies after this many tokens
 * @property {boolean} [sparesResumed] requests that continue after such a failure do not fail again; default false
 */

const WEIGHTS_BYTES = 253_000_000;
const MAX_DRAFT_TOKENS = 7;
const ACCEPTS = [2, 0, 3, 1];
const NUM_PROGRESS_EVENTS = 20;
/** How far tokens may lag behind `tokensPerSecond` and still be made up for, in milliseconds. */
const MAX_LATE_MS = 8;
const SCORE_VOCAB_SIZE = 8;

/** A word with the space before it; what is a token here. */
const TOKEN_PATTERN = /\s*\S+|\s+$/g;

/**
 * The worker's side of messages.js, in any place.
 *
 * @param {(message: WorkerMessage) => void} post
 * @param {FakeOptions} [options]
 * @param {() => void} [crash] how the worker dies
 * @returns {(message: ClientMessage) => void} takes the client's messages
 */
export function createFakeBackend(post, options = {}, crash = () => {}) {
  /** @type {Set<number>} */
  const aborted = new Set();
  /** What the last load brought. @type {DrafterInfo | null} */
  let drafter = null;
  let maxDraftTokens = MAX_DRAFT_TOKENS;
  let isLoaded = false;
  /** How many generations run at once. */
  let parallel = 1;
  /** Those that do. @type {Set<Promise<void>>} */
  const running = new Set();
  /** One request at a time, but for generations, as in the worker. @type {Promise<void>} */
  let queue = Promise.resolve();
  /** @type {Record<Exclude<ClientMessage["type"], "abort" | "ping" | "pull">, (message: any) => Promise<unknown>>} */
  const handlers = {
    boot: (message) => boot(message.id),
    load: (message) => load(message.id, message.model.name, message.drafter, message.options),
    unload: async () => null,
    generate: (message) => generate(message.id, message.request, message.resumption),
    score: (message) => score(message.id, message.ids),
    tokenize: async (message) => splitTokens(message.text).map(toId),
    assume: async () => null,
    profile: async () => options.profile ?? throwIfGiven(NO_PROFILE),
    estimate: (message) => estimate(message.id, message.probe),
  };

  /**
   * @param {number} id
   * @param {boolean | "auto"} isProbed
   * @returns {Promise<Forecast>}
   */
  async function estimate(id, isProbed) {
    const { forecast } = options;
    if (!forecast) {
      throw NO_FORECAST;
    }
    if (isProbed && forecast.fits) {
      post({ type: "forecast", id, forecast: { ...forecast, probe: null } });
      await sleep(options.probeMs ?? 0);
    }
    return forecast;
  }

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
   * @param {ModelRef | null} drafterRef
   * @param {LoadOptions} loadOptions
   * @returns {Promise<ModelInfo>}
   */
  async function load(id, name, drafterRef, loadOptions) {
    const total_bytes = options.weightsBytes ?? WEIGHTS_BYTES;
    post({ type: "phase", id, phase: "loading_weights" });
    for (let step = 0; step <= NUM_PROGRESS_EVENTS; step++) {
      throwIfAborted(id);
      const loaded_bytes = Math.round((total_bytes * step) / NUM_PROGRESS_EVENTS);
      post({ type: "progress", id, phase: "loading_weights", loaded_bytes, total_bytes });
      if (step === NUM_PROGRESS_EVENTS / 2) {
        throwIfGiven(options.loadError);
        if (options.crashesAtLoad) {
          crash();
          return new Promise(() => {});
        }
      }
      await sleep((options.loadMs ?? 0) / NUM_PROGRESS_EVENTS);
    }
    for (const phase of /** @type {Phase[]} */ (["compiling_kernels", "warming_up"])) {
      post({ type: "phase", id, phase });
      await sleep(options.bootMs ?? 0);
    }
    post({ type: "phase", id, phase: "ready" });
    isLoaded = true;
    drafter = toDrafterInfo(drafterRef, loadOptions);
    maxDraftTokens = loadOptions.max_draft_tokens ?? MAX_DRAFT_TOKENS;
    parallel = loadOptions.parallel ?? 1;
    return {
      name,
      architecture: "gemma3_text",
      num_parameters: 268_098_176,
      context_length: 4096,
      hidden_size: 640,
      has_chat_template: false,
      weights_bytes: total_bytes,
      allocated_bytes: total_bytes + 48_000_000,
      peak_bytes: total_bytes + 64_000_000,
      device: "Fake adapter",
      load_ms: options.loadMs ?? 0,
      dispatches_per_step: 200,
      drafter,
      max_draft_tokens: maxDraftTokens,
      self_test: drafter ? "identical" : "not run",
      parallel,
      placement: "none",
      precision: "accurate",
      cycle_ms: { 0: null },
      ...options.info,
    };
  }

  /**
   * @param {number} id
   * @param {GenerateRequest} request
   * @param {Resumption} [resumption]
   */
  async function generate(id, request, resumption) {
    const { generateError } = options;
    throwIfGiven(typeof generateError === "function" ? generateError(request) : generateError);
    const started = performance.now();
    const tokens = [
      ...splitTokens(request.enable_thinking ? (options.reasoning ?? "") : "").map((text) => ({
        text: "",
        reasoning: text,
      })),
      ...splitTokens(
        typeof options.text === "function" ? options.text(request) : (options.text ?? " Hello."),
      ).map((text) => ({ text, reasoning: "" })),
    ];
    const maxTokens = request.max_tokens ?? 256;
    const prompt = request.prompt ?? request.messages?.map(({ content }) => content).join(" ") ?? "";
    const promptIds = request.prompt_ids ?? splitTokens(prompt).map(toId);
    const dropped_messages = request.messages ? (options.droppedMessages ?? 0) : 0;
    post({ type: "prompt", id, tokens: promptIds, dropped_messages });
    const drafting = new Drafting(request.drafter === "none" ? null : drafter, request, {
      accepts: options.accepts ?? ACCEPTS,
      maxDraftTokens,
    });
    const numResumed = resumption?.cycles.flatMap((cycle) => cycle.tokens).length ?? 0;
    const written = tokens.slice(0, numResumed);
    for (let i = 1; i < numResumed; i++) {
      drafting.take();
    }
    const tokenMs = 1000 / (options.tokensPerSecond ?? Infinity);
    const isSpared = options.sparesResumed && numResumed > 0;
    let firstMs = 0;
    let dueMs = performance.now();
    for (const token of tokens.slice(numResumed, maxTokens)) {
      // Timers are no finer than 4 ms, so faster tokens come several at a time. What a busy page lost
      // is not made up for: all the tokens of one request would come before its neighbour's first.
      dueMs += tokenMs;
      const now = performance.now();
      if (now - dueMs > MAX_LATE_MS) dueMs = now;
      const earlyMs = dueMs - now;
      if (earlyMs > 0 || tokenMs === 0) await sleep(earlyMs);
      if (aborted.has(id)) {
        break;
      }
      const numOwn = isSpared ? -1 : written.length - numResumed;
      if (numOwn === options.loseDeviceAfterTokens) {
        const message = "The graphics device was lost. Load the model again.";
        post({ type: "device_lost", id, error: { name: "DeviceLostError", message } });
        return new Promise(() => {}); // a lost device answers nothing more
      }
      if (numOwn === options.crashAfterTokens) {
        crash();
        return new Promise(() => {});
      }
      const isFirst = written.length === 0;
      firstMs ||= performance.now() - started;
      written.push(token);
      const seconds = (performance.now() - started - firstMs) / 1000;
      const is_draft = isFirst ? false : drafting.take();
      post({
        type: "delta",
        id,
        ...token,
        tokens: [toId(token.text + token.reasoning)],
        is_draft,
        num_drafted: isFirst || is_draft ? 0 : drafting.draftTokens,
        decode_tokens_per_s: seconds > 0 ? (written.length - 1) / seconds : 0,
        ...(request.logprobs && {
          logprobs: [toLogprob(token, request.top_logprobs ?? 0)],
          num_settled: written.length,
        }),
      });
    }
    const isCut = written.length < tokens.length;
    const { calls = [] } = options;
    const wanted = typeof calls === "function" ? calls(request) : calls;
    const tool_calls = request.tools && !isCut ? tellCalls(id, wanted) : undefined;
    const decodeMs = performance.now() - started - firstMs;
    const numDecoded = Math.max(0, written.length - 1); // the first one is the prefill's
    /** @type {Stats} */
    const stats = {
      load_ms: options.loadMs ?? 0,
      prefill_ms: firstMs,
      prefill_tokens: promptIds.length,
      dropped_messages,
      resumed_tokens: numResumed,
      decode_ms: decodeMs,
      decode_tokens: numDecoded,
      ...drafting.toStats(numDecoded),
      self_test: drafter ? "identical" : "not run",
      reasoning_tokens: written.filter(({ reasoning }) => reasoning).length,
      run_ahead: 1,
      ttft_ms: firstMs,
      decode_tokens_per_s: decodeMs > 0 ? (numDecoded * 1000) / decodeMs : 0,
      device: "Fake adapter",
      cached_tokens: 0,
      placement: "none",
      paging: null,
      cycle_ms: { 0: tokenMs },
      cycle_run_ms: numDecoded ? { 0: tokenMs } : {},
      cycle_runs: numDecoded ? { 0: numDecoded } : {},
      constraint: null,
      gpu_idle_share: numDecoded ? 0 : null,
    };
    const end = tool_calls?.length ? "tool_calls" : "stop";
    return {
      prompt_tokens: promptIds,
      tokens: written.map(({ text, reasoning }) => toId(text + reasoning)),
      text: written.map(({ text }) => text).join(""),
      reasoning: written.map(({ reasoning }) => reasoning).join(""),
      finish_reason: aborted.has(id) ? "abort" : isCut ? "length" : end,
      stats,
      ...(tool_calls && { tool_calls }),
    };
  }

  /**
   * @param {number} id
   * @param {FakeCalls} calls
   * @returns {ToolCall[]} as told
   */
  function tellCalls(id, calls) {
    const rest = { text: "", reasoning: "", tokens: [], is_draft: false, num_drafted: 0, decode_tokens_per_s: 0 };
    return calls.map(({ name, arguments: json }, index) => {
      const call = { id: `call_${index}`, type: /** @type {const} */ ("function") };
      const first = { index, ...call, function: { name, arguments: "" } };
      const more = splitTokens(json).map((piece) => ({ index, function: { arguments: piece } }));
      for (const delta of [first, ...more]) {
        post({ type: "delta", id, ...rest, tool_calls: [delta] });
      }
      return { ...call, function: { name, arguments: json } };
    });
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
    if (message.type === "ping") {
      post({ type: "pong", id: message.id });
      return;
    }
    const { id, type } = message;
    if (type === "pull") {
      return; // it goes to another worker
    }
    const answer = async () => {
      try {
        throwIfAborted(id);
        post({ type: "result", id, value: await handlers[type](message) });
      } catch (error) {
        post({ type: "error", id, error: /** @type {ErrorMessage} */ (error) });
      }
    };
    if (type === "tokenize" && isLoaded) {
      answer(); // waits for nobody
    } else if (type === "generate") {
      queue = queue.then(async () => {
        while (running.size >= parallel) {
          await Promise.race(running);
        }
        const generating = answer().finally(() => running.delete(generating));
        running.add(generating);
      });
    } else {
      queue = queue.then(async () => {
        await Promise.all(running);
        await answer();
      });
    }
  };
}

/**
 * Every token is as likely as the words "yes" and "no", which are the likeliest.
 *
 * @param {{text: string, reasoning: string}} token
 * @param {number} numTop
 * @returns {TokenLogprob}
 */
function toLogprob({ text, reasoning }, numTop) {
  const entry = (/** @type {string} */ token) => ({
    id: toId(token),
    token,
    logprob: -1.5,
    bytes: [...new TextEncoder().encode(token)],
  });
  return {
    ...entry(text + reasoning),
    top_logprobs: ["yes", "no"].slice(0, numTop).map(entry),
    ...(reasoning && { is_reasoning: /** @type {const} */ (true) }),
  };
}

/**
 * @param {ModelRef | null} ref
 * @param {LoadOptions} options
 * @returns {DrafterInfo | null} what a load brings
 */
function toDrafterInfo(ref, { drafter = "auto" }) {
  if (drafter === "ngram") {
    return { kind: "ngram", name: "n-gram", num_parameters: 0, weights_bytes: 0 };
  }
  if (!ref || drafter === "none") {
    return null;
  }
  return { kind: "mtp", name: ref.name, num_parameters: 77_730_000, weights_bytes: 155_500_000 };
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
 * @param {Partial<import("./client.js").LoadParams>} [params] of the load
 * @returns {Promise<Engine>}
 */
export function createFakeEngine(options = {}, params = {}) {
  const model = { name: "fake", files: [] };
  return Leadout.load({ model, worker: new FakeWorker(options), ...params });
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
