/**
 * What `useChat` sends its messages to, in the page: no server takes part.
 *
 *     const transport = new LeadoutChatTransport(leadout("gemma-4-e2b"), { system: "Be brief.", tools });
 *     const { messages, sendMessage, stop } = useChat({ transport });
 *
 * A tool with `execute` is called here, and the model goes on with its result; one without is left to `onToolCall` and
 * `addToolOutput`. While the model loads, parts `data-modelDownloadProgress` say how far that is; they are transient:
 * `onData` gets them, and no message keeps them. For approvals, output schemas and whatever else the SDK's agents have,
 * give a ToolLoopAgent with this model to the SDK's own DirectChatTransport.
 *
 * @module adapters/ai_sdk/chat_transport
 */

/** @import {ChatTransport, UIMessage, UIMessageChunk} from "ai" */
/** @import {LanguageModelV4CallOptions, LanguageModelV4Message, LanguageModelV4StreamPart} from "@ai-sdk/provider" */
/** @import {LeadoutLanguageModel} from "../ai_sdk.js" */

import { isAbort } from "../../client/errors.js";
import { toPrompt } from "./ui_messages.js";
import { toSchema } from "./schemas.js";

/**
 * As the SDK's `tool` gives it, or any object alike.
 * @typedef {object} ChatTool
 * @property {string} [description]
 * @property {unknown} inputSchema JSON Schema; the SDK's `jsonSchema(…)` or `zodSchema(…)`; or a schema of Zod 4.2,
 *   Valibot, ArkType or another library that says itself in JSON Schema
 * @property {(input: any, options: {toolCallId: string, abortSignal?: AbortSignal}) => unknown} [execute]
 */

/**
 * @typedef {object} TransportOptions
 * @property {string} [system]
 * @property {Record<string, ChatTool>} [tools]
 * @property {LanguageModelV4CallOptions["toolChoice"]} [toolChoice] of the first answer to each message
 * @property {number} [maxSteps] answers to one message, each but the last one with calls of tools; default 8
 * @property {Partial<LanguageModelV4CallOptions>} [settings] temperature, maxOutputTokens, reasoning, providerOptions, …;
 *   `body` of `sendMessage` has more of them, and comes before these
 * @property {boolean} [sendReasoning] whether messages have what was thought; default true
 * @property {(finish: Extract<LanguageModelV4StreamPart, {type: "finish"}>) => unknown} [messageMetadata] what the message's
 *   metadata is when an answer has ended; `finish` has usage, and all figures in `providerMetadata.leadout`
 * @property {(error: unknown) => string} [onError] what the page is told of a failure; default: its message
 */

const MAX_STEPS = 8;

/** @implements {ChatTransport<UIMessage>} */
export class LeadoutChatTransport {
  #model;
  #options;

  /**
   * @param {LeadoutLanguageModel} model
   * @param {TransportOptions} [options]
   */
  constructor(model, options = {}) {
    this.#model = model;
    this.#options = options;
  }

  /**
   * @param {Parameters<ChatTransport<UIMessage>["sendMessages"]>[0]} sent
   * @returns {Promise<ReadableStream<UIMessageChunk>>}
   */
  async sendMessages({ messages, abortSignal, body = {} }) {
    const prompt = toPrompt(messages, this.#options.system);
    const leaving = new AbortController();
    const signal = abortSignal ? AbortSignal.any([abortSignal, leaving.signal]) : leaving.signal;
    const settings = { ...this.#options.settings, ...body };
    return new ReadableStream({
      start: async (controller) => {
        const send = (/** @type {UIMessageChunk} */ chunk) => {
          if (!leaving.signal.aborted) controller.enqueue(chunk);
        };
        send({ type: "start" });
        try {
          await this.#load(send, signal);
          await this.#answer(prompt, settings, send, signal);
        } catch (error) {
          const { onError = (/** @type {any} */ failure) => String(failure?.message ?? failure) } = this.#options;
          send(isAbort(error) || signal.aborted ? { type: "abort" } : { type: "error", errorText: onError(error) });
        }
        if (!leaving.signal.aborted) controller.close();
      },
      cancel: () => leaving.abort(new DOMException("The stream was left.", "AbortError")),
    });
  }

  /** An answer is gone with its page: there is nothing to come back to. @returns {Promise<null>} */
  async reconnectToStream() {
    return null;
  }

  /**
   * @param {(chunk: UIMessageChunk) => void} send
   * @param {AbortSignal} signal
   */
  async #load(send, signal) {
    if ((await this.#model.availability()) === "available" && this.#model.engine) return;
    const tell = (/** @type {number} */ progress) => {
      const status = progress < 1 ? "downloading" : "complete";
      const percent = Math.round(progress * 100);
      const message = progress < 1 ? `Loading the model: ${percent} %` : "The model is ready.";
      const data = { status, progress: percent, message };
      send({ type: "data-modelDownloadProgress", id: "model", data, transient: true });
    };
    await this.#model.createSessionWithProgress(tell, { signal });
  }

  /**
   * @param {LanguageModelV4Message[]} prompt
   * @param {Partial<LanguageModelV4CallOptions>} settings
   * @param {(chunk: UIMessageChunk) => void} send
   * @param {AbortSignal} signal
   */
  async #answer(prompt, settings, send, signal) {
    const { tools = {}, toolChoice, maxSteps = MAX_STEPS, messageMetadata } = this.#options;
    const functions = Object.entries(tools).map(([name, { description, inputSchema }]) => ({
      type: /** @type {const} */ ("function"),
      name,
      description,
      inputSchema: toSchema(inputSchema, name),
    }));
    /** @type {LanguageModelV4Message[]} */
    const said = [...prompt];
    for (let step = 1; ; step++) {
      const { stream } = await this.#model.doStream({
        ...settings,
        prompt: said,
        abortSignal: signal,
        ...(functions.length > 0 && { tools: functions, toolChoice: step === 1 ? toolChoice : { type: "auto" } }),
      });
      send({ type: "start-step" });
      const { parts, calls, finish } = await this.#follow(stream, step, send);
      const results = await Promise.all(
        calls.map(async (call) => ({ call, output: await this.#execute(call, send, signal) })),
      );
      send({ type: "finish-step" });
      const isOver = calls.length === 0 || results.some(({ output }) => output === null) || step === maxSteps;
      if (isOver) {
        const metadata = messageMetadata?.(finish);
        const finishReason = finish.finishReason.unified === "interrupted" ? "other" : finish.finishReason.unified;
        send({ type: "finish", finishReason, ...(metadata !== undefined && { messageMetadata: metadata }) });
        return;
      }
      said.push({ role: "assistant", content: parts });
      said.push({
        role: "tool",
        content: results.map(({ call, output }) => ({
          type: "tool-result",
          toolCallId: call.toolCallId,
          toolName: call.toolName,
          output: /** @type {NonNullable<typeof output>} */ (output),
        })),
      });
    }
  }

  /**
   * Pass an answer on, and keep what the next prompt has of it.
   *
   * @param {ReadableStream<LanguageModelV4StreamPart>} stream
   * @param {number} step
   * @param {(chunk: UIMessageChunk) => void} send
   */
  async #follow(stream, step, send) {
    const { sendReasoning = true } = this.#options;
    /** @type {Extract<LanguageModelV4Message, {role: "assistant"}>["content"]} */
    const parts = [];
    /** @type {Extract<LanguageModelV4StreamPart, {type: "tool-call"}>[]} */
    const calls = [];
    /** @type {Extract<LanguageModelV4StreamPart, {type: "finish"}> | null} */
    let finish = null;
    // Blocks are counted anew in each answer, and a message has several.
    const idOf = (/** @type {string} */ id) => `${step}-${id}`;
    const reader = stream.getReader();
    for (;;) {
      const { done, value: part } = await reader.read();
      if (done) break;
      switch (part.type) {
        case "text-delta":
          parts.push({ type: "text", text: part.delta });
          send({ ...part, id: idOf(part.id) });
          break;
        case "text-start":
        case "text-end":
          send({ type: part.type, id: idOf(part.id) });
          break;
        case "reasoning-start":
        case "reasoning-end":
          if (sendReasoning) send({ type: part.type, id: idOf(part.id) });
          break;
        case "reasoning-delta":
          if (sendReasoning) send({ ...part, id: idOf(part.id) });
          break;
        case "tool-input-start":
          send({ type: "tool-input-start", toolCallId: part.id, toolName: part.toolName });
          break;
        case "tool-input-delta":
          send({ type: "tool-input-delta", toolCallId: part.id, inputTextDelta: part.delta });
          break;
        case "tool-call": {
          const { toolCallId, toolName, input } = part;
          const given = JSON.parse(input);
          calls.push(part);
          parts.push({ type: "tool-call", toolCallId, toolName, input: given });
          send({ type: "tool-input-available", toolCallId, toolName, input: given });
          break;
        }
        case "error":
          throw part.error;
        case "finish":
          finish = part;
          break;
      }
    }
    return { parts, calls, finish: /** @type {NonNullable<typeof finish>} */ (finish) };
  }

  /**
   * @param {Extract<LanguageModelV4StreamPart, {type: "tool-call"}>} call
   * @param {(chunk: UIMessageChunk) => void} send
   * @param {AbortSignal} signal
   * @returns {Promise<import("@ai-sdk/provider").LanguageModelV4ToolResultOutput | null>} null: the page calls it
   */
  async #execute({ toolCallId, toolName, input }, send, signal) {
    const execute = this.#options.tools?.[toolName]?.execute;
    if (!execute) return null;
    try {
      const output = await execute(JSON.parse(input), { toolCallId, abortSignal: signal });
      send({ type: "tool-output-available", toolCallId, output });
      return typeof output === "string"
        ? { type: "text", value: output }
        : { type: "json", value: JSON.parse(JSON.stringify(output ?? null)) };
    } catch (error) {
      signal.throwIfAborted();
      const errorText = error instanceof Error ? error.message : String(error);
      send({ type: "tool-output-error", toolCallId, errorText });
      return { type: "error-text", value: errorText };
    }
  }
}
