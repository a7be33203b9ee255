/**
 * The tools that a message calls, each folded up with its arguments.
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
 * Put together what a stream tells of calls.
 *
 * @param {ToolCall[]} calls that came so far; they grow
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

/** @param {string} json that a model wrote @returns {string} as it is where it is none */
function indent(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
