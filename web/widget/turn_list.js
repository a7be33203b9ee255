/**
 * The turns of a conversation in their log. A long conversation shows its last turns first, and earlier ones when the
 * user scrolls up to them. Turns that came together are in one group, which the browser skips while it is out of sight:
 * each step up then costs the same, however many turns are there.
 *
 * @module turn_list
 */

/** @import {Markdown} from "./markdown.js" */
/** @import {PlacedMessage} from "./message_tree.js" */
/** @import {TurnHandlers} from "./turn.js" */

import { copyText } from "./clipboard.js";
import { h } from "./dom.js";
import { Turn } from "./turn.js";

/** How many turns are created at a time. */
const PAGE = 40;

export class TurnList {
  #log;
  #handlers;
  #placeOf;
  /** @type {PlacedMessage[]} */
  #path = [];
  /** The turns at the end of the path. @type {Turn[]} */
  #turns = [];
  /** @type {Markdown | null} */
  #markdown = null;
  #earlier = h("button", { type: "button", class: "quiet earlier" }, "Earlier messages");

  /**
   * @param {HTMLElement} log
   * @param {TurnHandlers} handlers
   * @param {(id: string) => {index: number, count: number}} placeOf returns a message's index among its versions
   */
  constructor(log, handlers, placeOf) {
    this.#log = log;
    this.#handlers = handlers;
    this.#placeOf = placeOf;
    this.#earlier.addEventListener("click", () => this.#showEarlier());
    const seen = new IntersectionObserver(
      (entries) => {
        if (entries.some(({ isIntersecting }) => isIntersecting)) this.#showEarlier();
      },
      { root: log },
    );
    seen.observe(this.#earlier);
    log.addEventListener("click", ({ target }) => {
      if (target instanceof HTMLElement && target.classList.contains("copy-code")) {
        copyText(target, target.closest(".code")?.querySelector("code")?.textContent ?? "");
      }
    });
  }

  /** @returns {Turn | undefined} */
  get last() {
    return this.#turns.at(-1);
  }

  /** Show a path instead of the current one. @param {PlacedMessage[]} path */
  show(path) {
    // Turns that stay are not touched, so that nothing flickers.
    const first = Math.max(0, path.length - Math.max(PAGE, this.#turns.length));
    const known = new Map(this.#turns.map((turn) => [turn.message, turn]));
    this.#path = [...path];
    this.#turns = path.slice(first).map((message) => known.get(message) ?? this.#newTurn(message));
    for (const turn of known.values()) {
      turn.setPlace(this.#placeOf(turn.message.id));
    }
    const elements = new Set(this.#turns.map(({ element }) => element));
    for (const group of this.#log.querySelectorAll(".earlier-turns")) {
      const turns = /** @type {HTMLElement[]} */ ([...group.children]);
      if (!turns.every((turn) => elements.has(turn))) group.replaceWith(...turns);
    }
    const parts = new Set([...elements].map((turn) => turn.closest(".earlier-turns") ?? turn));
    const wanted = first > 0 ? [this.#earlier, ...parts] : [...parts];
    for (const child of [...this.#log.children]) {
      if (!wanted.includes(/** @type {HTMLElement} */ (child))) child.remove();
    }
    wanted.forEach((element, index) => {
      if (this.#log.children[index] !== element) {
        this.#log.insertBefore(element, this.#log.children[index] ?? null);
      }
    });
  }

  /** @param {PlacedMessage[]} messages that follow the shown ones */
  showMore(messages) {
    for (const message of messages) {
      const turn = this.#newTurn(message);
      this.#path.push(message);
      this.#turns.push(turn);
      this.#log.append(turn.element);
    }
  }

  /** @param {string[]} ids of messages with changed content */
  refresh(ids) {
    for (const turn of this.#turns) {
      if (ids.includes(turn.message.id)) turn.refresh();
    }
  }

  /** @param {Markdown | null} markdown */
  setMarkdown(markdown) {
    this.#markdown = markdown;
    for (const turn of this.#turns) {
      turn.setMarkdown(markdown);
    }
  }

  /** @param {boolean} isBusy */
  setBusy(isBusy) {
    for (const turn of this.#turns) {
      turn.setBusy(isBusy);
    }
    this.last?.tools.classList.toggle("writing", isBusy);
  }

  /** @param {string} id of the message with the versions that the user steps through */
  focusStep(id) {
    this.#turns.find(({ message }) => message.id === id)?.focusStep();
  }

  #showEarlier() {
    const numHidden = this.#path.length - this.#turns.length;
    const first = Math.max(0, numHidden - PAGE);
    const earlier = this.#path.slice(first, numHidden).map((message) => this.#newTurn(message));
    const { scrollHeight, scrollTop } = this.#log;
    this.#turns.unshift(...earlier);
    const group = h("div", { class: "earlier-turns" }, ...earlier.map(({ element }) => element));
    this.#earlier.after(group);
    if (first === 0) {
      this.#earlier.remove();
    }
    this.#log.scrollTop = scrollTop + this.#log.scrollHeight - scrollHeight;
    group.style.containIntrinsicBlockSize = `auto ${group.offsetHeight}px`; // its size while it is skipped
    group.classList.add("measured");
  }

  /** @param {PlacedMessage} message */
  #newTurn(message) {
    const turn = new Turn(message, this.#handlers);
    turn.setMarkdown(this.#markdown);
    turn.setPlace(this.#placeOf(message.id));
    return turn;
  }
}
