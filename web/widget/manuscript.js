/**
 * The sheet of the completion mode: one text that the user and the model write in turn.
 *
 * A native text area holds the text (for editing, selection, undo and assistive technology). Below it lies a copy of
 * the text that shows who wrote which part. The letters of the text area are transparent. Both are in one grid cell, so
 * they have the same height.
 *
 * @module manuscript
 */

/** @import {WrittenPiece} from "./follow.js" */

import { appendText, h } from "./dom.js";
import { ReasoningBox } from "./reasoning_box.js";

/**
 * A piece of text with one origin. `turn` is the number of its continuation, or 0 for the user's text. `isDraft` says
 * whether a drafter had guessed it.
 * @typedef {{turn: number, isDraft: boolean, text: string}} Run
 */

export class Manuscript {
  /** Together they are the text; two neighbours never have the same origin. @type {Run[]} */
  #runs = [];
  #numTurns = 0;
  #isBeginning = false;
  #input = h("textarea", {
    id: "text",
    part: "input",
    rows: "1",
    placeholder: "Begin a text, and the model goes on.",
    autocapitalize: "sentences",
  });
  // Browsers show a line after the last line break only if the line has a character.
  #end = h("span", { class: "end" }, "\u200b");
  #copy = h("div", { class: "copy", "aria-hidden": "true" });
  #scroller = h(
    "div",
    { class: "scroller" },
    h("label", { for: "text", class: "unseen" }, "Text"),
    h("div", { class: "stack" }, this.#copy, this.#input),
  );
  #reasoning = new ReasoningBox();

  sendLabel = "Continue";

  constructor() {
    this.element = h("div", { class: "manuscript" }, this.#scroller, this.#reasoning.element);
    this.#input.addEventListener("input", () => this.#takeEdit());
  }

  get text() {
    return this.#runs.map((run) => run.text).join("");
  }

  set text(text) {
    this.#runs = text ? [{ turn: 0, isDraft: false, text: toUnixLines(text) }] : [];
    this.#reasoning.text = "";
    this.#render();
  }

  /** The text that the model wrote last, or "" if the user wrote last. */
  get continuation() {
    return this.#lastTurn().map((run) => run.text).join("");
  }

  /**
   * @param {object} [_options] only for conversations; ignored
   * @returns {{prompt: string} | null} null when there is nothing to continue
   */
  takeRequest(_options) {
    this.#isBeginning = true;
    return this.text.trim() ? { prompt: this.text } : null;
  }

  /** @param {WrittenPiece[]} pieces of the model, to append */
  append(pieces) {
    const isAtEnd = isScrolledToEnd(this.#scroller);
    if (this.#isBeginning) {
      this.#isBeginning = false;
      this.#numTurns++;
      this.#reasoning.text = "";
    }
    for (const { text, reasoning, is_draft } of pieces) {
      this.#reasoning.append(reasoning);
      if (text) {
        this.#reasoning.setThinking(false);
        const run = { turn: this.#numTurns, isDraft: is_draft, text: toUnixLines(text) };
        this.#push(run);
        this.#show(run);
      }
    }
    this.#input.value = this.text;
    if (isAtEnd) {
      this.#scroller.scrollTop = this.#scroller.scrollHeight;
    }
  }

  /** @returns {boolean} whether a continuation can be taken back */
  get canUndo() {
    return this.continuation !== "";
  }

  /** Remove the model's last continuation. */
  undo() {
    if (this.canUndo) {
      this.#runs.splice(-this.#lastTurn().length);
      this.#reasoning.text = "";
      this.#render();
    }
  }

  clear() {
    this.text = "";
  }

  /** After an error, a text needs no change. */
  giveBack() {}

  /** @param {object} _calls tool calls; a text has none */
  finish(_calls) {}

  /** @param {boolean} isBusy whether the model is writing */
  setBusy(isBusy) {
    this.#input.readOnly = isBusy;
    this.element.classList.toggle("busy", isBusy);
    if (!isBusy) {
      this.#reasoning.setThinking(false);
    }
  }

  focus() {
    this.#input.focus();
    this.#input.setSelectionRange(this.#input.value.length, this.#input.value.length);
  }

  /** Find the part that an edit replaced, and mark it as the user's text. */
  #takeEdit() {
    const before = this.text;
    const after = this.#input.value;
    const shorter = Math.min(before.length, after.length);
    let start = 0;
    while (start < shorter && before[start] === after[start]) {
      start++;
    }
    let end = 0;
    while (
      end < shorter - start &&
      before[before.length - 1 - end] === after[after.length - 1 - end]
    ) {
      end++;
    }
    const head = sliceRuns(this.#runs, 0, start);
    const tail = sliceRuns(this.#runs, before.length - end, before.length);
    this.#runs = head;
    this.#push({ turn: 0, isDraft: false, text: after.slice(start, after.length - end) });
    for (const run of tail) {
      this.#push(run);
    }
    this.#render();
  }

  /** @returns {Run[]} the runs of the model's last continuation, without the text before an edit in it */
  #lastTurn() {
    const turn = this.#runs.at(-1)?.turn ?? 0;
    const before = this.#runs.findLastIndex((run) => run.turn !== turn);
    return turn ? this.#runs.slice(before + 1) : [];
  }

  /** @param {Run} run */
  #push({ turn, isDraft, text }) {
    const last = this.#runs.at(-1);
    if (last?.turn === turn && last.isDraft === isDraft) {
      last.text += text;
    } else if (text) {
      this.#runs.push({ turn, isDraft, text });
    }
  }

  /** Render the whole text into the copy, with one span per continuation. */
  #render() {
    this.#copy.replaceChildren(this.#end);
    for (const run of this.#runs) {
      this.#show(run);
    }
    if (this.#input.value !== this.text) {
      this.#input.value = this.text;
    }
  }

  /** Append a run to the copy. @param {Run} run */
  #show({ turn, isDraft, text }) {
    let span = /** @type {HTMLElement | null} */ (this.#end.previousElementSibling);
    if (span?.dataset.turn !== String(turn)) {
      span = h("span", turn ? { class: "model", part: "continuation" } : {});
      span.dataset.turn = String(turn);
      this.#end.before(span);
    }
    appendText(span, text, isDraft);
  }
}

/**
 * @param {Run[]} runs
 * @param {number} start
 * @param {number} end
 * @returns {Run[]}
 */
function sliceRuns(runs, start, end) {
  const slice = [];
  let position = 0;
  for (const { text, ...origin } of runs) {
    const part = text.slice(Math.max(0, start - position), Math.max(0, end - position));
    if (part) {
      slice.push({ ...origin, text: part });
    }
    position += text.length;
  }
  return slice;
}

/** @param {string} text @returns {string} with the line breaks of a text area */
function toUnixLines(text) {
  return text.replace(/\r\n?/g, "\n");
}

/**
 * @param {Element} element
 * @returns {boolean} whether its end is visible, or less than a line or two away
 */
export function isScrolledToEnd(element) {
  return element.scrollHeight - element.scrollTop - element.clientHeight < 48;
}
