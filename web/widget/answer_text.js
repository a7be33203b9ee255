/**
 * Shows the text of one message: as Markdown, or as plain text with its drafted tokens marked.
 *
 * While the text grows, only its last block is rendered again, and unchanged nodes of that block stay.
 *
 * @module answer_text
 */

/** @import {WrittenPiece} from "./follow.js" */
/** @import {Markdown} from "./markdown.js" */

import { appendText, h } from "./dom.js";
import { showHidden } from "./hidden_characters.js";
import { morphChildren } from "./morph.js";

/** The largest share of time for rendering a growing text. A long table or list is rendered less often. */
const MOST_SHARE = 0.25;

/** A piece of text that is all drafted, or not at all. @typedef {{text: string, isDraft: boolean}} Run */

export class AnswerText {
  /** @type {Run[]} */
  #runs = [];
  /** @type {Markdown | null} null: plain text */
  #markdown = null;
  /** How many characters of the source are rendered for good. The rest is one block. */
  #numSettled = 0;
  /** How many child nodes show these characters. */
  #numSettledNodes = 0;
  /** How many characters, in whole lines, were searched for the last block. */
  #numSeen = 0;
  /** Link definitions. */
  #env = {};
  #source = "";
  /** The time from which the text may be rendered again. */
  #restUntilMs = 0;
  #timer = 0;

  constructor(text = "") {
    this.element = h("div", { class: "content", dir: "auto" });
    this.set(text);
  }

  get text() {
    return this.#runs.map(({ text }) => text).join("");
  }

  /** @param {string} text */
  set(text) {
    this.#runs = text ? [{ text, isDraft: false }] : [];
    this.#showAll();
  }

  /** @param {Markdown | null} markdown null: plain text */
  setMarkdown(markdown) {
    if (markdown !== this.#markdown) {
      this.#markdown = markdown;
      this.#showAll();
    }
  }

  /** @param {WrittenPiece[]} pieces to append */
  append(pieces) {
    for (const { text, is_draft: isDraft } of pieces) {
      if (!text) continue;
      const last = this.#runs.at(-1);
      if (last?.isDraft === isDraft) {
        last.text += text;
      } else {
        this.#runs.push({ text, isDraft });
      }
      if (!this.#markdown) {
        appendText(this.element, showHidden(text), isDraft);
      }
    }
    if (this.#markdown) {
      const wait = this.#restUntilMs - performance.now();
      if (wait <= 0) {
        this.#showMore();
      } else {
        this.#timer ||= setTimeout(() => this.#showMore(), wait);
      }
    }
  }

  /** The text is complete. */
  finish() {
    if (this.#markdown) {
      this.#showMore();
      if (Object.keys(/** @type {any} */ (this.#env).references ?? {}).length > 0) {
        // A link may be defined after its use.
        morphChildren(this.element, 0, this.#markdown.render(this.#source));
      }
    }
  }

  #showAll() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#numSettled = this.#numSettledNodes = this.#numSeen = 0;
    this.element.classList.toggle("markdown", this.#markdown !== null);
    if (!this.#markdown) {
      this.element.replaceChildren();
      for (const { text, isDraft } of this.#runs) {
        appendText(this.element, showHidden(text), isDraft);
      }
      return;
    }
    this.#source = showHidden(this.text);
    this.element.replaceChildren(this.#markdown.render(this.#source));
    this.#env = {};
  }

  /** Show the text that was appended. */
  #showMore() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const markdown = /** @type {Markdown} */ (this.#markdown);
    const begun = performance.now();
    this.#source = showHidden(this.text);
    const numWhole = this.#source.lastIndexOf("\n") + 1;
    if (numWhole > this.#numSeen) {
      this.#numSeen = numWhole;
      const lines = this.#source.slice(this.#numSettled, numWhole);
      const numMore = markdown.findLastBlock(lines, this.#env);
      if (numMore > 0) {
        const settled = this.#source.slice(this.#numSettled, this.#numSettled + numMore);
        morphChildren(this.element, this.#numSettledNodes, markdown.render(settled, this.#env));
        this.#numSettled += numMore;
        this.#numSettledNodes = this.element.childNodes.length;
      }
    }
    const last = markdown.render(this.#source.slice(this.#numSettled), this.#env);
    morphChildren(this.element, this.#numSettledNodes, last);
    const now = performance.now();
    this.#restUntilMs = now + (now - begun) * (1 / MOST_SHARE - 1);
  }
}
