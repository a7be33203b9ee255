/**
 * Shows the tool calls of a message. Each one is collapsed, with its arguments inside.
 *
 * @module tool_call_list
 */

/** @import {ChatCompletionChunk, CompletionChunk} from "../client/completions.js" */
/** @import {ToolCall} from "../messages.js" */

import { h } from "./dom.js";
import { showHidden } from "./hidden_characters.js";

export class ToolCallList {
  element = h("div", { class: "calls", hidden: true });

  /** @param {ToolCall[]} calls */
  set(calls) {
    this.element.hidden = calls.length === 0;
    this.element.replaceChildren(
      ...calls.map(({ function: { name, arguments: json } }) =>
        h(
          "details",
          { class: "call", part: "tool-call" },
          h("summary", {}, `Calls ${showHidden(name)}`),
          h("pre", { tabindex: "0", role: "group", "aria-label": "Arguments" }, showHidden(indent(json))),
        ),
      ),
    );
  }
}

/**
 * Add the parts of tool calls in a chunk to the calls so far.
 *
 * @param {ToolCall[]} calls the calls so far; they are changed
 * @param {ChatCompletionChunk | CompletionChunk} chunk
 */
export function collectCalls(calls, { choices: [choice] }) {
  const deltas = "delta" in choice ? (choice.delta.tool_calls ?? []) : [];
  for (const { index, id, function: part } of deltas) {
    const call = (calls[index] ??= { id: id ?? "", type: "function", function: { name: "", arguments: "" } });
    call.function.name ||= part?.name ?? "";
    call.function.arguments += part?.arguments ?? "";
  }
}

/** @param {string} json that a model wrote @returns {string} unchanged if it is not valid JSON */
function indent(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
