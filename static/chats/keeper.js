/**
 * Keeps the conversations of <leadout-chat>. It shows them again in this tab after a reload, and updates other tabs that
 * show the same conversation.
 *
 * @module chats/keeper
 */

/** @import {ChatDatabase, ConversationRecord} from "./database.js" */

/** Storage key of the conversation that this tab shows. */
const SHOWN = "leadout-chat";
/** Storage key of the private mode, in which no tab keeps anything. */
const PRIVATE = "leadout-private";

const TITLE_LENGTH = 60;

export class Keeper extends EventTarget {
  #chat;
  #database;
  #isExample;
  /** @type {string | null} the shown conversation; null: nothing of it is kept yet */
  #id = null;
  /** The conversation that the user opened last. @type {string | null} */
  #asked = null;
  /** When the shown conversation was created. */
  #createdMs = 0;
  /** Whether messages of it are not kept yet, because they were only the example. */
  #isUnkept = true;
  /** The last write; each write waits for the one before. @type {Promise<unknown>} */
  #writing = Promise.resolve();

  /**
   * @param {any} chat the <leadout-chat>
   * @param {ChatDatabase} database
   * @param {() => boolean} isExample whether the conversation has only the example
   */
  constructor(chat, database, isExample) {
    super();
    this.#chat = chat;
    this.#database = database;
    this.#isExample = isExample;
    chat.addEventListener("leadout-conversation", (/** @type {any} */ { detail }) => this.#take(detail));
    database.addEventListener("change", (/** @type {any} */ { detail }) => this.#follow(detail));
  }

  /** The conversation that is shown, if it is kept. */
  get shown() {
    return this.#id;
  }

  get isPrivate() {
    return readKept("localStorage", PRIVATE) === "yes";
  }

  /** Switch the private mode on or off. A new conversation begins. */
  set isPrivate(isPrivate) {
    writeKept("localStorage", PRIVATE, isPrivate ? "yes" : null);
    this.begin();
  }

  /** Show the conversation from before a reload again. */
  async restore() {
    const id = readKept("sessionStorage", SHOWN);
    if (id && !this.isPrivate && this.#chat.messages.length === 0) {
      await this.open(id);
    }
  }

  /** Begin a new conversation. */
  begin() {
    this.#chat.stop();
    // Do this first, so that a half-written answer is kept in its own conversation.
    this.#chat.conversation = { messages: [], leaf: null };
    this.#show(null);
  }

  /**
   * @param {string} id
   * @returns {Promise<boolean>} false if the conversation no longer exists, or the user opened another one meanwhile
   */
  async open(id) {
    this.#asked = id;
    await this.#writing;
    const [record, messages] = await Promise.all([this.#database.find(id), this.#database.messagesOf(id)]);
    if (!record || this.#asked !== id) {
      return false;
    }
    this.#chat.mode = "chat";
    this.#chat.stop();
    this.#chat.conversation = { messages: messages.map(toPlaced), leaf: record.leaf };
    this.#show(id, record);
    return true;
  }

  /** @param {string | null} id @param {ConversationRecord} [record] */
  #show(id, record) {
    this.#id = this.#asked = id;
    this.#createdMs = record?.created_ms ?? Date.now();
    this.#isUnkept = record === undefined;
    writeKept("sessionStorage", SHOWN, id);
    this.dispatchEvent(new Event("shown"));
  }

  /** @param {{changed: object[], removed: string[], leaf: string | null, isNew: boolean}} change */
  #take({ changed, removed, leaf, isNew }) {
    if (isNew) {
      this.#show(null);
    }
    if (this.isPrivate || this.#isExample() || (this.#id === null && changed.length === 0)) {
      return;
    }
    let messages = changed;
    if (this.#isUnkept) {
      messages = this.#chat.conversation.messages;
      this.#isUnkept = false;
    }
    if (this.#id === null) {
      this.#id = newId();
      writeKept("sessionStorage", SHOWN, this.#id);
      this.dispatchEvent(new Event("shown"));
    }
    const conversation = this.#id;
    const record = {
      id: conversation,
      title: toTitle(messages),
      is_named: false,
      created_ms: this.#createdMs,
      changed_ms: Date.now(),
      leaf,
      deleted_ms: null,
    };
    const records = structuredClone(messages).map((message) => ({ ...message, conversation }));
    this.#writing = this.#writing.then(async () => {
      try {
        await this.#database.put(record, records, removed);
      } catch (error) {
        this.dispatchEvent(new CustomEvent("problem", { detail: error }));
      }
    });
  }

  /** Update the chat after a change, maybe in another tab. @param {{id: string | null, isOurs?: boolean}} change */
  async #follow({ id, isOurs }) {
    const shown = this.#id;
    if (shown === null || (id !== null && id !== shown)) {
      return;
    }
    const [record, messages] = await Promise.all([this.#database.find(shown), this.#database.messagesOf(shown)]);
    if (this.#id !== shown) {
      return;
    }
    if (!record) {
      this.begin(); // it was deleted
    } else if (!isOurs) {
      this.#chat.mergeMessages(messages.map(toPlaced));
    }
  }
}

/** @param {{role: string, content: string}[]} messages */
function toTitle(messages) {
  const said = messages.find(({ role, content }) => role === "user" && content.trim())?.content ?? "Conversation";
  const line = said.trim().split("\n", 1)[0];
  return line.length > TITLE_LENGTH ? `${line.slice(0, TITLE_LENGTH).trimEnd()}…` : line;
}

/** @param {import("./database.js").MessageRecord} record */
function toPlaced({ conversation: _kept, ...message }) {
  return message;
}

/** @returns {string} an id that is unique across tabs */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {"localStorage" | "sessionStorage"} storage @param {string} key */
function readKept(storage, key) {
  try {
    return globalThis[storage].getItem(key);
  } catch {
    return null; // storage is switched off in this browser
  }
}

/** @param {"localStorage" | "sessionStorage"} storage @param {string} key @param {string | null} value */
function writeKept(storage, key, value) {
  try {
    if (value === null) {
      globalThis[storage].removeItem(key);
    } else {
      globalThis[storage].setItem(key, value);
    }
  } catch {
    // Storage is switched off or full. Then the next visit does not know this.
  }
}
