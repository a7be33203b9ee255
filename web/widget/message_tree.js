/**
 * A conversation with its branches: each message follows another one, and several may follow the same message. The path
 * from the first message to a leaf is shown.
 *
 * Ids of messages are unique across tabs, and a message never moves. So two copies of a conversation are merged by
 * taking the messages of both.
 *
 * @module message_tree
 */

/** @import {ToolCall} from "../messages.js" */

/**
 * `reasoning_content` is the model's reasoning before the answer. It is shown, but not sent to the model again.
 * @typedef {{role: string, content: string, reasoning_content?: string, tool_calls?: ToolCall[],
 *   tool_call_id?: string, name?: string}} Message
 */

/** A message in the tree; `parent` is null for a first message. @typedef {Message & {id: string, parent: string | null,
 * created_ms: number}} PlacedMessage */

/** @typedef {{messages: PlacedMessage[], leaf: string | null}} ConversationState */

export class MessageTree {
  /** @type {Map<string, PlacedMessage>} */
  #messages = new Map();
  /** Ids by parent, in the order in which they were added. @type {Map<string | null, string[]>} */
  #children = new Map();
  /** The child that was shown last, by parent. @type {Map<string | null, string>} */
  #chosen = new Map();
  /** @type {string | null} */
  #leaf = null;

  /** @param {ConversationState} [state] */
  constructor({ messages, leaf } = { messages: [], leaf: null }) {
    this.merge(messages);
    const last = messages.at(-1)?.id ?? null;
    const shown = leaf !== null && this.#messages.has(leaf) ? leaf : last;
    this.select(shown === null ? null : this.#endFrom(shown));
  }

  /** The id of the last message that is shown. */
  get leaf() {
    return this.#leaf;
  }

  /** @returns {PlacedMessage | undefined} the last message that is shown */
  get last() {
    return this.#messages.get(this.#leaf ?? "");
  }

  /** @returns {ConversationState} */
  get state() {
    return { messages: [...this.#messages.values()].map((message) => ({ ...message })), leaf: this.#leaf };
  }

  /** @returns {PlacedMessage[]} the messages that are shown, in order */
  get path() {
    return this.pathTo(this.#leaf);
  }

  /** @param {string | null} id */
  pathTo(id) {
    const path = [];
    for (let next = id; next !== null; ) {
      const message = this.#messages.get(next);
      if (!message || path.length > this.#messages.size) {
        break; // its parent was removed in another tab
      }
      path.push(message);
      next = message.parent;
    }
    return path.reverse();
  }

  /** @param {string | null} id */
  has(id) {
    return id === null || this.#messages.has(id);
  }

  /** @param {string} id @returns {PlacedMessage | undefined} */
  get(id) {
    return this.#messages.get(id);
  }

  /**
   * @param {string} id
   * @returns {{index: number, count: number}} its index among the messages with the same parent
   */
  placeOf(id) {
    const siblings = this.#siblingsOf(id);
    return { index: siblings.indexOf(id), count: siblings.length };
  }

  /**
   * Add a message after another one, and show it.
   *
   * @param {Message} message
   * @param {string | null} parent
   * @returns {PlacedMessage}
   */
  add(message, parent) {
    const before_ms = this.#messages.get(parent ?? "")?.created_ms ?? 0;
    // A message is always later than its parent, even if clocks differ.
    const placed = { ...message, id: newId(), parent, created_ms: Math.max(Date.now(), before_ms + 1) };
    this.#insert(placed);
    if (parent === this.#leaf) {
      // The path to it is chosen already. Walking it again for each of many messages would take long.
      this.#chosen.set(parent, placed.id);
      this.#leaf = placed.id;
    } else {
      this.select(placed.id);
    }
    return placed;
  }

  /**
   * Merge the messages of another copy. The shown path stays; only messages that continue it from its end are added to
   * it. A message only grows while it is written, so the longer of two versions is the newer one.
   *
   * @param {PlacedMessage[]} messages
   * @returns {PlacedMessage[]} the messages that are new here or have become longer
   */
  merge(messages) {
    const changed = [];
    for (const message of messages) {
      const known = this.#messages.get(message.id);
      if (!known) {
        this.#insert({ ...message });
        changed.push(message);
      } else if (sizeOf(message) > sizeOf(known)) {
        Object.assign(known, message);
        changed.push(message);
      }
    }
    if (changed.length > 0 && this.#leaf !== null) {
      this.select(this.#endFrom(this.#leaf));
    }
    return changed;
  }

  /** Show the path to a message, and nothing after it. @param {string | null} id */
  select(id) {
    this.#leaf = id;
    for (const message of this.path) {
      this.#chosen.set(message.parent, message.id);
    }
  }

  /**
   * Show the next or previous message with the same parent, and the path that was last shown after it.
   *
   * @param {string} id
   * @param {-1 | 1} step
   */
  step(id, step) {
    const siblings = this.#siblingsOf(id);
    const next = siblings[siblings.indexOf(id) + step];
    if (next !== undefined) {
      this.select(this.#endFrom(next));
    }
  }

  /** Remove a message without children. Another version of it is shown, if there is one. @param {string} id */
  remove(id) {
    const message = this.#messages.get(id);
    if (message && !this.#children.get(id)?.length) {
      this.#messages.delete(id);
      const siblings = this.#siblingsOf(id, message.parent).filter((other) => other !== id);
      this.#children.set(message.parent, siblings);
      if (this.#chosen.get(message.parent) === id) {
        this.#chosen.delete(message.parent);
      }
      if (this.#leaf === id) {
        const other = siblings.at(-1) ?? message.parent;
        this.select(other === null ? null : this.#endFrom(other));
      }
    }
  }

  /** @param {string} id @returns {string} the leaf of the path that was last shown after it */
  #endFrom(id) {
    let end = id;
    for (let steps = 0; steps < this.#messages.size; steps++) {
      const next = this.#chosen.get(end) ?? this.#children.get(end)?.at(-1);
      if (next === undefined) {
        break;
      }
      end = next;
    }
    return end;
  }

  /** @param {string} id @param {string | null} [parent] @returns {string[]} all ids with the same parent, its own too */
  #siblingsOf(id, parent = this.#messages.get(id)?.parent ?? null) {
    return this.#children.get(parent) ?? [];
  }

  /** @param {PlacedMessage} message */
  #insert(message) {
    this.#messages.set(message.id, message);
    const siblings = this.#children.get(message.parent);
    if (siblings) {
      siblings.push(message.id);
    } else {
      this.#children.set(message.parent, [message.id]);
    }
  }
}

/** @param {Message} message */
function sizeOf({ content, reasoning_content = "", tool_calls = [] }) {
  return content.length + reasoning_content.length + tool_calls.length;
}

/** @returns {string} an id for a message or a conversation, unique across tabs */
export function newId() {
  // randomUUID exists only in secure contexts, so a page without HTTPS has none.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
