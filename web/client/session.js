/**
 * A conversation. Every message is sent with everything that was said before. This costs little: the engine keeps the
 * keys and values of what it has read, and reads only the last answer and the new message.
 *
 * Nothing on the device belongs to a session. If room is short, the sessions used last are cached best. The answers are
 * the same in any case, only later.
 *
 * @module session
 */

/** @import {ModelInfo} from "../messages.js" */
/** @import {Generator} from "./answering.js" */
/** @import {ChatCompletion, ChatCompletionChunk} from "./completions.js" */
/** @import {ChatMessage, ChatParams} from "./parameters.js" */

import { answerStream, answerWhole } from "./answering.js";
import { chatChunks, newHead, toChatCompletion } from "./completions.js";
import { LeadoutError } from "./errors.js";
import { toAsked } from "./parameters.js";
import { Stream } from "./stream.js";

/**
 * A chat's parameters, except those that a session sets itself.
 * @typedef {Omit<ChatParams, "messages" | "stream" | "stream_options" | "signal" | "n">} SessionParams
 */

/**
 * How a conversation begins: `system` becomes its first message; `messages` are what was said before.
 * @typedef {SessionParams & {system?: string, messages?: ChatMessage[]}} SessionOptions
 */

/** Of one message. @typedef {SessionParams & Pick<ChatParams, "stream" | "stream_options" | "signal">} SendOptions */

/**
 * A conversation to save, or to continue on another engine with the same model: plain data, for JSON. `tokens` are the
 * ids of the last prompt and the last answer, [] before the first answer.
 *
 * @typedef {object} SavedSession
 * @property {"leadout-session"} format
 * @property {1} version
 * @property {SessionModel} model
 * @property {SessionParams} params
 * @property {ChatMessage[]} messages
 * @property {number[]} tokens
 */

/** How the model is recognised. @typedef {Pick<ModelInfo, "name" | "architecture" | "num_parameters">} SessionModel */

/** The part of an Engine that a session asks. @typedef {{info: ModelInfo, generate: Generator["generate"]}} SessionEngine */

const FORMAT = "leadout-session";
const VERSION = 1;

export class Session {
  #engine;
  #params;
  /** @type {ChatMessage[]} */
  #messages;
  /** @type {number[]} */
  #tokens;
  /** The message that is being answered. Results of an older one come too late. @type {object | null} */
  #turn = null;
  #isDisposed = false;

  /**
   * Use `engine.session` or `engine.importSession`.
   *
   * @param {SessionEngine} engine
   * @param {SessionParams} params of all messages
   * @param {ChatMessage[]} messages said before
   * @param {number[]} [tokens]
   */
  constructor(engine, params, messages, tokens = []) {
    toAsked({ ...params, messages }, "chat"); // what is wrong is refused here
    refuse(params, ["n", "stream", "stream_options", "signal"], "session");
    this.#engine = engine;
    this.#params = structuredClone(params);
    this.#messages = structuredClone(messages);
    this.#tokens = [...tokens];
  }

  /** What was said, answers included. */
  get messages() {
    return structuredClone(this.#messages);
  }

  /** Whether a message is being answered. */
  get isBusy() {
    return this.#turn !== null;
  }

  /**
   * Send a message and get its answer. A message that fails, is aborted or is left early does not become part of the
   * conversation.
   *
   * `usage.prompt_tokens_details.cached_tokens` says how much of the conversation the model did not have to read again,
   * and `leadout.dropped_messages` how many messages were left out (see `context_overflow`).
   *
   * @overload
   * @param {string | ChatMessage | ChatMessage[]} message
   * @param {SendOptions & {stream: true}} options
   * @returns {Promise<Stream<ChatCompletionChunk>>}
   */
  /**
   * @overload
   * @param {string | ChatMessage | ChatMessage[]} message
   * @param {SendOptions & {stream?: false | null}} [options]
   * @returns {Promise<ChatCompletion>}
   */
  /**
   * @param {string | ChatMessage | ChatMessage[]} message what the user says; or messages, such as a tool's results
   * @param {SendOptions} [options] for this message; they override those of the session
   * @returns {Promise<Stream<ChatCompletionChunk> | ChatCompletion>}
   * @throws {LeadoutError} RequestError: another message is being answered, or the session was disposed of;
   *   other errors as from `chat.completions.create`
   */
  async send(message, options = {}) {
    this.#throwIfDisposed();
    if (this.isBusy) {
      throw new LeadoutError(
        "RequestError",
        "Another message of this session is being answered. Wait for its end, or ask in a fork().",
      );
    }
    refuse(options, ["n", "messages", "system"], "message");
    const said = structuredClone(toMessages(message));
    const messages = [...this.#messages, ...said];
    const asked = toAsked({ ...this.#params, ...options, messages }, "chat");
    const head = newHead("chatcmpl", this.#engine.info.name);
    const turn = {};
    /** @type {Generator["generate"]} */
    const generate = async (request, given) => {
      const generated = await this.#engine.generate(request, given);
      if (this.#turn !== turn) return generated; // it was left, or the session disposed of
      const [{ message: answer }] = toChatCompletion(head, [generated]).choices;
      this.#messages = [...messages, answer];
      this.#tokens = [...generated.prompt_tokens, ...generated.tokens];
      return generated;
    };
    const engine = { info: this.#engine.info, generate };
    const end = () => {
      if (this.#turn === turn) this.#turn = null;
    };
    this.#turn = turn;
    try {
      if (options.stream) {
        return followed(answerStream(engine, asked, options.signal, (index) => chatChunks(head, index)), end);
      }
      const answers = await answerWhole(engine, asked, options.signal);
      end();
      return toChatCompletion(head, answers);
    } catch (error) {
      end();
      throw error;
    }
  }

  /** @returns {Session} another conversation with the same messages so far */
  fork() {
    this.#throwIfDisposed();
    return new Session(this.#engine, this.#params, this.#messages, this.#tokens);
  }

  /** @returns {SavedSession} see `engine.importSession` */
  export() {
    this.#throwIfDisposed();
    return structuredClone({
      format: FORMAT,
      version: VERSION,
      model: modelOf(this.#engine),
      params: this.#params,
      messages: this.#messages,
      tokens: this.#tokens,
    });
  }

  /** Forget what was said. This session cannot be used any more; the engine can. */
  dispose() {
    this.#isDisposed = true;
    this.#turn = null;
    this.#messages = [];
    this.#tokens = [];
  }

  /**
   * @param {SessionEngine} engine
   * @param {unknown} saved
   * @returns {Session}
   * @throws {LeadoutError} SessionError: `export` did not make it, or it was with another model
   */
  static import(engine, saved) {
    const { format, version, model, params, messages, tokens } = toSaved(saved);
    if (format !== FORMAT || version !== VERSION) {
      throw sessionError(`It is ${JSON.stringify({ format, version })}; wanted what session.export() gave.`, {});
    }
    const wanted = modelOf(engine);
    if (model?.architecture !== wanted.architecture || model.num_parameters !== wanted.num_parameters) {
      throw sessionError(
        `It was with ${shownModel(model)}, and this engine has ${shownModel(wanted)}. Load that model, or begin a ` +
          "session with its messages.",
        { found: model, wanted },
      );
    }
    const areTokens = Array.isArray(tokens) && tokens.every((token) => Number.isInteger(token) && token >= 0);
    if (!areTokens || !Array.isArray(messages) || typeof params !== "object" || params === null) {
      throw sessionError("Its messages, params or tokens are missing or malformed.", {});
    }
    return new Session(engine, params, messages, tokens);
  }

  #throwIfDisposed() {
    if (this.#isDisposed) {
      throw new LeadoutError("RequestError", "The session was disposed of. Begin another one with engine.session().");
    }
  }
}

/**
 * @param {SessionEngine} engine
 * @param {SessionOptions} options
 * @returns {Session}
 */
export function newSession(engine, { system, messages = [], ...params }) {
  if (system !== undefined && typeof system !== "string") {
    throw new LeadoutError("RequestError", "A session's system message must be text.", { parameter: "system" });
  }
  return new Session(engine, params, [...(system ? [{ role: "system", content: system }] : []), ...messages]);
}

/**
 * @param {Stream<ChatCompletionChunk>} stream
 * @param {() => void} end called when it has ended, or was left
 * @returns {Stream<ChatCompletionChunk>} with the same chunks
 */
function followed(stream, end) {
  return new Stream(
    async (push) => {
      try {
        for await (const chunk of stream) push(chunk);
      } finally {
        end();
      }
    },
    () => {
      end();
      stream.abort();
    },
  );
}

/**
 * @param {string | ChatMessage | ChatMessage[]} message
 * @returns {ChatMessage[]}
 */
function toMessages(message) {
  if (typeof message === "string") {
    return [{ role: "user", content: message }];
  }
  return Array.isArray(message) ? message : [message];
}

/**
 * @param {Record<string, unknown>} given
 * @param {string[]} names
 * @param {"session" | "message"} whose
 */
function refuse(given, names, whose) {
  for (const name of names) {
    if (given[name] != null) {
      throw new LeadoutError("RequestError", `A ${whose} of a conversation has no parameter "${name}".`, {
        parameter: name,
      });
    }
  }
}

/**
 * @param {unknown} saved
 * @returns {Record<string, any>}
 */
function toSaved(saved) {
  if (typeof saved !== "object" || saved === null) {
    const what = saved === null ? "null" : typeof saved;
    throw sessionError(`It is ${what}; wanted what session.export() gave.`, {});
  }
  return saved;
}

/**
 * @param {SessionEngine} engine
 * @returns {SessionModel}
 */
function modelOf({ info: { name, architecture, num_parameters } }) {
  return { name, architecture, num_parameters };
}

/** @param {Partial<SessionModel> | undefined} model */
function shownModel({ name, architecture, num_parameters } = {}) {
  return `${name} (${architecture}, ${num_parameters} parameters)`;
}

/**
 * @param {string} message
 * @param {Record<string, unknown>} detail
 */
function sessionError(message, detail) {
  return new LeadoutError("SessionError", `The saved conversation cannot be continued. ${message}`, detail);
}
