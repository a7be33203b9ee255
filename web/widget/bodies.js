/**
 * The two bodies of the widget's sheet: a text to continue, and a conversation.
 *
 * @module bodies
 */

/** @import {ConversationChange, SendOptions} from "./conversation.js" */
/** @import {Settings} from "./settings.js" */
/** @import {Body} from "./view.js" */

import { Conversation } from "./conversation.js";
import { Manuscript } from "./manuscript.js";
import { Markdown } from "./markdown.js";

export class Bodies {
  manuscript = new Manuscript();
  conversation;
  /** @type {Body} */
  current = this.manuscript;
  /** @type {Markdown | null} */
  #markdown = null;
  #isLoading = false;
  #isPlain = false;

  #findAssets;

  /**
   * @param {object} handlers
   * @param {(options: SendOptions) => void} handlers.onSend
   * @param {(change: ConversationChange) => void} handlers.onChange
   * @param {() => string | URL | undefined} handlers.findAssets the folder with the engine's files, if one is named
   */
  constructor({ findAssets, ...handlers }) {
    this.#findAssets = findAssets;
    this.conversation = new Conversation(handlers);
  }

  /**
   * @param {"completion" | "chat"} mode
   * @returns {boolean} whether the body changed; the new body takes over the text that was being written
   */
  choose(mode) {
    const body = mode === "chat" ? this.conversation : this.manuscript;
    if (body === this.conversation) {
      this.#loadMarkdown();
    }
    if (body === this.current) {
      return false;
    }
    body.text = this.current.text;
    this.current = body;
    return true;
  }

  /** Show answers as the settings say. @param {Settings} settings */
  takeLook({ mark_drafts, plain_text }) {
    this.#isPlain = mark_drafts || plain_text;
    this.conversation.setMarkdown(this.#isPlain ? null : this.#markdown);
  }

  /** Until the libraries are loaded, answers are shown as plain text. */
  async #loadMarkdown() {
    if (this.#isLoading || this.#markdown) {
      return;
    }
    this.#isLoading = true;
    try {
      this.#markdown = await Markdown.load(this.#findAssets());
      this.conversation.setMarkdown(this.#isPlain ? null : this.#markdown);
    } catch (error) {
      console.warn("Answers are shown as plain text: Markdown's libraries could not be loaded.", error);
    } finally {
      this.#isLoading = false;
    }
  }
}
