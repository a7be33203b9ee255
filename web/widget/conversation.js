/**
 * The chat mode: turns above, the next message below.
 *
 * @module conversation
 */

/** @import {ToolCall} from "../messages.js" */
/** @import {WrittenPiece} from "./follow.js" */
/** @import {Markdown} from "./markdown.js" */
/** @import {ConversationState, Message, PlacedMessage} from "./message_tree.js" */
/** @import {Turn, TurnHandlers} from "./turn.js" */

import { h } from "./dom.js";
import { isScrolledToEnd } from "./manuscript.js";
import { MessageTree } from "./message_tree.js";
import { TurnList } from "./turn_list.js";
import { isSendKey } from "./turn.js";

/**
 * Turns the conversation (the new message is its last) into the messages for the model, for example with a system
 * turn before them. Or it refuses the message: it tells the user why and returns null. It may set the element's
 * `messages`; then the new message follows these.
 * @typedef {(said: Message[]) => Message[] | null} PrepareMessages
 */

/**
 * What changed in a conversation. `isNew`: another conversation is shown from now on.
 * @typedef {{changed: PlacedMessage[], removed: string[], leaf: string | null, isNew: boolean}} ConversationChange
 */

/**
 * @typedef {object} SendOptions
 * @property {string} [message] sent instead of the text in the input
 * @property {PrepareMessages | null} [prepare]
 * @property {string} [edits] id of a question; the message is a new version of it, and both are kept as branches
 * @property {string} [regenerates] id of an answer; a second version of it is written
 */

/** How often a growing answer is reported as a change. */
const CHANGE_MS = 2000;

export class Conversation {
  #tree = new MessageTree();
  #log = h("div", { class: "log", role: "log", "aria-live": "off", "aria-label": "Conversation", tabindex: "0" });
  #turns;
  #input = h("textarea", {
    id: "text",
    part: "input",
    rows: "3",
    placeholder: "Write a message.",
    autocapitalize: "sentences",
    enterkeyhint: "send",
  });
  #isBusy = false;
  /** The turn that the model is writing. @type {Turn | null} */
  #writing = null;
  #onChange;
  #toldMs = 0;
  /** What to take back if the request fails. @type {{ids: string[], leaf: string | null, draft: string}} */
  #begun = { ids: [], leaf: null, draft: "" };

  sendLabel = "Send";

  /**
   * @param {object} handlers
   * @param {(options: SendOptions) => void} handlers.onSend a key or a button asks for an answer
   * @param {(change: ConversationChange) => void} handlers.onChange
   */
  constructor({ onSend, onChange }) {
    this.#onChange = onChange;
    /** @type {TurnHandlers} */
    const handlers = {
      onEdit: (edits, message) => onSend({ edits, message }),
      onRegenerate: (regenerates) => onSend({ regenerates }),
      onStep: (id, step) => this.#step(id, step),
    };
    this.#turns = new TurnList(this.#log, handlers, (id) => this.#tree.placeOf(id));
    this.element = h(
      "div",
      { class: "conversation" },
      this.#log,
      h("label", { for: "text", class: "unseen" }, "Message"),
      this.#input,
    );
    this.#input.addEventListener("keydown", (event) => {
      // With Ctrl or Command, the view sends.
      if (isSendKey(event) && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        onSend({});
      }
    });
  }

  /** The message being written. */
  get text() {
    return this.#input.value;
  }

  set text(text) {
    this.#input.value = text;
  }

  get messages() {
    return this.#tree.path.map(toMessage);
  }

  /** Show another conversation, without branches. */
  set messages(messages) {
    this.#leave();
    this.#tree = new MessageTree();
    for (const message of messages) {
      // In OpenAI's format, content is null in a message with tool calls.
      this.#tree.add({ ...message, content: message.content ?? "" }, this.#tree.leaf);
    }
    this.#showPath();
    this.#tell({ changed: this.#tree.path, isNew: true });
  }

  /** The conversation with all branches. @returns {ConversationState} */
  get state() {
    return this.#tree.state;
  }

  /** Show this or another conversation, from a state that a page has kept. @param {ConversationState} state */
  set state(state) {
    this.#leave();
    this.#tree = new MessageTree(state);
    this.#showPath();
  }

  /** Add messages of this conversation from another tab. @param {PlacedMessage[]} messages */
  merge(messages) {
    const before = this.#tree.path.map(({ id }) => id);
    const changed = this.#tree.merge(messages);
    const after = this.#tree.path.map(({ id }) => id);
    if (before.some((id, index) => id !== after[index])) {
      this.#showPath();
    } else {
      this.#turns.showMore(this.#tree.path.slice(before.length));
    }
    this.#turns.refresh(changed.map(({ id }) => id));
  }

  /** The model's last answer. */
  get continuation() {
    const last = this.#tree.last;
    return last?.role === "assistant" ? last.content : "";
  }

  /** Whether the model has begun an answer. */
  get #hasAnswer() {
    const last = this.#tree.last;
    return last?.role === "assistant" && Boolean(last.content || last.reasoning_content || last.tool_calls?.length);
  }

  /** Set how answers are shown; null: as plain text. @param {Markdown | null} markdown */
  setMarkdown(markdown) {
    this.#turns.setMarkdown(markdown);
  }

  /**
   * Add a message to the conversation.
   *
   * @param {SendOptions} [options]
   * @returns {{messages: Message[]} | null} null when there is nothing to send
   */
  takeRequest({ message, prepare, edits, regenerates } = {}) {
    const tree = this.#tree;
    const anew = tree.get(regenerates ?? edits ?? "");
    let parent = anew ? anew.parent : tree.leaf;
    const isAnother = regenerates !== undefined && anew !== undefined;
    const content = (message ?? this.#input.value).trim();
    if (!isAnother && !content) {
      return null;
    }
    const said = tree.pathTo(parent).map(toMessage);
    if (!isAnother) {
      said.push({ role: "user", content });
    }
    const messages = prepare ? prepare(said) : said;
    if (!messages) {
      return null;
    }
    this.#begun = { ids: [], leaf: this.#tree.leaf, draft: this.#input.value };
    if (message === undefined && !isAnother) {
      this.#input.value = "";
    }
    if (!this.#tree.has(parent)) {
      parent = this.#tree.leaf; // `prepare` started another conversation
    }
    const changed = [];
    if (!isAnother || this.#tree !== tree) {
      const question = this.#tree.add(/** @type {Message} */ (said.at(-1)), parent);
      parent = question.id;
      changed.push(question);
    }
    const answer = this.#tree.add({ role: "assistant", content: "" }, parent);
    this.#begun.ids = [...changed, answer].map(({ id }) => id);
    if (anew && this.#tree === tree) {
      this.#showPath();
      this.#log.focus({ preventScroll: true }); // the pressed button was removed
    } else {
      this.#turns.showMore([...changed, answer]);
    }
    this.#writing = this.#turns.last ?? null;
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#tell({ changed });
    return { messages };
  }

  /** @param {WrittenPiece[]} pieces to append to the model's turn */
  append(pieces) {
    const isAtEnd = isScrolledToEnd(this.#log);
    if (!this.#writing) {
      return; // another conversation is shown
    }
    const { message, content, reasoning } = this.#writing;
    for (const piece of pieces) {
      if (piece.reasoning) {
        message.reasoning_content = (message.reasoning_content ?? "") + piece.reasoning;
        reasoning.append(piece.reasoning);
      }
      if (piece.text) {
        message.content += piece.text;
        reasoning.setThinking(false);
      }
    }
    content.append(pieces);
    if (isAtEnd) {
      this.#log.scrollTop = this.#log.scrollHeight;
    }
    if (performance.now() - this.#toldMs > CHANGE_MS) {
      this.#tell({ changed: [message] });
    }
  }

  /** End the model's turn. @param {ToolCall[]} calls the model's tool calls */
  finish(calls) {
    const turn = this.#writing;
    this.#writing = null;
    if (turn) {
      if (calls.length > 0) {
        turn.message.tool_calls = calls;
        turn.calls.set(calls);
      }
      turn.reasoning.setThinking(false);
      turn.content.finish();
      this.#tell({ changed: [turn.message] });
    }
  }

  /** Before another conversation is shown: report the answer as far as it was written. */
  #leave() {
    if (this.#writing) {
      this.#tell({ changed: [this.#writing.message] });
      this.#writing = null;
    }
  }

  /** @returns {boolean} whether a question can be taken back */
  get canUndo() {
    return this.#tree.last?.role === "assistant";
  }

  /** Take back the last question with its answer; the question can be edited again. */
  undo() {
    if (!this.canUndo) {
      return;
    }
    const [question, answer] = this.#tree.path.slice(-2);
    const removed = [answer ?? question];
    if (answer && question.role === "user" && this.#tree.placeOf(answer.id).count === 1) {
      removed.push(question);
    }
    this.#remove(removed.map(({ id }) => id));
    if (question.role === "user") {
      this.#input.value ||= question.content;
    }
  }

  clear() {
    this.messages = [];
    this.#input.value = "";
  }

  /**
   * After an error before the first word, put the question back into the text area, if it came from there.
   */
  giveBack() {
    if (!this.#hasAnswer && this.#tree.has(this.#begun.ids[0])) {
      const { ids, leaf, draft } = this.#begun;
      this.#remove([...ids].reverse());
      if (this.#tree.has(leaf)) {
        this.#tree.select(leaf);
        this.#showPath();
      }
      this.#input.value ||= draft;
    }
  }

  /** @param {boolean} isBusy whether the model is writing */
  setBusy(isBusy) {
    this.#isBusy = isBusy;
    this.#input.readOnly = isBusy;
    this.element.classList.toggle("busy", isBusy);
    this.#turns.setBusy(isBusy);
  }

  focus() {
    this.#input.focus();
  }

  /** @param {string} id @param {-1 | 1} step */
  #step(id, step) {
    if (this.#isBusy) {
      return;
    }
    const depth = this.#tree.pathTo(id).length - 1;
    const { scrollTop } = this.#log;
    this.#tree.step(id, step);
    this.#showPath();
    this.#log.scrollTop = scrollTop;
    this.#turns.focusStep(this.#tree.path[depth].id);
    this.#tell({ changed: [] });
  }

  /** @param {string[]} ids the last one first */
  #remove(ids) {
    for (const id of ids) {
      this.#tree.remove(id);
    }
    this.#showPath();
    this.#tell({ changed: [], removed: ids });
  }

  #showPath() {
    this.#turns.show(this.#tree.path);
    this.#turns.setBusy(this.#isBusy);
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  /** @param {Partial<ConversationChange>} change */
  #tell(change) {
    this.#toldMs = performance.now();
    this.#onChange({ changed: [], removed: [], leaf: this.#tree.leaf, isNew: false, ...change });
  }
}

/** @param {PlacedMessage} message @returns {Message} in the form for the model and for pages */
function toMessage({ id: _id, parent: _parent, created_ms: _created, ...message }) {
  return message;
}
