/**
 * From the messages that `useChat` keeps to a prompt.
 *
 * @module adapters/ai_sdk/ui_messages
 */

/** @import {UIMessage} from "ai" */
/** @import {LanguageModelV4Message, LanguageModelV4ToolResultOutput} from "@ai-sdk/provider" */

import { requestError } from "../refusals.js";

/**
 * @param {UIMessage[]} messages
 * @param {string} [system]
 * @returns {LanguageModelV4Message[]}
 * @throws {import("../../client/errors.js").LeadoutError} RequestError: a call of a tool has no result yet
 */
export function toPrompt(messages, system) {
  return [
    ...(system ? [{ role: /** @type {const} */ ("system"), content: system }] : []),
    ...messages.flatMap(toModelMessages),
  ];
}

/**
 * @param {UIMessage} message
 * @returns {LanguageModelV4Message[]}
 */
function toModelMessages({ role, parts }) {
  if (role === "system") {
    const text = parts.map((part) => (part.type === "text" ? part.text : "")).join("");
    return [{ role, content: text }];
  }
  if (role === "user") {
    /** @type {Extract<LanguageModelV4Message, {role: "user"}>["content"]} */
    const content = [];
    for (const part of parts) {
      // Parts of data are for the page alone.
      if (part.type === "text") content.push({ type: "text", text: part.text });
      if (part.type === "file") content.push(toFilePart(part));
    }
    return [{ role, content }];
  }
  return toSteps(parts).flatMap(toStepMessages);
}

/**
 * @param {UIMessage["parts"]} parts of an answer
 * @returns {UIMessage["parts"][]} by the model's own answers, between which tools were called
 */
function toSteps(parts) {
  /** @type {UIMessage["parts"][]} */
  const steps = [[]];
  for (const part of parts) {
    if (part.type === "step-start") steps.push([]);
    else steps[steps.length - 1].push(part);
  }
  return steps.filter((step) => step.length > 0);
}

/**
 * @param {UIMessage["parts"]} parts of one answer of the model's
 * @returns {LanguageModelV4Message[]} the answer, and the results of its calls
 */
function toStepMessages(parts) {
  /** @type {Extract<LanguageModelV4Message, {role: "assistant"}>["content"]} */
  const content = [];
  /** @type {Extract<LanguageModelV4Message, {role: "tool"}>["content"]} */
  const results = [];
  for (const part of parts) {
    if (part.type === "text") {
      content.push({ type: "text", text: part.text });
    } else if (part.type === "file") {
      content.push(toFilePart(part));
    } else if ("toolCallId" in part) {
      const { toolCallId } = part;
      const toolName = part.type === "dynamic-tool" ? part.toolName : part.type.replace(/^tool-/, "");
      content.push({ type: "tool-call", toolCallId, toolName, input: part.input ?? {} });
      results.push({ type: "tool-result", toolCallId, toolName, output: toOutput(part, toolName) });
    }
  }
  if (content.length === 0) return []; // it was stopped before it said anything
  return [
    { role: "assistant", content },
    ...(results.length > 0 ? [{ role: /** @type {const} */ ("tool"), content: results }] : []),
  ];
}

/**
 * @param {{state: string, output?: unknown, errorText?: string}} part
 * @param {string} toolName
 * @returns {LanguageModelV4ToolResultOutput}
 */
function toOutput({ state, output, errorText }, toolName) {
  if (state === "output-available") {
    return typeof output === "string"
      ? { type: "text", value: output }
      : { type: "json", value: JSON.parse(JSON.stringify(output ?? null)) };
  }
  if (state === "output-error") return { type: "error-text", value: errorText ?? "The call failed." };
  if (state === "output-denied") return { type: "execution-denied" };
  throw requestError(
    `The tool ${toolName} was called and has no result. Give it with addToolOutput before the next message.`,
    "messages",
  );
}

/**
 * @param {{mediaType: string, filename?: string, url: string}} part
 * @returns {import("@ai-sdk/provider").LanguageModelV4FilePart} which the model refuses
 */
function toFilePart({ mediaType, filename, url }) {
  const data = /** @type {const} */ ({ type: "url", url: new URL(url) });
  return { type: "file", mediaType, data, ...(filename !== undefined && { filename }) };
}
