/**
 * Lets the model write one text at a time: an answer, or the same text twice for a comparison.
 *
 * @module writing
 */

/** @import {Engine} from "../client.js" */
/** @import {SharedParams} from "../client/parameters.js" */
/** @import {DrafterChoice} from "../client/models.js" */
/** @import {Tool} from "../messages.js" */
/** @import {PrepareMessages, SendOptions} from "./conversation.js" */
/** @import {Request} from "./follow.js" */
/** @import {Settings} from "./settings.js" */
/** @import {Body, View} from "./view.js" */

import { follow } from "./follow.js";
import { toParams, withSystemPrompt } from "./params.js";
import { describeFinish } from "./words.js";

/**
 * @typedef {object} WriterHandlers
 * @property {(state: "generating" | "ready") => void} setState
 * @property {(name: "delta" | "finish" | "comparison", detail: object) => void} emit
 * @property {(error: Error, options?: SendOptions) => void} fail
 */

export class Writer {
  #view;
  #handlers;
  /** @type {AbortController | null} */
  #running = null;
  /** The last request, for a comparison. @type {{request: Request, params: SharedParams} | null} */
  #asked = null;

  /** @param {View} view @param {WriterHandlers} handlers */
  constructor(view, handlers) {
    this.#view = view;
    this.#handlers = handlers;
  }

  /**
   * Continue the text, or answer the message.
   *
   * @param {Engine} engine
   * @param {Body} body has the user's text, and gets the answer
   * @param {SendOptions} options
   * @param {object} element the element's properties
   * @param {Settings} element.settings
   * @param {DrafterChoice} element.drafter
   * @param {PrepareMessages | null} element.prepareMessages
   * @param {Tool[]} element.tools
   */
  async send(engine, body, options, { settings, drafter, prepareMessages, tools }) {
    const prepare = prepareMessages ?? withSystemPrompt(settings.system_prompt);
    const request = body.takeRequest({ ...options, prepare });
    if (!request) {
      if (!options.regenerates && !(options.message ?? body.text).trim()) {
        this.#view.setStatus("Write something first.");
        body.focus();
      }
      return;
    }
    const isChat = "messages" in request;
    const params = {
      ...toParams(settings, { info: engine.info, drafter, isChat }),
      ...(isChat && tools.length > 0 && { tools }),
    };
    const { setState, emit, fail } = this.#handlers;
    const running = this.#begin();
    this.#view.begin(params.seed);
    setState("generating");
    this.#asked = { request, params };
    try {
      const { num_tokens, ...written } = await follow(engine, request, { ...params, signal: running.signal }, this.#view, {
        append: (pieces) => body.append(pieces),
        onDelta: (delta) => emit("delta", delta),
      });
      body.finish(written.tool_calls);
      if (this.#end(running)) {
        setState("ready");
        this.#view.setStatus(describeFinish(written.finish_reason, num_tokens));
        emit("finish", { ...written, seed: params.seed });
      }
    } catch (error) {
      body.finish([]);
      body.giveBack();
      if (this.#end(running)) {
        fail(/** @type {Error} */ (error), options);
      }
    }
  }

  /** Run the last request again, without and with the drafter. @param {Engine} engine */
  async compare(engine) {
    if (!this.#asked || !engine.info.drafter) {
      return;
    }
    const { setState, emit, fail } = this.#handlers;
    const running = this.#begin();
    setState("generating");
    try {
      const { request, params } = this.#asked;
      const found = await this.#view.drafting.compare(engine, request, { ...params, signal: running.signal });
      if (this.#end(running)) {
        setState("ready");
        if (found) emit("comparison", found);
      }
    } catch (error) {
      if (this.#end(running)) {
        fail(/** @type {Error} */ (error));
      }
    }
  }

  /** Stop writing immediately. */
  stop() {
    this.#running?.abort();
  }

  /** Stop, and show nothing more of the text. */
  drop() {
    const running = this.#running;
    this.#running = this.#asked = null;
    running?.abort();
    this.#view.drafting.setComparable(false);
  }

  #begin() {
    return (this.#running = new AbortController());
  }

  /** @param {AbortController} running @returns {boolean} whether it was still the current run */
  #end(running) {
    const isWanted = running === this.#running;
    if (isWanted) {
      this.#running = null;
      this.#view.drafting.setComparable(true);
    }
    return isWanted;
  }
}
