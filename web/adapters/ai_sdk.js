/**
 * Leadout as a language model of the AI SDK: for `generateText`, `streamText`, agents and `useChat`, in the page.
 *
 *     import { streamText } from "ai";
 *     import { leadout } from "leadout/ai-sdk";
 *     const { textStream } = streamText({ model: leadout("gemma-4-e2b"), prompt: "Hello" });
 *
 * @module adapters/ai_sdk
 */

/** @import {LanguageModelV4, LanguageModelV4CallOptions, LanguageModelV4GenerateResult} from "@ai-sdk/provider" */
/** @import {LanguageModelV4StreamPart, LanguageModelV4StreamResult, ProviderV4} from "@ai-sdk/provider" */
/** @import {Engine} from "../client.js" */
/** @import {ModelChoice} from "../client/models.js" */
/** @import {Availability, OnProgress, SourceParams} from "./engine_source.js" */

import { EngineSource, longestAnswer } from "./engine_source.js";
import { AnswerParts, toContent, toFinishReason, toMetadata, toUsage } from "./ai_sdk/answer.js";
import { toCall } from "./ai_sdk/call.js";
import { LeadoutChatTransport } from "./ai_sdk/chat_transport.js";
import { requestError } from "./refusals.js";

export { LeadoutChatTransport };

/** @implements {LanguageModelV4} */
export class LeadoutLanguageModel {
  /** @type {"v4"} */
  specificationVersion = "v4";
  provider = "leadout";
  /** Leadout reads no files, so it reads none from a URL. @type {Record<string, RegExp[]>} */
  supportedUrls = {};
  #source;

  /**
   * @param {Engine | ModelChoice} model a loaded engine; or what `Leadout.load` takes, to be loaded with the first request
   * @param {SourceParams} [params] of the load
   */
  constructor(model, params = {}) {
    this.#source = new EngineSource(model, params);
  }

  get modelId() {
    return this.#source.name;
  }

  /** The engine, once it has loaded. */
  get engine() {
    return this.#source.engine;
  }

  /** @returns {Promise<Availability>} whether a request would first have to download the model */
  availability() {
    return this.#source.availability();
  }

  /**
   * Load the model now, and report progress.
   *
   * @param {OnProgress} [onProgress] called with 0 to 1
   * @param {{signal?: AbortSignal | null}} [options]
   * @returns {Promise<this>}
   */
  async createSessionWithProgress(onProgress, { signal } = {}) {
    await this.#source.load({ signal, onProgress });
    return this;
  }

  /** End the engine, unless you gave it. */
  dispose() {
    this.#source.dispose();
  }

  /**
   * @param {LanguageModelV4CallOptions} options
   * @returns {Promise<LanguageModelV4GenerateResult>}
   */
  async doGenerate(options) {
    const { params, warnings } = toCall(options);
    const signal = options.abortSignal;
    const engine = await this.#source.load({ signal });
    const request = { max_tokens: longestAnswer(engine), ...params };
    const answer = await engine.chat.completions.create({ ...request, stream: false }, { signal });
    const [choice] = answer.choices;
    return {
      content: toContent(choice.message),
      finishReason: toFinishReason(choice.finish_reason),
      usage: toUsage(answer.usage),
      providerMetadata: toMetadata(answer.leadout),
      request: { body: request },
      response: { id: answer.id, modelId: answer.model, timestamp: new Date(answer.created * 1000), body: answer },
      warnings,
    };
  }

  /**
   * @param {LanguageModelV4CallOptions} options
   * @returns {Promise<LanguageModelV4StreamResult>}
   */
  async doStream(options) {
    const { params, warnings } = toCall(options);
    const leaving = new AbortController();
    const given = options.abortSignal;
    const signal = given ? AbortSignal.any([given, leaving.signal]) : leaving.signal;
    const engine = await this.#source.load({ signal });
    const request = { max_tokens: longestAnswer(engine), ...params };
    const chunks = await engine.chat.completions.create({ ...request, stream: true }, { signal });
    const parts = new AnswerParts({ includeRawChunks: options.includeRawChunks });
    /** @type {ReadableStream<LanguageModelV4StreamPart>} */
    const stream = new ReadableStream({
      async start(controller) {
        controller.enqueue({ type: "stream-start", warnings });
        try {
          for await (const chunk of chunks) {
            for (const part of parts.take(chunk)) controller.enqueue(part);
          }
          for (const part of parts.end()) controller.enqueue(part);
          controller.close();
        } catch (error) {
          if (leaving.signal.aborted) return; // nobody reads any more
          if (signal.aborted) {
            controller.error(error); // the SDK looks for an AbortError there
            return;
          }
          for (const part of parts.fail(error)) controller.enqueue(part);
          controller.close();
        }
      },
      cancel: () => leaving.abort(new DOMException("The stream was left.", "AbortError")),
    });
    return { stream, request: { body: request } };
  }
}

/**
 * A provider: called with a model it gives a language model, and it goes into the SDK's registries. The same name gives the
 * same language model, with its one engine, however often a page asks for it.
 *
 * @typedef {((model: Engine | ModelChoice, params?: SourceParams) => LeadoutLanguageModel) & ProviderV4 & {
 *   languageModel: (name: string) => LeadoutLanguageModel, chat: (name: string) => LeadoutLanguageModel}} LeadoutProvider
 */

/**
 * @param {SourceParams} [params] of all loads
 * @returns {LeadoutProvider}
 */
export function createLeadout(params = {}) {
  /** @type {Map<string, LeadoutLanguageModel>} */
  const shared = new Map();
  const languageModel = (/** @type {string} */ name) => {
    const model = shared.get(name) ?? new LeadoutLanguageModel(name, params);
    shared.set(name, model);
    return model;
  };
  /** @type {(kind: string) => (modelId: string) => never} */
  const none = (kind) => (modelId) => {
    const error = requestError(`Leadout's models write text: "${modelId}" is no ${kind}.`, "model");
    const marks = ["vercel.ai.error", "vercel.ai.error.AI_NoSuchModelError"].map((mark) => [Symbol.for(mark), true]);
    throw Object.assign(error, { modelId, modelType: kind }, Object.fromEntries(marks));
  };
  /** @type {(model: Engine | ModelChoice, own?: SourceParams) => LeadoutLanguageModel} */
  const provide = (model, own) =>
    typeof model === "string" && own === undefined
      ? languageModel(model)
      : new LeadoutLanguageModel(model, { ...params, ...own });
  return Object.assign(provide, {
    specificationVersion: /** @type {const} */ ("v4"),
    languageModel,
    chat: languageModel,
    embeddingModel: none("embeddingModel"),
    imageModel: none("imageModel"),
  });
}

/** The provider without parameters of its own. With parameters, `leadout(model, params)` gives a model of its own each time. */
export const leadout = /* @__PURE__ */ createLeadout();
