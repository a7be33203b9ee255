/**
 * Shows one message: its author, its text and its buttons.
 *
 * @module turn
 */

/** @import {Markdown} from "./markdown.js" */
/** @import {PlacedMessage} from "./message_tree.js" */

import { AnswerText } from "./answer_text.js";
import { copyText } from "./clipboard.js";
import { h } from "./dom.js";
import { showHidden } from "./hidden_characters.js";
import { ReasoningBox } from "./reasoning_box.js";
import { ToolCallList } from "./tool_call_list.js";

/**
 * @typedef {object} TurnHandlers
 * @property {(id: string, content: string) => void} onEdit a question was edited
 * @property {(id: string) => void} onRegenerate the user wants another answer
 * @property {(id: string, step: -1 | 1) => void} onStep the user wants to see another branch
 */

const WHO = new Map([
  ["user", "You"],
  ["assistant", "Model"],
  ["tool", "Tool"],
  ["system", "System"],
]);

export class Turn {
  content = new AnswerText();
  reasoning = new ReasoningBox();
  calls = new ToolCallList();

  #handlers;
  #copy = button("Copy", "copy-message");
  #change;
  #previous = button("‹", "previous");
  #next = button("›", "next");
  #place = h("span", { class: "place" });
  #branches = h("span", { class: "branches", role: "group", "aria-label": "Versions", hidden: true });
  /** @type {HTMLElement | null} shown while the user edits the question */
  #editor = null;

  /**
   * @param {PlacedMessage} message
   * @param {TurnHandlers} handlers
   */
  constructor(message, handlers) {
    this.message = message;
    this.#handlers = handlers;
    const isModel = message.role === "assistant";
    this.isModel = isModel;
    this.content.set(message.content);
    this.reasoning.text = message.reasoning_content ?? "";
    this.calls.set(message.tool_calls ?? []);
    const who = h("h3", { class: "who" }, WHO.get(message.role) ?? showHidden(message.role));
    this.#branches.append(this.#previous, this.#place, this.#next);
    this.#change = isModel ? button("Regenerate", "regenerate") : button("Edit", "edit");
    this.#change.hidden = message.role !== "user" && !isModel;
    this.tools = h("div", { class: "tools", part: "tools" }, this.#branches, this.#copy, this.#change);
    this.element = h(
      "article",
      { class: isModel ? "turn model" : "turn", part: isModel ? "answer" : "question" },
      who,
      ...(isModel ? [this.reasoning.element] : []),
      this.content.element,
      this.calls.element,
      this.tools,
    );
    this.#previous.setAttribute("aria-label", "Previous version");
    this.#next.setAttribute("aria-label", "Next version");
    this.#copy.addEventListener("click", () => copyText(this.#copy, showHidden(this.message.content)));
    this.#previous.addEventListener("click", () => handlers.onStep(message.id, -1));
    this.#next.addEventListener("click", () => handlers.onStep(message.id, 1));
    this.#change.addEventListener("click", () => {
      if (isModel) {
        handlers.onRegenerate(message.id);
      } else {
        this.#edit();
      }
    });
  }

  /** Only the model's text is shown as Markdown. @param {Markdown | null} markdown */
  setMarkdown(markdown) {
    if (this.isModel) {
      this.content.setMarkdown(markdown);
    }
  }

  /** @param {{index: number, count: number}} place its index among the versions */
  setPlace({ index, count }) {
    this.#branches.hidden = count < 2;
    this.#place.textContent = `${index + 1}/${count}`;
    this.#place.setAttribute("aria-label", `Version ${index + 1} of ${count}`);
    this.#previous.dataset.end = String(index === 0);
    this.#next.dataset.end = String(index === count - 1);
    this.#refreshSteps();
  }

  /** @param {boolean} isBusy whether the model is writing; then only copying is possible */
  setBusy(isBusy) {
    this.#change.disabled = isBusy;
    this.#branches.classList.toggle("busy", isBusy);
    this.#refreshSteps();
  }

  /** Show the message again after its content was changed elsewhere. */
  refresh() {
    this.content.set(this.message.content);
    this.reasoning.text = this.message.reasoning_content ?? "";
    this.calls.set(this.message.tool_calls ?? []);
  }

  focusStep() {
    (this.#next.disabled ? this.#previous : this.#next).focus();
  }

  #refreshSteps() {
    for (const step of [this.#previous, this.#next]) {
      step.disabled = step.dataset.end === "true" || this.#branches.classList.contains("busy");
    }
  }

  #edit() {
    if (this.#editor) {
      return;
    }
    const area = h("textarea", { "aria-label": "Your message, to be sent again", rows: "3", class: "edit" });
    area.value = this.message.content;
    const send = button("Send again", "send-again");
    const cancel = button("Cancel", "cancel-edit");
    const close = () => {
      this.#editor?.remove();
      this.#editor = null;
      this.content.element.hidden = this.tools.hidden = false;
      this.#change.focus();
    };
    const submit = () => {
      const content = area.value.trim();
      if (content) {
        close();
        this.#handlers.onEdit(this.message.id, content);
      }
    };
    send.addEventListener("click", submit);
    cancel.addEventListener("click", close);
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        close();
      } else if (isSendKey(event)) {
        submit();
      } else {
        return;
      }
      event.preventDefault();
      event.stopPropagation();
    });
    this.#editor = h("div", { class: "editor" }, area, h("div", { class: "tools" }, send, cancel));
    this.content.element.hidden = this.tools.hidden = true;
    this.content.element.after(this.#editor);
    area.focus();
  }
}

/**
 * @param {KeyboardEvent} event
 * @returns {boolean} whether it is Enter with Ctrl or Command, or Enter alone on a device with a keyboard, where Shift
 *   and Enter make a line break
 */
export function isSendKey({ key, shiftKey, ctrlKey, metaKey, altKey, isComposing }) {
  if (key !== "Enter" || isComposing || shiftKey || altKey) {
    return false;
  }
  return ctrlKey || metaKey || matchMedia("(any-pointer: fine)").matches;
}

/** @param {string} text @param {string} name */
function button(text, name) {
  return h("button", { type: "button", class: `quiet small ${name}` }, text);
}
