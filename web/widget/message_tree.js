/**
 * A conversation with its branches: each message follows another one, and several may follow the same. What is shown
 * is one path from the beginning to a leaf.
 *
 * Messages have ids that no other tab gives, and a message never moves: two copies of a conversation become one by
 * taking the messages of both.
 *
 * @module message_tree
 */

/** @import {ToolCall} from "../messages.js" */

/**
 * `reasoning_content` is what the model thought before it answered; it is shown, and not said again.
 * @typedef {{role: string, content: string, reasoning_content?: string, tool_calls?: ToolCall[],
 *   tool_call_id?: string, name?: string}} Message
 */

/** A message in its place; `parent` is null for a first one. @typedef {Message & {id: string, parent: string | null,
 * created_ms: number}} PlacedMessage */

/** @typedef {{messages: PlacedMessage[], leaf: string | null}} ConversationState */

export class MessageTree {
  /** @type {Map<string, PlacedMessage>} */
  #messages = new Map();
  /** By parent, in order of their coming. @type {Map<string | null, string[]>} */
  #children = new Map();
  /** Which of several was shown last, by parent. @type {Map<string | null, string>} */
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

  /** The end of what is shown. */
  get leaf() {
    return this.#leaf;
  }

  /** @returns {PlacedMessage | undefined} the last one that is shown */
  get last() {
    return this.#messages.get(this.#leaf ?? "");
  }

  /** @returns {ConversationState} */
  get state() {
    return { messages: [...this.#messages.values()].map((message) => ({ ...message })), leaf: this.#leaf };
  }

  /** @returns {PlacedMessage[]} what is shown, the first one first */
  get path() {
    return this.pathTo(this.#leaf);
  }

  /** @param {string | null} id */
  pathTo(id) {
    const path = [];
    for (let next = id; next !== null; ) {
      const message = this.#messages.get(next);
      if (!message || path.length > this.#messages.size) {
        break; // what it followed was taken back in another tab
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
   * @returns {{index: number, count: number}} its place among those that follow the same message
   */
  placeOf(id) {
    const siblings = this.#siblingsOf(id);
    return { index: siblings.indexOf(id), count: siblings.length };
  }

  /**
   * Put a message behind another one, and show it.
   *
   * @param {Message} message
   * @param {string | null} parent
   * @returns {PlacedMessage}
   */
  add(message, parent) {
    const before_ms = this.#messages.get(parent ?? "")?.created_ms ?? 0;
    // In the order of time, each message comes behind the one that it follows, whatever clocks say.
    const placed = { ...message, id: newId(), parent, created_ms: Math.max(Date.now(), before_ms + 1) };
    this.#insert(placed);
    if (parent === this.#leaf) {
      // The way to it is chosen already; to walk it for each of many messages would take long.
      this.#chosen.set(parent, placed.id);
      this.#leaf = placed.id;
    } else {
      this.select(placed.id);
    }
    return placed;
  }

  /**
   * Take what another copy has. What is shown stays, but for an answer that goes on from its end. A message only ever
   * grows, as it is written: of two, the longer one is newer.
   *
   * @param {PlacedMessage[]} messages
   * @returns {PlacedMessage[]} those that are new here, or say more than they did
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

  /** Show the path to a message, and nothing behind it. @param {string | null} id */
  select(id) {
    this.#leaf = id;
    for (const message of this.path) {
      this.#chosen.set(message.parent, message.id);
    }
  }

  /**
   * Show another one of those that follow the same message, and what was shown behind it.
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

  /** Take back a message that nothing follows. Another version is shown, if there is one. @param {string} id */
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

  /** @param {string} id @returns {string} the end of the branch that was shown behind it last */
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

  /** @param {string} id @param {string | null} [parent] @returns {string[]} itself too */
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

/** @returns {string} for a message or a conversation; no other tab gives it */
export function newId() {
  // randomUUID is for secure contexts alone; a page on a plain address has none.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
