/**
 * The text of one message as it is shown: as Markdown, or letter for letter with its drafted tokens marked.
 *
 * While it grows, only its last block is made anew, and what of that is the same already stays.
 *
 * @module answer_text
 */

/** @import {WrittenPiece} from "./follow.js" */
/** @import {Markdown} from "./markdown.js" */

import { appendText, h } from "./dom.js";
import { showHidden } from "./hidden_characters.js";
import { morphChildren } from "./morph.js";

/** Of the time, how much a growing text may take: a long table or list is shown less often. */
const MOST_SHARE = 0.25;

/** A stretch of text; drafted or not. @typedef {{text: string, isDraft: boolean}} Run */

export class AnswerText {
  /** @type {Run[]} */
  #runs = [];
  /** @type {Markdown | null} null: letter for letter */
  #markdown = null;
  /** Of the source, what is shown for good; the rest is one block. */
  #numSettled = 0;
  /** How many children show that. */
  #numSettledNodes = 0;
  /** How many whole lines were looked at for that, by their length. */
  #numSeen = 0;
  /** Link definitions. */
  #env = {};
  #source = "";
  /** When it may be shown again. */
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

  /** @param {Markdown | null} markdown null: letter for letter */
  setMarkdown(markdown) {
    if (markdown !== this.#markdown) {
      this.#markdown = markdown;
      this.#showAll();
    }
  }

  /** @param {WrittenPiece[]} pieces to go to the end */
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

  /** Nothing more comes. */
  finish() {
    if (this.#markdown) {
      this.#showMore();
      if (Object.keys(/** @type {any} */ (this.#env).references ?? {}).length > 0) {
        // A link may be defined behind its use.
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

  /** Show what came. */
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
