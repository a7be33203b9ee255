/**
 * From a call of the AI SDK to a chat's parameters.
 *
 * @module adapters/ai_sdk/call
 */

/** @import {LanguageModelV4CallOptions, LanguageModelV4Prompt, SharedV4Warning} from "@ai-sdk/provider" */
/** @import {ChatMessage, ChatParams} from "../../client/parameters.js" */
/** @import {Tool, ToolChoice} from "../../messages.js" */

import { noFiles, requestError } from "../refusals.js";
import { inTurns } from "../turns.js";

/**
 * @param {LanguageModelV4CallOptions} options `providerOptions.leadout` has parameters of Leadout's own, in their names:
 *   min_p, draft_tokens, enable_thinking, …
 * @returns {{params: ChatParams, warnings: SharedV4Warning[]}}
 * @throws {import("../../client/errors.js").LeadoutError} RequestError: the prompt has an image or a file
 */
export function toCall(options) {
  /** @type {SharedV4Warning[]} */
  const warnings = [];
  const { responseFormat, reasoning } = options;
  const tools = toTools(options.tools ?? [], warnings);
  if (reasoning && !["provider-default", "none"].includes(reasoning)) {
    const details = `"${reasoning}" switches reasoning on; Leadout's models know no efforts.`;
    warnings.push({ type: "compatibility", feature: "reasoning", details });
  }
  /** @type {Record<string, unknown>} */
  const given = {
    max_tokens: options.maxOutputTokens,
    temperature: options.temperature,
    top_p: options.topP,
    top_k: options.topK,
    presence_penalty: options.presencePenalty,
    frequency_penalty: options.frequencyPenalty,
    seed: options.seed,
    stop: options.stopSequences?.length ? options.stopSequences : undefined,
    ...(reasoning && reasoning !== "provider-default" && { enable_thinking: reasoning !== "none" }),
    ...(responseFormat?.type === "json" && { response_format: toResponseFormat(responseFormat) }),
    ...(tools.length > 0 && { tools, tool_choice: toToolChoice(options.toolChoice) }),
    ...options.providerOptions?.leadout,
  };
  const params = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { params: { ...params, messages: inTurns(toMessages(options.prompt)) }, warnings };
}

/**
 * @param {LanguageModelV4Prompt} prompt
 * @returns {ChatMessage[]}
 */
function toMessages(prompt) {
  return prompt.flatMap(({ role, content }) => {
    if (typeof content === "string") {
      return [{ role, content }];
    }
    /** @type {ChatMessage[]} */
    const results = [];
    /** @type {NonNullable<ChatMessage["tool_calls"]>} */
    const tool_calls = [];
    let text = "";
    for (const part of content) {
      if (part.type === "text") {
        text += part.text;
      } else if (part.type === "tool-call") {
        const call = { name: part.toolName, arguments: toJson(part.input) };
        tool_calls.push({ id: part.toolCallId, type: "function", function: call });
      } else if (part.type === "tool-result") {
        const { toolCallId, toolName, output } = part;
        results.push({ role: "tool", tool_call_id: toolCallId, name: toolName, content: toResultText(output) });
      } else if (part.type === "file" || part.type === "reasoning-file") {
        throw unsupportedFile(part.mediaType, "filename" in part ? part.filename : undefined);
      } else if (part.type === "custom") {
        throw requestError(`The prompt has a part "${part.kind}", which is of another provider.`, "prompt");
      }
      // What was thought is no part of the next prompt, and an approval is between the SDK and its user.
    }
    const message = { role, content: text, ...(tool_calls.length > 0 && { tool_calls }) };
    return role === "tool" ? results : [message, ...results];
  });
}

/** @param {unknown} input */
function toJson(input) {
  return typeof input === "string" ? input : JSON.stringify(input ?? {});
}

/**
 * @param {import("@ai-sdk/provider").LanguageModelV4ToolResultOutput} output
 * @returns {string}
 */
function toResultText(output) {
  switch (output.type) {
    case "text":
    case "error-text":
      return output.value;
    case "json":
    case "error-json":
      return JSON.stringify(output.value);
    case "execution-denied":
      return output.reason ?? "The user did not allow this call.";
    case "content":
      return output.value
        .map((part) => {
          if (part.type === "text") return part.text;
          if (part.type === "file") throw unsupportedFile(part.mediaType, part.filename);
          throw requestError("A tool's result has a part that is of another provider.", "prompt");
        })
        .join("\n");
  }
}

/**
 * @param {NonNullable<LanguageModelV4CallOptions["tools"]>} tools
 * @param {SharedV4Warning[]} warnings
 * @returns {Tool[]}
 */
function toTools(tools, warnings) {
  return tools.flatMap((tool) => {
    if (tool.type !== "function") {
      warnings.push({ type: "unsupported", feature: `provider-defined tool ${tool.id}` });
      return [];
    }
    if (tool.inputExamples?.length) {
      const details = "The model does not see them; put them into the tool's description.";
      warnings.push({ type: "unsupported", feature: `input examples of the tool ${tool.name}`, details });
    }
    const { name, description, inputSchema, strict } = tool;
    const parameters = /** @type {Record<string, unknown>} */ (inputSchema);
    const definition = { name, parameters, ...(description && { description }), ...(strict != null && { strict }) };
    return [{ type: "function", function: definition }];
  });
}

/**
 * @param {LanguageModelV4CallOptions["toolChoice"]} choice
 * @returns {ToolChoice | undefined}
 */
function toToolChoice(choice) {
  if (choice === undefined) return undefined;
  return choice.type === "tool" ? { type: "function", function: { name: choice.toolName } } : choice.type;
}

/**
 * @param {Extract<NonNullable<LanguageModelV4CallOptions["responseFormat"]>, {type: "json"}>} format
 * @returns {import("../../messages.js").ResponseFormat}
 */
function toResponseFormat({ schema, name = "response", description }) {
  if (schema === undefined) {
    return { type: "json_object" };
  }
  const wanted = /** @type {Record<string, unknown>} */ (schema);
  return { type: "json_schema", json_schema: { name, schema: wanted, ...(description && { description }) } };
}

/**
 * @param {string} mediaType
 * @param {string} [filename]
 */
function unsupportedFile(mediaType, filename) {
  const kind = mediaType.startsWith("image") ? "an image" : "a file";
  const named = [filename, mediaType].filter(Boolean).join(", ");
  const error = noFiles(`${kind} (${named})`, { media_type: mediaType });
  // By these marks UnsupportedFunctionalityError.isInstance knows its own, whichever copy of the SDK made it.
  return Object.assign(error, {
    functionality: `${kind} in a prompt`,
    [Symbol.for("vercel.ai.error")]: true,
    [Symbol.for("vercel.ai.error.AI_UnsupportedFunctionalityError")]: true,
  });
}
