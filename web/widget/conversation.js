/**
 * The chat mode: turns above, the next message below.
 *
 * @module conversation
 */

import { h } from "./dom.js";
import { isScrolledToEnd } from "./manuscript.js";

/** @typedef {{role: string, content: string}} Message */

export class Conversation {
  /** @type {Message[]} */
  #messages = [];
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
    return this.#messages.map((message) => ({ ...message }));
  }

  set messages(messages) {
    this.#messages = messages.map(({ role, content }) => ({ role, content }));
    this.#log.replaceChildren(...this.#messages.map(turn));
  }

  /** What the model said last. */
  get continuation() {
    const last = this.#messages.at(-1);
    return last?.role === "assistant" ? last.content : "";
  }

  /** Move the message from the text area into the conversation.
   * @returns {{messages: Message[]} | null} null when there is no message
   */
  takeRequest() {
    const content = this.#input.value.trim();
    if (!content) {
      return null;
    }
    this.#input.value = "";
    this.messages = [...this.#messages, { role: "user", content }];
    const request = { messages: this.messages };
    this.messages = [...this.#messages, { role: "assistant", content: "" }];
    this.#log.scrollTop = this.#log.scrollHeight;
    return request;
  }

  /** @param {string} text of the model's turn */
  append(text) {
    const isAtEnd = isScrolledToEnd(this.#log);
    const last = /** @type {Message} */ (this.#messages.at(-1));
    last.content += text;
    this.#log.lastElementChild?.querySelector(".content")?.append(text);
    if (isAtEnd) {
      this.#log.scrollTop = this.#log.scrollHeight;
    }
  }

  /** @returns {boolean} whether there is something to take back */
  get canUndo() {
    return this.#messages.at(-1)?.role === "assistant";
  }

  /** Take back the last question with its answer; the question can be edited again. */
  undo() {
    if (this.canUndo) {
      const question = this.#messages.at(-2);
      this.messages = this.#messages.slice(0, -2);
      this.#input.value ||= question?.content ?? "";
    }
  }

  clear() {
    this.messages = [];
    this.#input.value = "";
  }

  /** An error came before the first word: the question goes back to the text area. */
  giveBack() {
    if (this.continuation === "") {
      this.undo();
    }
  }

  /** @param {boolean} isBusy whether the model writes */
  setBusy(isBusy) {
    this.#input.readOnly = isBusy;
    this.element.classList.toggle("busy", isBusy);
  }

  focus() {
    this.#input.focus();
  }
}

/** @param {Message} message */
function turn({ role, content }) {
  const isModel = role === "assistant";
  return h(
    "article",
    { class: isModel ? "turn model" : "turn", part: isModel ? "answer" : "question" },
    h("div", { class: "who" }, isModel ? "Model" : role === "user" ? "You" : role),
    h("div", { class: "content" }, content),
  );
}
