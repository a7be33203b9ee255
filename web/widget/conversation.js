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
 * Makes of what was said, the new message last, what the model gets, such as a system turn before it;
 * or refuses the message with null, having said why. It may set the element's `messages`: the new one
 * then follows these.
 * @typedef {(said: Message[]) => Message[] | null} PrepareMessages
 */

/**
 * What changed in a conversation; `isNew`: it is another one from now on.
 * @typedef {{changed: PlacedMessage[], removed: string[], leaf: string | null, isNew: boolean}} ConversationChange
 */

/**
 * @typedef {object} SendOptions
 * @property {string} [message] in place of the one being written
 * @property {PrepareMessages | null} [prepare]
 * @property {string} [edits] id of a question that the message stands for: both are kept, as branches
 * @property {string} [regenerates] id of an answer; another one is written beside it
 */

/** How often an answer that grows is told as a change. */
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
  /** The turn that the model writes. @type {Turn | null} */
  #writing = null;
  #onChange;
  #toldMs = 0;
  /** What a request that fails has to take back. @type {{ids: string[], leaf: string | null, draft: string}} */
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

  /** Another conversation, without branches. */
  set messages(messages) {
    this.#leave();
    this.#tree = new MessageTree();
    for (const message of messages) {
      // OpenAI's shape has null beside calls of tools.
      this.#tree.add({ ...message, content: message.content ?? "" }, this.#tree.leaf);
    }
    this.#showPath();
    this.#tell({ changed: this.#tree.path, isNew: true });
  }

  /** With all branches. @returns {ConversationState} */
  get state() {
    return this.#tree.state;
  }

  /** The same or another one, which a page has kept. @param {ConversationState} state */
  set state(state) {
    this.#leave();
    this.#tree = new MessageTree(state);
    this.#showPath();
  }

  /** Take what another tab has of this conversation. @param {PlacedMessage[]} messages */
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

  /** What the model said last. */
  get continuation() {
    const last = this.#tree.last;
    return last?.role === "assistant" ? last.content : "";
  }

  /** Whether the model began to say something. */
  get #hasAnswer() {
    const last = this.#tree.last;
    return last?.role === "assistant" && Boolean(last.content || last.reasoning_content || last.tool_calls?.length);
  }

  /** How answers are shown; null: letter for letter. @param {Markdown | null} markdown */
  setMarkdown(markdown) {
    this.#turns.setMarkdown(markdown);
  }

  /**
   * Move a message into the conversation.
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
      parent = this.#tree.leaf; // prepare began another conversation
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
      this.#log.focus({ preventScroll: true }); // the button that was pressed is gone
    } else {
      this.#turns.showMore([...changed, answer]);
    }
    this.#writing = this.#turns.last ?? null;
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#tell({ changed });
    return { messages };
  }

  /** @param {WrittenPiece[]} pieces of the model's turn */
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

  /** The model's turn is over. @param {ToolCall[]} calls that it made */
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

  /** Another conversation comes. What was written of an answer is told, and no more of it. */
  #leave() {
    if (this.#writing) {
      this.#tell({ changed: [this.#writing.message] });
      this.#writing = null;
    }
  }

  /** @returns {boolean} whether there is something to take back */
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
   * An error came before the first word: the question goes back to the text area, if it is from there.
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

  /** @param {boolean} isBusy whether the model writes */
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

/** @param {PlacedMessage} message @returns {Message} as a model gets it, and pages see it */
function toMessage({ id: _id, parent: _parent, created_ms: _created, ...message }) {
  return message;
}
