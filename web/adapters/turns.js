/**
 * Messages that take turns.
 *
 * @module adapters/turns
 */

/** @import {ChatMessage} from "../client/parameters.js" */

/**
 * Some chat templates, such as Gemma 3's, want the user and the assistant to take turns. Messages do not always: an answer
 * that was stopped before its first word leaves two questions in a row.
 *
 * @param {ChatMessage[]} messages
 * @returns {ChatMessage[]} where what one says in several messages is one
 */
export function inTurns(messages) {
  /** @type {ChatMessage[]} */
  const turns = [];
  for (const message of messages) {
    const last = turns.at(-1);
    const goesOn = last?.role === message.role && message.role !== "tool" && !last.tool_calls;
    if (last && goesOn) turns[turns.length - 1] = { ...message, content: `${last.content}\n\n${message.content}` };
    else turns.push(message);
  }
  return turns;
}
