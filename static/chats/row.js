/**
 * One conversation in the list.
 *
 * @module chats/row
 */

/** @import {ConversationRecord} from "./database.js" */

import { showHidden } from "../leadout.js";

/**
 * @typedef {object} RowHandlers
 * @property {(id: string) => void} onOpen
 * @property {(id: string, title: string) => void} onRename
 * @property {(id: string, title: string) => void} onDelete
 * @property {(id: string, title: string) => void} onExport
 */

const MAX_TITLE = 200;

export class Row {
  element = document.createElement("li");
  #open = newButton("", "open");
  #menu = newButton("⋯", "menu");
  #actions = document.createElement("div");
  #input = document.createElement("input");
  #id = "";
  #title = "";
  #handlers;

  /** @param {RowHandlers} handlers */
  constructor(handlers) {
    this.#handlers = handlers;
    this.#actions.className = "line";
    this.#actions.hidden = true;
    const actions = {
      Rename: () => this.#rename(),
      Export: () => handlers.onExport(this.#id, this.#title),
      Delete: () => handlers.onDelete(this.#id, this.#title),
    };
    for (const [text, run] of Object.entries(actions)) {
      const button = newButton(text, text.toLowerCase());
      button.addEventListener("click", () => {
        this.#setMenu(false);
        run();
      });
      this.#actions.append(button);
    }
    this.#input.type = "text";
    this.#input.maxLength = MAX_TITLE;
    this.#input.hidden = true;
    this.#input.setAttribute("aria-label", "Name of the conversation");
    this.#input.addEventListener("keydown", (event) => {
      const isEnter = event.key === "Enter" && !event.isComposing;
      if (isEnter || event.key === "Escape") {
        event.preventDefault(); // the focus moves to a button, and the key must not press it
        this.#finish(isEnter);
      }
    });
    this.#input.addEventListener("blur", () => this.#finish(true));
    this.#open.addEventListener("click", () => handlers.onOpen(this.#id));
    this.#menu.setAttribute("aria-expanded", "false");
    this.#menu.addEventListener("click", () => this.#setMenu(this.#actions.hidden));
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !this.#actions.hidden) {
        this.#setMenu(false);
        this.#menu.focus();
      }
    });
    this.element.append(this.#open, this.#input, this.#menu, this.#actions);
  }

  /** @param {ConversationRecord} record @param {boolean} isShown */
  show({ id, title }, isShown) {
    this.#id = id;
    this.#title = title;
    const text = showHidden(title) || "Without a name";
    if (this.#open.textContent !== text) {
      this.#open.textContent = text;
      this.#open.title = text;
      this.#menu.setAttribute("aria-label", `More for ${text}`);
    }
    if (isShown) {
      this.#open.setAttribute("aria-current", "true");
    } else {
      this.#open.removeAttribute("aria-current");
    }
  }

  /** @param {boolean} isOpen */
  #setMenu(isOpen) {
    this.#actions.hidden = !isOpen;
    this.#menu.setAttribute("aria-expanded", String(isOpen));
  }

  #rename() {
    this.#input.value = this.#title;
    this.#input.hidden = false;
    this.#open.hidden = this.#menu.hidden = true;
    this.#input.select();
    this.#input.focus();
  }

  /** @param {boolean} isWanted */
  #finish(isWanted) {
    if (this.#input.hidden) {
      return;
    }
    const title = this.#input.value.trim();
    const hadFocus = document.activeElement === this.#input;
    this.#input.hidden = true;
    this.#open.hidden = this.#menu.hidden = false;
    if (hadFocus) {
      this.#open.focus();
    }
    if (isWanted && title && title !== this.#title) {
      this.#handlers.onRename(this.#id, title);
    }
  }
}

/** @param {string} text @param {string} name */
function newButton(text, name) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = name;
  button.textContent = text;
  return button;
}
