/**
 * Leadout as a chat model of LangChain.js: for chains, agents and tools, in the page.
 *
 *     import { ChatLeadout } from "leadout/langchain";
 *     const model = new ChatLeadout({ model: "gemma-4-e2b" });
 *     const { content } = await model.invoke("Hello");
 *
 * `@langchain/core` is a peer dependency; install it yourself.
 *
 * @module adapters/langchain
 */

/** @import {CallbackManagerForLLMRun} from "@langchain/core/callbacks/manager" */
/** @import {BaseLanguageModelInput} from "@langchain/core/language_models/base" */
/** @import {BaseChatModelCallOptions, BaseChatModelParams} from "@langchain/core/language_models/chat_models" */
/** @import {BindToolsInput} from "@langchain/core/language_models/chat_models" */
/** @import {BaseMessage} from "@langchain/core/messages" */
/** @import {ChatResult} from "@langchain/core/outputs" */
/** @import {Runnable} from "@langchain/core/runnables" */
/** @import {Engine} from "../client.js" */
/** @import {ModelChoice} from "../client/models.js" */
/** @import {ChatParams} from "../client/parameters.js" */
/** @import {ToolChoice} from "../messages.js" */
/** @import {Availability, OnProgress, SourceParams} from "./engine_source.js" */

import { BaseChatModel } from "@langchain/core/language_models/chat_models";
import {
  assembleStructuredOutputPipeline,
  createContentParser,
  createFunctionCallingParser,
} from "@langchain/core/language_models/structured_output";
import { AIMessage, AIMessageChunk } from "@langchain/core/messages";
import { ChatGenerationChunk } from "@langchain/core/outputs";
import { convertToOpenAITool } from "@langchain/core/utils/function_calling";
import { toJsonSchema } from "@langchain/core/utils/json_schema";

import { isChatParam } from "../client/parameters.js";
import { EngineSource, longestAnswer } from "./engine_source.js";
import { toMessages, toToolCalls, toUsage } from "./langchain/messages.js";
import { requestError } from "./refusals.js";

/**
 * A chat's parameters for all requests, with OpenAI's names.
 * @typedef {Omit<ChatParams, "messages" | "model" | "stream" | "stream_options" | "signal" | "n">} RequestParams
 */

/**
 * @typedef {BaseChatModelParams & RequestParams & {model?: ModelChoice, engine?: Engine, load?: SourceParams}}
 *   ChatLeadoutFields
 *   Either `engine`, a loaded one; or `model`, as for `Leadout.load`, to be loaded with the first request. `load` has the
 *   other parameters of that load
 */

/**
 * @typedef {BaseChatModelCallOptions & Omit<RequestParams, "stop" | "tools" | "tool_choice"> & {tools?: BindToolsInput[]}}
 *   ChatLeadoutCallOptions
 */

/** Fields that are LangChain's, or for the load. */
const OTHER_FIELDS = new Set([
  ..."model engine load".split(" "),
  ..."cache callbacks callbackManager concurrency disableStreaming maxConcurrency maxRetries metadata".split(" "),
  ..."onFailedAttempt outputVersion tags verbose name".split(" "),
]);

/** Call options that are told otherwise, or mean something else in LangChain; what Leadout has no name for is its own. */
const OTHER_OPTIONS = new Set(["signal", "stop", "tools", "tool_choice", "metadata", "store", "stream", "messages"]);

/** @extends {BaseChatModel<ChatLeadoutCallOptions, AIMessageChunk>} */
export class ChatLeadout extends BaseChatModel {
  #source;
  #params;

  /** @param {ChatLeadoutFields} fields */
  constructor(fields) {
    super(fields);
    const model = fields.engine ?? fields.model;
    if (model === undefined) {
      throw requestError("ChatLeadout wants an engine that is loaded, or a model to load.", "model");
    }
    this.#source = new EngineSource(model, fields.load);
    this.#params = without(fields, OTHER_FIELDS);
  }

  /** @override */
  static lc_name() {
    return "ChatLeadout";
  }

  _llmType() {
    return "leadout";
  }

  /** The engine, once it has loaded. */
  get engine() {
    return this.#source.engine;
  }

  /** @returns {Promise<Availability>} whether a request would fetch the model first */
  availability() {
    return this.#source.availability();
  }

  /**
   * Load the model now.
   *
   * @param {OnProgress} [onProgress] told 0 to 1
   * @param {{signal?: AbortSignal | null}} [options]
   * @returns {Promise<this>}
   */
  async load(onProgress, { signal } = {}) {
    await this.#source.load({ signal, onProgress });
    return this;
  }

  /** End the engine, unless it was given. */
  dispose() {
    this.#source.dispose();
  }

  /**
   * @override
   * @param {ChatLeadoutCallOptions} [options]
   * @returns {Partial<ChatParams>} what is asked, but for the messages
   */
  invocationParams(options = {}) {
    const { stop, tools, tool_choice } = options;
    return {
      ...this.#params,
      ...Object.fromEntries(Object.entries(without(options, OTHER_OPTIONS)).filter(([name]) => isChatParam(name))),
      ...(stop?.length && { stop }),
      ...(tools?.length && { tools: /** @type {any} */ (tools.map((tool) => convertToOpenAITool(/** @type {any} */ (tool)))) }),
      ...(tools?.length && tool_choice !== undefined && { tool_choice: toToolChoice(tool_choice) }),
    };
  }

  /**
   * @override
   * @param {this["ParsedCallOptions"]} options
   */
  getLsParams(options) {
    const { temperature, max_tokens, stop } = this.invocationParams(options);
    return {
      ls_provider: "leadout",
      ls_model_name: this.#source.name,
      ls_model_type: /** @type {const} */ ("chat"),
      ls_temperature: temperature ?? undefined,
      ls_max_tokens: max_tokens ?? undefined,
      ls_stop: typeof stop === "string" ? [stop] : (stop ?? undefined),
    };
  }

  /**
   * @override
   * @param {BindToolsInput[]} tools
   * @param {Partial<ChatLeadoutCallOptions>} [options]
   * @returns {Runnable<BaseLanguageModelInput, AIMessageChunk, ChatLeadoutCallOptions>}
   */
  bindTools(tools, options = {}) {
    return this.withConfig(/** @type {any} */ ({ tools, ...options }));
  }

  /**
   * Without `method` the answer keeps to the schema, token by token ("jsonSchema"). "functionCalling" has the model call
   * a function of that schema, "jsonMode" asks for any JSON.
   *
   * @override
   * @param {any} schema of Zod or another library, or JSON Schema
   * @param {import("@langchain/core/language_models/base").StructuredOutputMethodOptions<boolean>} [config]
   * @returns {any}
   */
  withStructuredOutput(schema, config = {}) {
    const { method = "jsonSchema", name = "response", includeRaw } = config;
    const as = /** @param {Runnable<any, any>} model @param {any} parser */ (model, parser) =>
      assembleStructuredOutputPipeline(model, parser, includeRaw, "StructuredOutput");
    if (method === "jsonSchema") {
      /** @type {any} */
      const json_schema = { name, schema: toJsonSchema(schema) };
      const response_format = { type: /** @type {const} */ ("json_schema"), json_schema };
      return as(this.withConfig({ response_format }), createContentParser(schema));
    }
    if (method === "jsonMode") {
      return as(this.withConfig({ response_format: { type: "json_object" } }), createContentParser(schema));
    }
    if (method === "functionCalling") {
      const tool = { type: "function", function: { name, parameters: toJsonSchema(schema) } };
      return as(this.bindTools([tool], { tool_choice: name }), createFunctionCallingParser(schema, name));
    }
    throw requestError(`Leadout has no method "${method}" of structured output.`, "method");
  }

  /**
   * @override
   * @param {BaseMessage[]} messages
   * @param {this["ParsedCallOptions"]} options
   * @param {CallbackManagerForLLMRun} [runManager]
   * @returns {Promise<ChatResult>}
   */
  async _generate(messages, options, runManager) {
    const { request, engine, signal } = await this.#prepare(messages, options);
    const answer = await engine.chat.completions.create({ ...request, stream: false }, { signal });
    const [{ message, finish_reason }] = answer.choices;
    const text = message.content ?? "";
    await runManager?.handleLLMNewToken(text);
    const { id, model, usage, leadout } = answer;
    const generated = new AIMessage({
      id,
      content: text,
      ...toToolCalls(message.tool_calls ?? []),
      usage_metadata: toUsage(usage),
      additional_kwargs: message.reasoning_content ? { reasoning_content: message.reasoning_content } : {},
      response_metadata: { model_name: model, model_provider: "leadout", finish_reason, leadout },
    });
    const tokenUsage = {
      promptTokens: usage.prompt_tokens,
      completionTokens: usage.completion_tokens,
      totalTokens: usage.total_tokens,
    };
    return {
      generations: [{ text, message: generated, generationInfo: { finish_reason } }],
      llmOutput: { tokenUsage },
    };
  }

  /**
   * @override
   * @param {BaseMessage[]} messages
   * @param {this["ParsedCallOptions"]} options
   * @param {CallbackManagerForLLMRun} [runManager]
   * @returns {AsyncGenerator<ChatGenerationChunk>}
   */
  async *_streamResponseChunks(messages, options, runManager) {
    const { request, engine, signal } = await this.#prepare(messages, options);
    const chunks = await engine.chat.completions.create({ ...request, stream: true }, { signal });
    for await (const { id, model, choices, usage, leadout } of chunks) {
      const { delta = {}, finish_reason = null } = choices[0] ?? {};
      const text = delta.content ?? "";
      const message = new AIMessageChunk({
        id,
        content: text,
        tool_call_chunks: (delta.tool_calls ?? []).map((call) => ({
          index: call.index,
          id: call.id,
          name: call.function?.name,
          args: call.function?.arguments,
          type: "tool_call_chunk",
        })),
        additional_kwargs: delta.reasoning_content ? { reasoning_content: delta.reasoning_content } : {},
        ...(usage && { usage_metadata: toUsage(usage) }),
        response_metadata: finish_reason
          ? { model_name: model, model_provider: "leadout", finish_reason, leadout }
          : {},
      });
      const generationInfo = finish_reason ? { finish_reason } : {};
      const chunk = new ChatGenerationChunk({ message, text, generationInfo });
      yield chunk;
      await runManager?.handleLLMNewToken(text, undefined, undefined, undefined, undefined, { chunk });
    }
  }

  /**
   * @param {BaseMessage[]} messages
   * @param {this["ParsedCallOptions"]} options
   */
  async #prepare(messages, options) {
    const { signal } = options;
    const params = this.invocationParams(options);
    const said = toMessages(messages);
    const engine = await this.#source.load({ signal });
    /** @type {ChatParams} */
    const request = { max_tokens: longestAnswer(engine), ...params, messages: said };
    return { request, engine, signal };
  }
}

/**
 * @param {Record<string, any>} given
 * @param {Set<string>} names
 * @returns {Record<string, any>}
 */
function without(given, names) {
  return Object.fromEntries(Object.entries(given).filter(([name, value]) => !names.has(name) && value !== undefined));
}

/**
 * @param {NonNullable<BaseChatModelCallOptions["tool_choice"]>} choice
 * @returns {ToolChoice}
 */
function toToolChoice(choice) {
  if (typeof choice !== "string") return /** @type {ToolChoice} */ (choice);
  if (choice === "any") return "required";
  if (choice === "auto" || choice === "none" || choice === "required") return choice;
  return { type: "function", function: { name: choice } };
}
