/**
 * The chat mode: turns above, the next message below.
 *
 * @module conversation
 */

/** @import {WrittenPiece} from "./follow.js" */

import { appendText, h } from "./dom.js";
import { isScrolledToEnd } from "./manuscript.js";
import { ReasoningBox } from "./reasoning_box.js";

/**
 * `reasoning_content` is what the model thought before it answered; it is shown, and not said again.
 * @typedef {{role: string, content: string, reasoning_content?: string}} Message
 */

/**
 * Makes of what was said, the new message last, what the model gets, such as a system turn before it;
 * or refuses the message with null, having said why. It may set the element's `messages`: the new one
 * then follows these.
 * @typedef {(said: Message[]) => Message[] | null} PrepareMessages
 */

/** A message as it is shown. @typedef {{message: Message, content: HTMLElement, reasoning: ReasoningBox, element: HTMLElement}} Turn */

export class Conversation {
  /** @type {Turn[]} */
  #turns = [];
  #log = h("div", { class: "log", role: "log", "aria-live": "off", "aria-label": "Conversation", tabindex: "0" });
  #input = h("textarea", {
    id: "text",
    part: "input",
    rows: "3",
    placeholder: "Write a message.",
    autocapitalize: "sentences",
  });

  sendLabel = "Send";

  constructor() {
    this.element = h(
      "div",
      { class: "conversation" },
      this.#log,
      h("label", { for: "text", class: "unseen" }, "Message"),
      this.#input,
    );
  }

  /** The message being written. */
  get text() {
    return this.#input.value;
  }

  set text(text) {
    this.#input.value = text;
  }

  get messages() {
    return this.#turns.map(({ message }) => ({ ...message }));
  }

  set messages(messages) {
    this.#turns = [];
    this.#log.replaceChildren();
    for (const message of messages) {
      this.#add(message);
    }
  }

  /** What the model said last. */
  get continuation() {
    const last = this.#turns.at(-1)?.message;
    return last?.role === "assistant" ? last.content : "";
  }

  /**
   * Move a message into the conversation.
   *
   * @param {{message?: string, prepare?: PrepareMessages | null}} [options] message: in place of the
   *   one in the text area, which stays there
   * @returns {{messages: Message[]} | null} null when there is no message, or `prepare` refused it
   */
  takeRequest({ message, prepare } = {}) {
    const content = (message ?? this.#input.value).trim();
    if (!content) {
      return null;
    }
    const said = [...this.messages, { role: "user", content }];
    const messages = prepare ? prepare(said) : said;
    if (!messages) {
      return null;
    }
    if (message === undefined) {
      this.#input.value = "";
    }
    this.#add({ role: "user", content });
    this.#add({ role: "assistant", content: "" });
    this.#log.scrollTop = this.#log.scrollHeight;
    return { messages };
  }

  /** @param {WrittenPiece[]} pieces of the model's turn */
  append(pieces) {
    const isAtEnd = isScrolledToEnd(this.#log);
    const { message, content, reasoning } = /** @type {Turn} */ (this.#turns.at(-1));
    for (const piece of pieces) {
      if (piece.reasoning) {
        message.reasoning_content = (message.reasoning_content ?? "") + piece.reasoning;
        reasoning.append(piece.reasoning);
      }
      if (piece.text) {
        message.content += piece.text;
        appendText(content, piece.text, piece.is_draft);
        reasoning.setThinking(false);
      }
    }
    if (isAtEnd) {
      this.#log.scrollTop = this.#log.scrollHeight;
    }
  }

  /** @returns {boolean} whether there is something to take back */
  get canUndo() {
    return this.#turns.at(-1)?.message.role === "assistant";
  }

  /** Take back the last question with its answer; the question can be edited again. */
  undo() {
    if (this.canUndo) {
      this.#turns.pop()?.element.remove();
      if (this.#turns.at(-1)?.message.role === "user") {
        const question = this.#turns.pop();
        question?.element.remove();
        this.#input.value ||= question?.message.content ?? "";
      }
    }
  }

  clear() {
    this.messages = [];
    this.#input.value = "";
  }

  /**
   * An error came before the first word: the question goes back to the text area, if it is from there.
   *
   * @param {string} [message] what was sent in place of the text area's
   */
  giveBack(message) {
    if (this.continuation === "" && !this.#turns.at(-1)?.reasoning.text) {
      const draft = this.#input.value;
      this.undo();
      if (message !== undefined) {
        this.#input.value = draft;
      }
    }
  }

  /** @param {boolean} isBusy whether the model writes */
  setBusy(isBusy) {
    this.#input.readOnly = isBusy;
    this.element.classList.toggle("busy", isBusy);
    if (!isBusy) {
      this.#turns.at(-1)?.reasoning.setThinking(false);
    }
  }

  focus() {
    this.#input.focus();
  }

  /** @param {Message} message */
  #add({ role, content, reasoning_content }) {
    const isModel = role === "assistant";
    const text = h("div", { class: "content" }, content);
    const reasoning = new ReasoningBox(reasoning_content);
    const element = h(
      "article",
      { class: isModel ? "turn model" : "turn", part: isModel ? "answer" : "question" },
      h("div", { class: "who" }, isModel ? "Model" : role === "user" ? "You" : role),
      ...(isModel ? [reasoning.element] : []),
      text,
    );
    this.#log.append(element);
    const message = { role, content, ...(reasoning_content && { reasoning_content }) };
    this.#turns.push({ message, content: text, reasoning, element });
  }
}
