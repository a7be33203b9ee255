/**
 * The sheet of the completion mode: one text that the person and the model write in turn.
 *
 * A native text area holds the text (editing, selection, undo, assistive technology); a copy of
 * it lies beneath, letter for letter, and shows who wrote what. The text area's own letters are
 * transparent. Both sit in one grid cell, so the copy's height is the text area's.
 *
 * @module manuscript
 */

import { h } from "./dom.js";

/** @typedef {{author: "person" | "model", text: string}} Run */

export class Manuscript {
  /** Together they are the text; each continuation begins one of its own. @type {Run[]} */
  #runs = [];
  #isBeginning = false;
  #input = h("textarea", {
    id: "text",
    part: "input",
    rows: "1",
    placeholder: "Begin a text, and the model goes on.",
    autocapitalize: "sentences",
  });
  #copy = h("div", { class: "copy", "aria-hidden": "true" });

  sendLabel = "Continue";

  constructor() {
    this.element = h(
      "div",
      { class: "scroller" },
      h("label", { for: "text", class: "unseen" }, "Text"),
      h("div", { class: "stack" }, this.#copy, this.#input),
    );
    this.#input.addEventListener("input", () => this.#takeEdit());
  }

  get text() {
    return this.#runs.map((run) => run.text).join("");
  }

  set text(text) {
    this.#runs = text ? [{ author: "person", text: toUnixLines(text) }] : [];
    this.#render();
  }

  /** What the model wrote last; "" when the person wrote last. */
  get continuation() {
    const last = this.#runs.at(-1);
    return last?.author === "model" ? last.text : "";
  }

  /** @returns {{prompt: string} | null} null when there is nothing to continue */
  takeRequest() {
    this.#isBeginning = true;
    return this.text.trim() ? { prompt: this.text } : null;
  }

  /** @param {string} text by the model, to go to the end */
  append(text) {
    const isAtEnd = isScrolledToEnd(this.element);
    if (this.#isBeginning) {
      this.#runs.push({ author: "model", text: toUnixLines(text) });
      this.#isBeginning = false;
    } else {
      this.#push("model", toUnixLines(text));
    }
    this.#render();
    if (isAtEnd) {
      this.element.scrollTop = this.element.scrollHeight;
    }
  }

  /** @returns {boolean} whether there is something to take back */
  get canUndo() {
    return this.continuation !== "";
  }

  /** Take back what the model wrote last. */
  undo() {
    if (this.canUndo) {
      this.#runs.pop();
      this.#render();
    }
  }

  clear() {
    this.text = "";
  }

  /** An error came before the end: there is nothing to mend here. */
  giveBack() {}

  /** @param {boolean} isBusy whether the model writes */
  setBusy(isBusy) {
    this.#input.readOnly = isBusy;
    this.element.classList.toggle("busy", isBusy);
  }

  focus() {
    this.#input.focus();
    this.#input.setSelectionRange(this.#input.value.length, this.#input.value.length);
  }

  /** Find what an edit replaced; that much is the person's now. */
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
    this.#push("person", after.slice(start, after.length - end));
    for (const run of tail) {
      this.#push(run.author, run.text);
    }
    this.#render();
  }

  /**
   * @param {Run["author"]} author
   * @param {string} text
   */
  #push(author, text) {
    const last = this.#runs.at(-1);
    if (last?.author === author) {
      last.text += text;
    } else if (text) {
      this.#runs.push({ author, text });
    }
  }

  #render() {
    this.#copy.replaceChildren(
      ...this.#runs.map(({ author, text }) =>
        h("span", author === "model" ? { class: "model", part: "continuation" } : {}, text),
      ),
      // A last line break has a line after it only if something stands there.
      h("span", { class: "end" }, "\u200b"),
    );
    if (this.#input.value !== this.text) {
      this.#input.value = this.text;
    }
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
  for (const { author, text } of runs) {
    const part = text.slice(Math.max(0, start - position), Math.max(0, end - position));
    if (part) {
      slice.push({ author, text: part });
    }
    position += text.length;
  }
  return slice;
}

/** @param {string} text as a text area would hold it */
function toUnixLines(text) {
  return text.replace(/\r\n?/g, "\n");
}

/**
 * @param {Element} element
 * @returns {boolean} whether its end is in sight, give or take a line or two
 */
export function isScrolledToEnd(element) {
  return element.scrollHeight - element.scrollTop - element.clientHeight < 48;
}
