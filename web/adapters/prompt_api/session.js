/**
 * A session of the Prompt API: what was said, and what is said next, one prompt after the other.
 *
 * @module adapters/prompt_api/session
 */

/** @import {Engine} from "../../client.js" */
/** @import {Usage} from "../../client/completions.js" */
/** @import {ChatMessage, ChatParams} from "../../client/parameters.js" */
/** @import {ToolCall} from "../../messages.js" */
/** @import {PromptTool, Sampling} from "./options.js" */
/** @import {Prompt} from "./prompts.js" */

import { longestAnswer } from "../engine_source.js";
import { inTurns } from "../turns.js";
import { failure, toDOMException } from "./errors.js";
import { toConstraint } from "./options.js";
import { toMessages, withSchema } from "./prompts.js";

/**
 * @typedef {object} PromptOptions
 * @property {object} [responseConstraint] JSON Schema, or a RegExp that the whole answer matches
 * @property {boolean} [omitResponseConstraintInput] do not tell the model the schema; it keeps to it in any case
 * @property {AbortSignal} [signal]
 */

/**
 * @typedef {object} SessionState
 * @property {Engine} engine
 * @property {ChatMessage[]} messages said so far
 * @property {PromptTool[]} tools
 * @property {Sampling} sampling
 * @property {number} [seed]
 * @property {boolean} thinking
 * @property {number} [usage] tokens of the messages, where that is known
 */

/** Only who has it makes sessions; pages use `LanguageModel.create`. */
export const open = Symbol("open");

/** What a chat template puts around each message: `<|turn>`, the role, a line's end, `<turn|>`, a line's end. */
const TOKENS_PER_MESSAGE = 5;

/** Answers to one prompt, each but the last one with calls of tools. */
const MAX_STEPS = 16;

export class Session extends EventTarget {
  /** @type {SessionState} */
  #state;
  #usage;
  #destroying = new AbortController();
  /** One thing at a time. @type {Promise<unknown>} */
  #queue = Promise.resolve();
  /** @type {((event: Event) => void) | null} */
  #onContextOverflow = null;

  /**
   * @param {typeof open} key
   * @param {SessionState} state
   */
  constructor(key, state) {
    super();
    if (key !== open) throw new TypeError("Illegal constructor: use LanguageModel.create().");
    this.#state = { ...state, messages: structuredClone(state.messages) };
    this.#usage = state.usage ?? 0;
  }

  /** Tokens of the context that are used. After an answer it is exact; what was appended since is measured. */
  get contextUsage() {
    return this.#usage;
  }

  /** Tokens that the context holds. */
  get contextWindow() {
    return this.#state.engine.info.context_length || Infinity;
  }

  get samplingMode() {
    return this.#state.sampling.samplingMode;
  }

  get topK() {
    return this.#state.sampling.topK;
  }

  get temperature() {
    return this.#state.sampling.temperature;
  }

  /** Called when the oldest messages had to be left out. */
  get oncontextoverflow() {
    return this.#onContextOverflow;
  }

  set oncontextoverflow(handler) {
    if (this.#onContextOverflow) this.removeEventListener("contextoverflow", this.#onContextOverflow);
    this.#onContextOverflow = typeof handler === "function" ? handler : null;
    if (this.#onContextOverflow) this.addEventListener("contextoverflow", this.#onContextOverflow);
  }

  /**
   * Measure what the session begins with. Not for pages.
   *
   * @param {AbortSignal} [signal]
   */
  async begin(signal) {
    this.#usage = await this.#measure(this.#state.messages);
    signal?.throwIfAborted();
    if (this.#usage > this.contextWindow) throw this.#overflow(this.#usage);
  }

  /**
   * @param {Prompt} input
   * @param {PromptOptions} [options]
   * @returns {Promise<string>}
   */
  async prompt(input, options = {}) {
    let text = "";
    await this.#enqueue(options.signal, (signal) => this.#answer(input, options, signal, (more) => (text += more)));
    return text;
  }

  /**
   * @param {Prompt} input
   * @param {PromptOptions} [options]
   * @returns {ReadableStream<string>} of pieces, which together are the answer
   */
  promptStreaming(input, options = {}) {
    const leaving = new AbortController();
    const { signal } = options;
    const ends = signal ? AbortSignal.any([signal, leaving.signal]) : leaving.signal;
    return new ReadableStream({
      start: async (controller) => {
        try {
          await this.#enqueue(ends, (any) => this.#answer(input, options, any, (text) => controller.enqueue(text)));
          controller.close();
        } catch (error) {
          if (!leaving.signal.aborted) controller.error(error);
        }
      },
      cancel: () => leaving.abort(new DOMException("The stream was left.", "AbortError")),
    });
  }

  /**
   * Say something that is not answered yet.
   *
   * @param {Prompt} input
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<undefined>}
   */
  async append(input, { signal } = {}) {
    await this.#enqueue(signal, async () => {
      const said = toMessages(input, this.#state.messages.length > 0);
      const usage = this.#usage + (await this.#measure(said));
      if (usage > this.contextWindow) throw this.#overflow(usage);
      this.#state.messages.push(...said);
      this.#usage = usage;
    });
    return undefined;
  }

  /**
   * @param {Prompt} input
   * @param {PromptOptions} [options]
   * @returns {Promise<number>} about how many tokens of the context it takes: its text's, and those around messages
   */
  async measureContextUsage(input, { responseConstraint, omitResponseConstraintInput = false, signal } = {}) {
    if (omitResponseConstraintInput && responseConstraint === undefined) {
      throw new TypeError("omitResponseConstraintInput is given without a responseConstraint.");
    }
    this.#throwIfEnded(signal);
    const messages = toMessages(input, false);
    const said = omitResponseConstraintInput ? messages : withSchema(messages, responseConstraint);
    const usage = await this.#measure(said);
    this.#throwIfEnded(signal);
    return usage;
  }

  /**
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<this>} another session that has heard the same
   */
  async clone({ signal } = {}) {
    this.#throwIfEnded(signal);
    const Class = /** @type {any} */ (this.constructor);
    return new Class(open, { ...this.#state, usage: this.#usage });
  }

  /**
   * End what is being answered, and answer no more. The engine stays.
   *
   * @returns {undefined}
   */
  destroy() {
    this.#destroying.abort(new DOMException("The session was destroyed.", "AbortError"));
    this.#state.messages = [];
  }

  /**
   * @param {Prompt} input
   * @param {PromptOptions} options
   * @param {AbortSignal} signal
   * @param {(text: string) => void} onText
   */
  async #answer(input, { responseConstraint, omitResponseConstraintInput = false }, signal, onText) {
    const { engine, tools, sampling, seed, thinking } = this.#state;
    if (omitResponseConstraintInput && responseConstraint === undefined) {
      throw new TypeError("omitResponseConstraintInput is given without a responseConstraint.");
    }
    const asked = toMessages(input, this.#state.messages.length > 0);
    let messages = inTurns([
      ...this.#state.messages,
      ...(omitResponseConstraintInput ? asked : withSchema(asked, responseConstraint)),
    ]);
    /** @type {Omit<ChatParams, "messages">} */
    const params = {
      temperature: sampling.temperature,
      top_k: sampling.topK,
      top_p: sampling.topP,
      seed: seed ?? crypto.getRandomValues(new Uint32Array(1))[0],
      max_tokens: longestAnswer(engine),
      context_overflow: "drop_oldest",
      ...(thinking && { enable_thinking: true }),
      ...toConstraint(responseConstraint),
      ...(tools.length > 0 && { tools: tools.map(toTool) }),
    };
    for (let step = 1; ; step++) {
      if (step > MAX_STEPS) {
        throw failure("OperationError", `The model called tools ${MAX_STEPS} times in a row, and gave no answer.`);
      }
      const { answer, usage, numDropped } = await this.#ask({ ...params, messages }, signal, onText);
      messages = [...withoutOldest(messages, numDropped), answer];
      if (numDropped > 0) this.dispatchEvent(new Event("contextoverflow"));
      if (!answer.tool_calls?.length) {
        this.#state.messages = messages;
        this.#usage = usage.total_tokens;
        return;
      }
      messages.push(...(await Promise.all(answer.tool_calls.map((call) => this.#call(call)))));
      signal.throwIfAborted();
    }
  }

  /**
   * @param {ChatParams} params
   * @param {AbortSignal} signal
   * @param {(text: string) => void} onText
   * @returns {Promise<{answer: ChatMessage, usage: Usage, numDropped: number}>}
   */
  async #ask(params, signal, onText) {
    const stream = await this.#state.engine.chat.completions.create({ ...params, stream: true }, { signal });
    let content = "";
    /** @type {ToolCall[]} */
    const calls = [];
    let last;
    for await (const chunk of stream) {
      last = chunk;
      const [{ delta }] = chunk.choices;
      for (const { index, id = "", function: more } of delta.tool_calls ?? []) {
        calls[index] ??= { id, type: "function", function: { name: more?.name ?? "", arguments: "" } };
        calls[index].function.arguments += more?.arguments ?? "";
      }
      if (delta.content) {
        content += delta.content;
        onText(delta.content);
      }
    }
    const { usage, leadout } = /** @type {NonNullable<typeof last>} */ (last);
    return {
      answer: { role: "assistant", content, ...(calls.length > 0 && { tool_calls: calls }) },
      usage: /** @type {Usage} */ (usage),
      numDropped: ("dropped_messages" in leadout && leadout.dropped_messages) || 0,
    };
  }

  /**
   * @param {ToolCall} call
   * @returns {Promise<ChatMessage>} its result, for the model
   */
  async #call({ id, function: { name, arguments: json } }) {
    const tool = this.#state.tools.find((one) => one.name === name);
    let content;
    try {
      const result = await tool?.execute(JSON.parse(json));
      content = typeof result === "string" ? result : JSON.stringify(result ?? null);
    } catch (error) {
      content = `The call failed: ${error instanceof Error ? error.message : error}`;
    }
    return { role: "tool", tool_call_id: id, name, content };
  }

  /**
   * @template T
   * @param {AbortSignal | undefined} given
   * @param {(signal: AbortSignal) => Promise<T>} run
   * @returns {Promise<T>} begun when all before it has ended
   */
  async #enqueue(given, run) {
    this.#throwIfEnded(given);
    const ends = [this.#destroying.signal, ...(given ? [given] : [])];
    const signal = AbortSignal.any(ends);
    const done = this.#queue.then(async () => {
      signal.throwIfAborted();
      return run(signal);
    });
    this.#queue = done.catch(() => {});
    try {
      return await done;
    } catch (error) {
      throw signal.aborted ? signal.reason : toDOMException(error);
    }
  }

  /** @param {AbortSignal} [signal] */
  #throwIfEnded(signal) {
    this.#destroying.signal.throwIfAborted();
    signal?.throwIfAborted();
  }

  /** @param {ChatMessage[]} messages */
  async #measure(messages) {
    const { engine } = this.#state;
    // What every prompt begins with is there once, and no message's.
    const texts = ["", ...messages.map(({ content }) => String(content))];
    const [start, ...counts] = await Promise.all(texts.map(async (text) => (await engine.tokenize(text)).length));
    return counts.reduce((total, count) => total + count - start + TOKENS_PER_MESSAGE, 0);
  }

  /** @param {number} requested */
  #overflow(requested) {
    const quota = this.contextWindow;
    const message = `That takes about ${requested} tokens; the context holds ${quota}. Say less, or begin another session.`;
    return failure("QuotaExceededError", message, { requested, quota });
  }
}

/** @param {PromptTool} tool */
function toTool({ name, description, inputSchema }) {
  const parameters = /** @type {Record<string, unknown>} */ (inputSchema);
  return { type: /** @type {const} */ ("function"), function: { name, description, parameters } };
}

/**
 * @param {ChatMessage[]} messages
 * @param {number} count
 * @returns {ChatMessage[]} without so many of the oldest that are no system prompt, as the engine leaves them out
 */
function withoutOldest(messages, count) {
  let numLeft = count;
  return messages.filter(({ role }) => role === "system" || numLeft-- <= 0);
}
