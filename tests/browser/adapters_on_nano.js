/**
 * All adapters on the one engine that the React example of this page has loaded, with the libraries that they are for.
 * Vite builds this with the examples; test_adapters_on_nano.py asks, and compares.
 */

import "../react/main.tsx"; // from openai/, which is where its service worker answers

import { useChat } from "@ai-sdk/react";
import { HumanMessage } from "@langchain/core/messages";
import { jsonSchema, streamText } from "ai";
import { leadout, LeadoutChatTransport } from "leadout/ai-sdk";
import { ChatLeadout } from "leadout/langchain";
import { languageModel } from "leadout/prompt-api";
import { LeadoutRemote } from "leadout/remote";
import { serveEngine } from "leadout/server";
import OpenAI from "openai";
import { createElement, useEffect } from "react";
import { createRoot } from "react-dom/client";

/**
 * What came of a request: the pieces of its text, its calls, tokens of prompt, answer and both, and how it ended.
 * @typedef {{pieces: string[], calls: {name: string, input: any}[], usage: number[], finish: string}} Answer
 *
 * Asks in one way, with OpenAI's parameters; a signal aborts it, and `onText` is called with each piece.
 * @typedef {(params: any, signal: AbortSignal, onText: () => void) => Promise<Answer>} Way
 */

/** @returns {Way} by an interface of OpenAI's */
function byCompletions(client) {
  return async (params, signal, onText) => {
    const pieces = [];
    const calls = [];
    let usage, finish;
    const asked = { model: "any", ...params, stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await client.chat.completions.create(asked, { signal })) {
      usage = chunk.usage ?? usage;
      const { delta = {}, finish_reason } = chunk.choices[0] ?? {};
      finish = finish_reason ?? finish;
      for (const { index, function: part } of delta.tool_calls ?? []) {
        calls[index] ??= { name: part.name, input: "" };
        calls[index].input += part.arguments;
      }
      if (delta.content) {
        pieces.push(delta.content);
        onText();
      }
    }
    signal.throwIfAborted(); // OpenAI's client ends a stream that is aborted as if it were over
    return {
      pieces,
      calls: calls.map(({ name, input }) => ({ name, input: JSON.parse(input) })),
      usage: [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens],
      finish,
    };
  };
}

/** @returns {Way} */
function byStreamText(model) {
  return async ({ messages, tools = [], tool_choice, temperature, top_k, seed, max_tokens, ...own }, abortSignal, onText) => {
    const pieces = [];
    const calls = [];
    const { fullStream } = streamText({
      model,
      messages,
      tools: toSdkTools(tools),
      toolChoice: tool_choice && { type: "tool", toolName: tool_choice.function.name },
      ...{ temperature, topK: top_k, seed, maxOutputTokens: max_tokens, abortSignal },
      providerOptions: { leadout: own },
    });
    for await (const part of fullStream) {
      if (part.type === "error") throw part.error;
      if (part.type === "abort") throw new DOMException("The SDK was told so.", "AbortError");
      if (part.type === "tool-call") calls.push({ name: part.toolName, input: part.input });
      if (part.type === "text-delta") {
        pieces.push(part.text);
        onText();
      }
      if (part.type === "finish") {
        const { inputTokens, outputTokens, totalTokens } = part.totalUsage;
        const finish = part.finishReason.replace("-", "_");
        return { pieces, calls, usage: [inputTokens, outputTokens, totalTokens], finish };
      }
    }
  };
}

/** @returns {Way} */
function byLangChain(engine) {
  return async ({ messages, tools, tool_choice, ...params }, signal, onText) => {
    const chat = new ChatLeadout({ engine, ...params });
    const model = tools ? chat.bindTools(tools, { tool_choice: tool_choice.function.name }) : chat;
    const pieces = [];
    let message;
    for await (const chunk of await model.stream(messages.map(({ content }) => new HumanMessage(content)), { signal })) {
      message = message?.concat(chunk) ?? chunk;
      if (chunk.text) {
        pieces.push(chunk.text);
        onText();
      }
    }
    const { input_tokens, output_tokens, total_tokens } = message.usage_metadata;
    return {
      pieces,
      calls: message.tool_calls.map(({ name, args }) => ({ name, input: args })),
      usage: [input_tokens, output_tokens, total_tokens],
      finish: message.response_metadata.finish_reason,
    };
  };
}

/** @param {any[]} tools in OpenAI's shape */
function toSdkTools(tools, execute) {
  const entries = tools.map(({ function: { name, description, parameters } }) => [
    name,
    { description, inputSchema: jsonSchema(parameters), ...(execute && { execute }) },
  ]);
  return Object.fromEntries(entries);
}

class Adapters {
  /** @type {Record<string, Way>} */
  #ways = {};
  #engine;

  /** Make all adapters of the engine that the elements of this page have; two of them through the service worker. */
  async begin() {
    const { engine } = document.querySelector("leadout-chat");
    await navigator.serviceWorker.register("./sw.js", { type: "module" });
    await serveEngine(engine).ready;
    const baseURL = `${location.origin}/v1`;
    const openai = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0, dangerouslyAllowBrowser: true });
    this.#engine = engine;
    this.#ways = {
      engine: byCompletions(engine),
      openai: byCompletions(openai),
      remote: byCompletions(await LeadoutRemote.load({ baseURL })),
      "ai-sdk": byStreamText(leadout(engine)),
      langchain: byLangChain(engine),
    };
  }

  /** @returns {Promise<Answer>} */
  ask({ way, params }) {
    return this.#ways[way](params, new AbortController().signal, () => {});
  }

  /** @returns {Promise<string>} the name of what an answer ended with that was aborted at its first piece */
  async leave({ way, params }) {
    const controller = new AbortController();
    const asked = this.#ways[way](params, controller.signal, () => controller.abort());
    return asked.then(() => "none", ({ name }) => name);
  }

  /** @returns {Promise<any[]>} the parts of the answer in a chat of React, whose tools return `result` */
  useChat({ text, tools, tool_choice, result, ...settings }) {
    const transport = new LeadoutChatTransport(leadout(this.#engine), {
      tools: toSdkTools(tools, () => result),
      toolChoice: { type: "tool", toolName: tool_choice.function.name },
      settings,
    });
    return new Promise((resolve, reject) => {
      function Conversation() {
        const { messages, sendMessage, status, error } = useChat({ transport });
        useEffect(() => void sendMessage({ text }), [sendMessage]);
        useEffect(() => {
          if (error) reject(error);
          if (status === "ready" && messages.at(-1)?.role === "assistant") resolve(messages.at(-1).parts);
        }, [status, error, messages]);
        return null;
      }
      createRoot(document.createElement("div")).render(createElement(Conversation));
    });
  }

  /** The browser's LanguageModel: how an abort ends, an answer that fits a pattern, how much of the context is used. */
  async prompt({ text, pattern }) {
    const LanguageModel = languageModel(this.#engine);
    const session = await LanguageModel.create({ samplingMode: "most-predictable" });
    const controller = new AbortController();
    const { signal } = controller;
    const left = await (async () => {
      for await (const _ of session.promptStreaming(text, { signal })) controller.abort();
    })().then(() => "none", ({ name }) => name);
    const matched = await session.prompt(text, { responseConstraint: new RegExp(pattern) });
    return { left, matched, usage: session.contextUsage };
  }
}

globalThis.adapters = new Adapters();
