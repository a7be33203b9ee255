/**
 * Between LangChain's messages and a chat's.
 *
 * @module adapters/langchain/messages
 */

/** @import {BaseMessage, ToolMessage, UsageMetadata} from "@langchain/core/messages" */
/** @import {Usage} from "../../client/completions.js" */
/** @import {ChatMessage} from "../../client/parameters.js" */
/** @import {ToolCall} from "../../messages.js" */

import { AIMessage } from "@langchain/core/messages";

import { noFiles, requestError } from "../refusals.js";

/** LangChain's kinds, and the roles of a chat. @type {Record<string, string>} */
const ROLES = { human: "user", ai: "assistant", system: "system", developer: "developer", tool: "tool" };

/** Blocks of content that say nothing to the model: its calls come with `tool_calls`, and thoughts are not kept. */
const SILENT_BLOCKS = new Set(["tool_call", "tool_use", "input_json_delta", "reasoning", "thinking"]);

/**
 * @param {BaseMessage[]} messages
 * @returns {ChatMessage[]}
 * @throws {import("../../client/errors.js").LeadoutError} RequestError: one has an image or a file, or an unknown kind
 */
export function toMessages(messages) {
  return messages.map((message) => {
    const kind = message.type;
    const role = kind === "generic" && "role" in message ? String(message.role) : ROLES[kind];
    if (role === undefined) {
      throw requestError(`A message is of the kind "${kind}", which Leadout does not know.`, "messages");
    }
    /** @type {ChatMessage} */
    const said = { role, content: toText(message.content) };
    if (AIMessage.isInstance(message) && message.tool_calls?.length) {
      said.tool_calls = message.tool_calls.map(({ id = "", name, args }) => ({
        id,
        type: "function",
        function: { name, arguments: JSON.stringify(args) },
      }));
    }
    if (kind === "tool") {
      const { tool_call_id, name } = /** @type {ToolMessage} */ (message);
      return { ...said, tool_call_id, ...(name !== undefined && { name }) };
    }
    return said;
  });
}

/** @param {BaseMessage["content"]} content */
function toText(content) {
  if (typeof content === "string") return content;
  return content
    .map((block) => {
      if (block.type === "text") return String(block.text);
      if (SILENT_BLOCKS.has(block.type)) return "";
      throw noFiles(`a block of the type "${block.type}"`, { type: block.type });
    })
    .join("");
}

/**
 * @param {ToolCall[]} calls
 * @returns {Pick<AIMessage, "tool_calls" | "invalid_tool_calls">}
 */
export function toToolCalls(calls) {
  /** @type {Required<Pick<AIMessage, "tool_calls" | "invalid_tool_calls">>} */
  const sorted = { tool_calls: [], invalid_tool_calls: [] };
  for (const { id, function: { name, arguments: args } } of calls) {
    try {
      sorted.tool_calls.push({ id, name, args: JSON.parse(args), type: "tool_call" });
    } catch (error) {
      sorted.invalid_tool_calls.push({ id, name, args, error: String(error), type: "invalid_tool_call" });
    }
  }
  return sorted;
}

/**
 * @param {Usage} usage
 * @returns {UsageMetadata}
 */
export function toUsage(usage) {
  return {
    input_tokens: usage.prompt_tokens,
    output_tokens: usage.completion_tokens,
    total_tokens: usage.total_tokens,
    input_token_details: { cache_read: usage.prompt_tokens_details.cached_tokens },
    output_token_details: { reasoning: usage.completion_tokens_details.reasoning_tokens },
  };
}
