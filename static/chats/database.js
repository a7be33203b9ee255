/**
 * Keeps conversations in IndexedDB, because it has small records with an index, and transactions across tabs. (OPFS,
 * which keeps the models, has neither.)
 *
 * Each message is a record of its own and never moves. So two tabs can write to one conversation at the same time, and
 * no message is lost.
 *
 * @module chats/database
 */

const NAME = "leadout-chats";
const VERSION = 1;

/** Tells other tabs what changed here. */
const CHANNEL = "leadout-chats";

/** How long the deletion of a conversation can be undone. */
export const UNDO_MS = 10_000;

/** How many messages a search reads at a time. */
const BATCH = 500;

/**
 * @typedef {{id: string, title: string, is_named: boolean, created_ms: number, changed_ms: number,
 *   leaf: string | null, deleted_ms: number | null}} ConversationRecord `is_named`: the user gave the title
 */

/** A message of <leadout-chat>, with the id of its conversation. @typedef {{id: string, parent: string | null, role: string,
 * content: string, created_ms: number, conversation: string}} MessageRecord */

export class ChatDatabase extends EventTarget {
  #database;
  #channel = new BroadcastChannel(CHANNEL);

  /** @param {IDBDatabase} database */
  constructor(database) {
    super();
    this.#database = database;
    // Another tab has a newer page. Close, so that it does not wait for this one.
    database.addEventListener("versionchange", () => database.close());
    this.#channel.onmessage = ({ data }) => this.dispatchEvent(new CustomEvent("change", { detail: data }));
  }

  /** @returns {Promise<ChatDatabase>} */
  static async open() {
    const opening = indexedDB.open(NAME, VERSION);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore("conversations", { keyPath: "id" });
      opening.result.createObjectStore("messages", { keyPath: "id" }).createIndex("conversation", "conversation");
    };
    const database = new ChatDatabase(await settled(opening));
    await database.forgetDeleted();
    return database;
  }

  /** @returns {Promise<ConversationRecord[]>} the last changed one first */
  async list() {
    const all = await settled(this.#read("conversations").getAll());
    return all.filter(({ deleted_ms }) => deleted_ms === null).sort((a, b) => b.changed_ms - a.changed_ms);
  }

  /** @param {string} id @returns {Promise<ConversationRecord | undefined>} */
  async find(id) {
    const found = await settled(this.#read("conversations").get(id));
    return found?.deleted_ms === null ? found : undefined;
  }

  /** @param {string} id of a conversation @returns {Promise<MessageRecord[]>} oldest first */
  async messagesOf(id) {
    const found = await settled(this.#read("messages").index("conversation").getAll(id));
    return found.sort((a, b) => a.created_ms - b.created_ms);
  }

  /**
   * @param {ConversationRecord[]} conversations
   * @returns {Promise<Map<string, MessageRecord[]>>} oldest first
   */
  async messagesOfAll(conversations) {
    if (conversations.length === 1) {
      const [{ id }] = conversations;
      return new Map([[id, await this.messagesOf(id)]]);
    }
    const all = await settled(this.#read("messages").getAll());
    return Map.groupBy(all.sort((a, b) => a.created_ms - b.created_ms), ({ conversation }) => conversation);
  }

  /**
   * @param {string} text
   * @param {AbortSignal} signal
   * @returns {Promise<Set<string>>} ids of conversations with a message that contains the text
   */
  async search(text, signal) {
    const wanted = text.toLowerCase();
    const found = new Set();
    /** @type {IDBKeyRange | null} */
    let range = null;
    for (;;) {
      const batch = await settled(this.#read("messages").getAll(range, BATCH));
      for (const { conversation, content, reasoning_content = "" } of batch) {
        if (!found.has(conversation) && `${content}\n${reasoning_content}`.toLowerCase().includes(wanted)) {
          found.add(conversation);
        }
      }
      if (batch.length < BATCH || signal.aborted) {
        return found;
      }
      range = IDBKeyRange.lowerBound(batch.at(-1).id, true);
    }
  }

  /**
   * Keep changes of a conversation. A conversation that another tab has deleted stays deleted.
   *
   * @param {ConversationRecord} conversation all fields of a new one; of a known one only `leaf` and `changed_ms` are used
   * @param {MessageRecord[]} messages
   * @param {string[]} removed ids of messages that were taken back
   * @returns {Promise<boolean>} false if the conversation was deleted
   */
  async put(conversation, messages, removed) {
    const isKept = await this.#write((conversations, records) => {
      const asking = conversations.get(conversation.id);
      return new Promise((resolve) => {
        asking.onsuccess = () => {
          const known = asking.result;
          if (known && known.deleted_ms !== null) {
            resolve(false);
            return;
          }
          const { leaf, changed_ms } = conversation;
          conversations.put(known ? { ...known, leaf, changed_ms } : conversation);
          messages.forEach((message) => records.put(message));
          removed.forEach((id) => records.delete(id));
          resolve(true);
        };
      });
    });
    this.#tell(conversation.id);
    return isKept;
  }

  /** @param {string} id @param {Partial<ConversationRecord>} change */
  async update(id, change) {
    await this.#write((conversations) => {
      const asking = conversations.get(id);
      asking.onsuccess = () => asking.result && conversations.put({ ...asking.result, ...change });
    });
    this.#tell(id);
  }

  /**
   * Add imported conversations: all of them, or none after an error. Existing records do not change.
   *
   * @param {{conversation: ConversationRecord, messages: MessageRecord[]}[]} imported
   * @returns {Promise<number>} how many messages are new
   */
  async add(imported) {
    let numNew = 0;
    await this.#write((conversations, records) => {
      for (const { conversation, messages } of imported) {
        const asking = conversations.get(conversation.id);
        asking.onsuccess = () => {
          const known = asking.result;
          conversations.put(known ? { ...known, deleted_ms: null } : conversation);
        };
        for (const message of messages) {
          const adding = records.add(message);
          adding.onsuccess = () => numNew++;
          adding.onerror = (event) => {
            event.preventDefault(); // the record exists already
            event.stopPropagation();
          };
        }
      }
    });
    this.#tell(null);
    return numNew;
  }

  /** Remove deleted conversations when the deletion can no longer be undone. */
  async forgetDeleted() {
    const before = Date.now() - UNDO_MS;
    const all = await settled(this.#read("conversations").getAll());
    for (const { id, deleted_ms } of all) {
      if (deleted_ms === null || deleted_ms > before) continue;
      await this.#write((conversations, records) => {
        const finding = conversations.get(id);
        finding.onsuccess = () => {
          if (finding.result?.deleted_ms !== deleted_ms) return; // another tab undid the deletion
          conversations.delete(id);
          const asking = records.index("conversation").getAllKeys(id);
          asking.onsuccess = () => asking.result.forEach((key) => records.delete(key));
        };
      });
    }
  }

  /** @param {"conversations" | "messages"} store */
  #read(store) {
    return this.#database.transaction(store).objectStore(store);
  }

  /**
   * @template T
   * @param {(conversations: IDBObjectStore, messages: IDBObjectStore) => T | Promise<T>} change
   * @returns {Promise<T>} resolves when the change is on the disk
   */
  async #write(change) {
    const transaction = this.#database.transaction(["conversations", "messages"], "readwrite");
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(undefined);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
    const result = change(transaction.objectStore("conversations"), transaction.objectStore("messages"));
    await done;
    return result;
  }

  /** @param {string | null} id of the conversation that changed; null: several */
  #tell(id) {
    this.#channel.postMessage({ id });
    this.dispatchEvent(new CustomEvent("change", { detail: { id, isOurs: true } }));
  }
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
