/**
 * Shows a model's reasoning before its answer. It is collapsed at first.
 *
 * @module reasoning_box
 */

import { appendText, h } from "./dom.js";
import { showHidden } from "./hidden_characters.js";

export class ReasoningBox {
  #summary = h("summary", {}, "Reasoning");
  #text = h("div", { class: "thought" });

  /** @param {string} [text] */
  constructor(text = "") {
    this.element = h("details", { class: "reasoning", part: "reasoning" }, this.#summary, this.#text);
    this.text = text;
  }

  /** @param {string} text replaces the current text */
  set text(text) {
    this.#text.replaceChildren(showHidden(text));
    this.element.hidden = text === "";
    this.setThinking(false);
  }

  /** @param {string} text of the model, to append */
  append(text) {
    if (text) {
      appendText(this.#text, showHidden(text), false);
      this.element.hidden = false;
      this.setThinking(true);
    }
  }

  /** @param {boolean} isThinking whether the model is still reasoning */
  setThinking(isThinking) {
    const text = isThinking ? "Thinking…" : "Reasoning";
    if (this.#summary.textContent !== text) {
      this.#summary.textContent = text;
    }
    this.element.classList.toggle("thinking", isThinking);
  }
}
