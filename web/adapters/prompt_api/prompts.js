/**
 * The Prompt API's prompts, as a chat's messages.
 *
 * @module adapters/prompt_api/prompts
 */

/** @import {ChatMessage} from "../../client/parameters.js" */

import { failure } from "./errors.js";

/** @typedef {{type: string, value: unknown}} PromptContent */

/** @typedef {{role: "system" | "user" | "assistant", content: string | PromptContent[], prefix?: boolean}} PromptMessage */

/** @typedef {string | PromptMessage[]} Prompt */

const ROLES = ["system", "user", "assistant"];

/**
 * Validate a prompt as the draft says it, in its order.
 *
 * @param {Prompt} input
 * @param {boolean} hasInput whether something was said before, so that a system prompt comes too late
 * @returns {ChatMessage[]} at least one
 * @throws {DOMException | TypeError}
 */
export function toMessages(input, hasInput) {
  if (!Array.isArray(input)) return [{ role: "user", content: String(input) }];
  if (input.length === 0) return [{ role: "user", content: "" }];
  return input.map((message, index) => {
    const { role, content, prefix = false } = message ?? {};
    if (!ROLES.includes(role)) {
      throw new TypeError(`A message has the role "${role}"; wanted one of ${ROLES.join(", ")}.`);
    }
    if (prefix) {
      if (role !== "assistant" || index < input.length - 1) {
        throw failure("SyntaxError", "A prefix is the last message, and the assistant's.");
      }
      throw failure("NotSupportedError", "Leadout's models begin their answers themselves: leave prefix out.");
    }
    if (role === "system" && (hasInput || index > 0)) {
      throw new TypeError("A system prompt is the first message of initialPrompts.");
    }
    return { role, content: toText(content) };
  });
}

/** @param {PromptMessage["content"]} content */
function toText(content) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) throw new TypeError("A message's content wants to be text, or a list of parts.");
  return content
    .map(({ type, value }) => {
      if (type !== "text") {
        throw failure("NotSupportedError", `A prompt has a part of the type "${type}"; Leadout's models read only text.`);
      }
      if (typeof value !== "string") throw new TypeError("A part of the type text has a value that is none.");
      return value;
    })
    .join("");
}

/**
 * @param {ChatMessage[]} messages
 * @param {unknown} constraint
 * @returns {ChatMessage[]} whose last one also says which schema the answer keeps to
 */
export function withSchema(messages, constraint) {
  if (constraint === undefined || constraint === null || constraint instanceof RegExp) return messages;
  const last = messages[messages.length - 1];
  const content = `${last.content}\n\nAnswer with JSON of this JSON Schema: ${JSON.stringify(constraint)}`;
  return [...messages.slice(0, -1), { ...last, content }];
}
