/**
 * The list of conversations beside the chat: open, search, rename, delete, undo, export and import.
 *
 * @module chats/sidebar
 */

/** @import {Keeper} from "./keeper.js" */
/** @import {ChatDatabase, ConversationRecord} from "./database.js" */

import { showHidden } from "../leadout.js";
import { UNDO_MS } from "./database.js";
import { Row } from "./row.js";
import { exportConversations, importConversations } from "./transfer.js";

/** How many rows are created at a time. */
const PAGE = 100;

/** The shortest time between two reads of the list while an answer is written. */
const REFRESH_MS = 300;

/** How long the user must not type before the search starts. */
const SEARCH_MS = 150;

const byId = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

export class Sidebar {
  #toggle = byId("chats-toggle");
  #panel = byId("chats-panel");
  #search = byId("chats-search");
  #list = byId("chats-list");
  #note = byId("chats-note");
  #undo = byId("chats-undo");
  #undoText = byId("chats-undo-text");
  #private = byId("chats-private");
  #file = byId("chats-file");
  #problem = byId("chats-problem");
  #keeper;
  #database;
  #chat;

  /** All kept conversations. @type {ConversationRecord[]} */
  #all = [];
  /** The conversations that the search found. @type {ConversationRecord[]} */
  #found = [];
  /** Conversations with a matching message; null without a search. @type {Set<string> | null} */
  #matches = null;
  /** @type {Map<string, Row>} */
  #rows = new Map();
  #numShown = PAGE;
  #more = document.createElement("li");
  #searching = new AbortController();
  #searchTimer = 0;
  #refreshTimer = 0;
  #readAtMs = -REFRESH_MS;
  #undoTimer = 0;
  /** @type {string | null} */
  #deleted = null;

  /** @param {{chat: any, keeper: Keeper, database: ChatDatabase}} parts */
  constructor({ chat, keeper, database }) {
    this.#chat = chat;
    this.#keeper = keeper;
    this.#database = database;
    this.#toggle.addEventListener("click", () => this.#setOpen(this.#toggle.getAttribute("aria-expanded") !== "true"));
    this.#search.addEventListener("input", () => this.#takeSearch());
    this.#search.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape" && this.#search.value) {
        this.#search.value = "";
        this.#takeSearch();
      }
    });
    byId("chat-new").addEventListener("click", () => this.#begin());
    byId("chats-undo-button").addEventListener("click", () => this.#takeBack());
    byId("chats-export").addEventListener("click", () => this.#run(() => this.#export(this.#all, "conversations")));
    byId("chats-import").addEventListener("click", () => this.#file.click());
    this.#file.addEventListener("change", () => this.#run(() => this.#import()));
    this.#private.checked = keeper.isPrivate;
    this.#private.addEventListener("change", () => {
      keeper.isPrivate = this.#private.checked;
      this.#show();
    });
    keeper.addEventListener("shown", () => this.#show());
    keeper.addEventListener("problem", (/** @type {any} */ { detail }) => this.#say(detail));
    database.addEventListener("change", () => this.refreshSoon());
    new IntersectionObserver((entries) => {
      if (entries.some(({ isIntersecting }) => isIntersecting)) {
        this.#numShown += PAGE;
        this.#show();
      }
    }).observe(this.#more);
    this.#more.className = "more";
    this.#more.setAttribute("aria-hidden", "true");
    for (const id of ["chats-toggle", "chats-search", "chats-private", "chat-new"]) {
      byId(id).disabled = false;
    }
  }

  /** Read the kept conversations again: now, or a little later if that was just done. */
  refreshSoon() {
    const wait = this.#readAtMs + REFRESH_MS - performance.now();
    this.#refreshTimer ||= setTimeout(async () => {
      await this.#refresh().catch((error) => this.#say(error));
      this.#refreshTimer = 0;
    }, Math.max(0, wait));
  }

  async #refresh() {
    this.#readAtMs = performance.now();
    this.#all = await this.#database.list();
    this.#filter();
  }

  /** @param {boolean} isOpen only matters if there is no room beside the chat */
  #setOpen(isOpen) {
    this.#toggle.setAttribute("aria-expanded", String(isOpen));
    this.#panel.classList.toggle("open", isOpen);
  }

  #begin() {
    this.#chat.mode = "chat";
    this.#keeper.begin();
    this.#setOpen(false);
    this.#chat.focus();
  }

  #takeSearch() {
    this.#searching.abort();
    clearTimeout(this.#searchTimer);
    const text = this.#search.value.trim();
    this.#matches = text ? new Set() : null;
    this.#filter();
    if (text) {
      const { signal } = (this.#searching = new AbortController());
      this.#searchTimer = setTimeout(async () => {
        const matches = await this.#database.search(text, signal);
        if (!signal.aborted) {
          this.#matches = matches;
          this.#filter();
        }
      }, SEARCH_MS);
    }
  }

  #filter() {
    const matches = this.#matches;
    const text = this.#search.value.trim().toLowerCase();
    this.#found = matches
      ? this.#all.filter(({ id, title }) => title.toLowerCase().includes(text) || matches.has(id))
      : this.#all;
    this.#show();
  }

  #show() {
    const shown = this.#found.slice(0, this.#numShown);
    const ids = new Set(shown.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (!ids.has(id)) {
        row.element.remove();
        this.#rows.delete(id);
      }
    }
    shown.forEach((record, index) => {
      let row = this.#rows.get(record.id);
      if (!row) {
        row = new Row({
          onOpen: (id) => this.#run(() => this.#open(id)),
          onRename: (id, title) => this.#run(() => this.#database.update(id, { title, is_named: true })),
          onDelete: (id, title) => this.#run(() => this.#delete(id, title)),
          onExport: (id, title) => this.#run(() => this.#exportOne(id, title)),
        });
        this.#rows.set(record.id, row);
      }
      row.show(record, record.id === this.#keeper.shown);
      const there = this.#list.children[index];
      if (there !== row.element) {
        this.#list.insertBefore(row.element, there ?? null);
      }
    });
    if (this.#found.length > this.#numShown) {
      this.#list.append(this.#more);
    } else {
      this.#more.remove();
    }
    const count = this.#all.length;
    this.#toggle.textContent = count > 0 ? `Conversations (${count})` : "Conversations";
    this.#note.textContent = this.#keeper.isPrivate
      ? "Private: what you write now is not kept. It is gone when this tab closes."
      : count === 0
        ? "What you write is kept in this browser, and nowhere else."
        : this.#found.length === 0
          ? "Nothing was found."
          : "";
    this.#note.hidden = !this.#note.textContent;
  }

  /** @param {string} id */
  async #open(id) {
    await this.#keeper.open(id);
    this.#setOpen(false);
    this.#chat.focus();
  }

  /** @param {string} id @param {string} title */
  async #delete(id, title) {
    await this.#database.update(id, { deleted_ms: Date.now() });
    clearTimeout(this.#undoTimer);
    this.#deleted = id;
    this.#undoText.textContent = `“${showHidden(title)}” was deleted.`;
    this.#undo.hidden = false;
    byId("chats-undo-button").focus();
    this.#undoTimer = setTimeout(() => {
      this.#undo.hidden = true;
      this.#deleted = null;
      this.#run(() => this.#database.forgetDeleted());
    }, UNDO_MS + 100);
  }

  #takeBack() {
    const id = this.#deleted;
    clearTimeout(this.#undoTimer);
    this.#undo.hidden = true;
    this.#deleted = null;
    if (id) {
      this.#run(async () => {
        await this.#database.update(id, { deleted_ms: null });
        await this.#open(id);
      });
    }
  }

  /** @param {string} id @param {string} title */
  async #exportOne(id, title) {
    const record = await this.#database.find(id);
    await this.#export(record ? [record] : [], title);
  }

  /** @param {ConversationRecord[]} records @param {string} name */
  async #export(records, name) {
    const messages = await this.#database.messagesOfAll(records);
    const all = records.map((conversation) => ({ conversation, messages: messages.get(conversation.id) ?? [] }));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(exportConversations(all));
    link.download = `leadout-${name.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 40)}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), UNDO_MS);
  }

  async #import() {
    const [file] = this.#file.files;
    this.#file.value = ""; // the same file can be chosen again
    if (file) {
      const imported = await importConversations(file);
      await this.#database.add(imported);
      await this.#refresh();
    }
  }

  /** @param {() => unknown} task */
  async #run(task) {
    try {
      this.#problem.hidden = true;
      await task();
    } catch (error) {
      this.#say(/** @type {Error} */ (error));
    }
  }

  /** @param {Error} error */
  #say({ name, message }) {
    this.#problem.textContent =
      name === "ConversationImportError" ? message : `Conversations could not be kept or read: ${message}`;
    this.#problem.hidden = false;
  }
}
