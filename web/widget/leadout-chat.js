/**
 * <leadout-chat>: a model in a box, for any page. Importing this file registers nothing; import
 * define.js, or call customElements.define yourself.
 *
 *     <leadout-chat model="gemma3-270m"></leadout-chat>
 *
 * Attributes: `model` (a name that the site lists, hf:owner/name, or a URL), `drafter` ("auto", "none", "ngram", or as
 * `model`; see Leadout.load), `mode` ("completion" or "chat"; default: chat if the model has a chat template),
 * `autoload` (load without a click), `forecast` (before that click, show how much memory a remote model needs and how
 * fast it will be; this starts Python), `assets` (the folder with the engine's files; see LoadParams), `store` (a
 * remote model is kept in the browser, see Leadout.models; "only": kept but not loaded; "off": not kept), `name`,
 * `required`, `disabled` and `submits` (in forms, see FormField), `data-state` (set by the element, see State). Slots:
 * header, footer, offer, settings, unsupported. Parts: notice, loading, progress, sheet, input, continuation, question,
 * answer, reasoning, tool-call, tools, actions, send, stop, undo, clear, status, figures, speed, drafting, compare,
 * comparison, settings.
 *
 * The states, and the transitions between them:
 * 1. "idle": no model is loaded. load() → 2, or "unsupported" without WebGPU.
 * 2. "loading_runtime" … "warming_up": a load is running. Its end → 3, an error → 5, a cancel → 1.
 * 3. "ready": send() → 4; another model → 1.
 * 4. "generating": the end, a stop or an error of the request → 3.
 * 5. "failed": the load failed, or the engine failed for good. load() → 2.
 *
 * While an engine recovers by itself (see Engine), the state stays the same, and a line tells the user. So it does when
 * a load starts again.
 *
 * @module leadout-chat
 */

/** @import {Engine, LoadParams} from "../client.js" */
/** @import {DrafterChoice, ModelChoice} from "../client/models.js" */
/** @import {Phase, Tool} from "../messages.js" */
/** @import {PrepareMessages, SendOptions} from "./conversation.js" */
/** @import {ConversationState, PlacedMessage} from "./message_tree.js" */
/** @import {Settings} from "./settings.js" */

import { isAbort, LeadoutError } from "../client/errors.js";
import { Choice, loadOptionsOf, upgradeProperties } from "./attributes.js";
import { Bodies } from "./bodies.js";
import { Offering } from "./forecast.js";
import { FormField } from "./form_field.js";
import { loadEngine } from "./loading.js";
import { errorNotice, unsupportedNotice } from "./notices.js";
import { findSupport } from "./offer.js";
import { followHealing, showModel } from "./recovery.js";
import { getStyleSheet } from "./styles.js";
import { View } from "./view.js";
import { describeError, describeState } from "./words.js";
import { Writer } from "./writing.js";

/** @typedef {"idle" | "unsupported" | "generating" | Phase} State */

/** Properties that a page may have set before the element was defined. */
const PROPERTIES = ["drafter", "model", "mode", "engine", "settings", "text", "messages", "conversation"];

export class LeadoutChat extends FormField {
  static observedAttributes = ["model", "drafter", "mode", "autoload", ...FormField.fieldAttributes];

  /** Further options for Leadout.load. @type {Partial<LoadParams>} */
  loadOptions = {};

  /** Changes the messages of a chat before the model gets them. @type {PrepareMessages | null} */
  prepareMessages = null;

  /** The tools that the model may call in a chat; calls are shown, and are in "leadout-finish". @type {Tool[]} */
  tools = [];

  #root = this.attachShadow({ mode: "open" });
  #view = new View(this.#root, {
    onCancel: () => this.unload(),
    onSend: () => this.send(),
    onStop: () => this.stop(),
    onUndo: () => this.#edit(() => this.#body.undo()),
    onClear: () => this.#edit(() => this.#body.clear()),
    onInput: () => this.#refreshButtons(),
    onCompare: () => this.compare(),
    onLook: () => this.#bodies.takeLook(this.settings),
  });
  #bodies = new Bodies({
    onSend: (options) => this.send(options),
    onChange: (change) => {
      this.#emit("conversation", change);
      this.#refreshButtons();
    },
    findAssets: () => loadOptionsOf(this).assets,
  });
  /** @type {State} */
  #state = "idle";
  /** @type {Choice<ModelChoice>} */
  #model = new Choice(this, "model", () => this.#startAnew());
  /** @type {Choice<DrafterChoice>} */
  #drafter = new Choice(this, "drafter", () => this.#takeDrafter());
  /** The drafter that the engine was loaded with. @type {DrafterChoice | null} */
  #loadedDrafter = null;
  /** @type {Engine | null} */
  #engine = null;
  #ownsEngine = false;
  /** @type {AbortController | null} */
  #loading = null;
  #writer = new Writer(this.#view, {
    setState: (state) => this.#setState(state),
    emit: (name, detail) => this.#emit(name, detail),
    fail: (error, options) => this.#fail(error, options),
  });
  #offering = new Offering();

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [getStyleSheet()];
    this.#view.setBody(this.#body);
    this.#refreshButtons();
  }

  connectedCallback() {
    upgradeProperties(this, PROPERTIES);
    this.#setState(this.#state);
    if (this.#state === "idle") this.#offer();
  }

  disconnectedCallback() {
    // An element that is moved is disconnected and connected again in the same task.
    queueMicrotask(() => {
      if (!this.isConnected) {
        this.stop();
        if (this.#loading || this.#ownsEngine) this.#reset();
      }
    });
  }

  /** @param {string} name @param {string | null} before @param {string | null} after */
  attributeChangedCallback(name, before, after) {
    if (before === after) return;
    if (FormField.fieldAttributes.includes(name)) {
      this.refreshField();
    } else if (name === "mode") {
      this.#refreshMode();
    } else if (name === "model") {
      this.#model.takeAttribute();
    } else if (name === "drafter") {
      this.#drafter.takeAttribute();
    } else if (after !== null && this.#state === "idle") {
      this.#offer();
    }
  }

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  /** The model to load. Setting another model unloads this one. @returns {ModelChoice | null} */
  get model() {
    return this.#model.get();
  }

  set model(model) {
    this.#model.set(model);
  }

  /** The drafter. Setting one that must be loaded unloads the model. @returns {DrafterChoice} */
  get drafter() {
    return this.#drafter.get() ?? this.loadOptions.drafter ?? "auto";
  }

  set drafter(drafter) {
    this.#drafter.set(drafter);
  }

  /** @returns {"completion" | "chat"} */
  get mode() {
    const mode = this.getAttribute("mode");
    if (mode === "completion" || mode === "chat") {
      return mode;
    }
    return this.#engine?.info.has_chat_template ? "chat" : "completion";
  }

  set mode(mode) {
    this.setAttribute("mode", mode);
  }

  /**
   * The loaded engine. If you set an engine, you must dispose of it yourself. Elements may share an engine. They write at
   * the same time if it was loaded for that (`loadOptions = { parallel: 2 }`); otherwise one waits for the other.
   * @returns {Engine | null}
   */
  get engine() {
    return this.#engine;
  }

  set engine(engine) {
    this.#reset();
    if (engine) this.#adopt(engine, false);
    else this.#offer({ mayLoad: false });
  }

  /** @returns {Settings} */
  get settings() {
    return this.#view.settings.get();
  }

  /** @param {Partial<Settings>} settings */
  set settings(settings) {
    this.#view.settings.set(settings);
  }

  /** The whole text of a completion, or the message in the input. */
  get text() {
    return this.#body.text;
  }

  set text(text) {
    this.#body.text = text;
    this.#refreshButtons();
  }

  /** The text that the model wrote last. */
  get continuation() {
    return this.#body.continuation;
  }

  /** The conversation of the chat mode. */
  get messages() {
    return this.#bodies.conversation.messages;
  }

  set messages(messages) {
    this.#bodies.conversation.messages = messages;
    this.#refreshButtons();
  }

  /**
   * The conversation with all its branches, for pages that keep it; "leadout-conversation" reports changes.
   * @returns {ConversationState}
   */
  get conversation() {
    return this.#bodies.conversation.state;
  }

  set conversation(conversation) {
    this.stop();
    this.#bodies.conversation.state = conversation;
    this.#refreshButtons();
  }

  /** Add messages of this conversation from elsewhere, such as another tab. @param {PlacedMessage[]} messages */
  mergeMessages(messages) {
    this.#bodies.conversation.merge(messages);
    this.#refreshButtons();
  }

  /** Load the model. Never rejects: an error is shown, and reported by "leadout-error". */
  async load() {
    const model = this.model;
    if (!model) return;
    this.#reset();
    const loading = new AbortController();
    const { drafter } = this;
    [this.#loading, this.#loadedDrafter] = [loading, drafter];
    this.#takePhase("loading_runtime");
    const { signal } = loading;
    const asked = { model, drafter, signal, store: this.getAttribute("store"), options: loadOptionsOf(this) };
    try {
      const engine = await loadEngine(asked, this.#view, {
        takePhase: (phase) => this.#takePhase(phase),
        emit: (name, detail) => this.#emit(name, detail),
      });
      if (engine === null) {
        return void this.unload();
      }
      this.#loading = null;
      this.#adopt(engine, true);
    } catch (error) {
      if (loading === this.#loading) {
        this.#loading = null;
        this.#fail(/** @type {Error} */ (error));
      }
    }
  }

  /** Stop everything that is running, and free the model. */
  unload() {
    this.#reset();
    this.#offer({ mayLoad: false });
  }

  /**
   * Continue the text, or answer the message. Does nothing unless the state is "ready".
   *
   * @param {SendOptions} [options] only for a chat: a message to send instead of the input's text, and the message that
   *   this is a new version of
   */
  async send(options = {}) {
    const engine = this.#engine;
    if (this.#state !== "ready" || !engine || !this.#view.settings.validate()) {
      return;
    }
    const { settings, drafter, prepareMessages, tools } = this;
    await this.#writer.send(engine, this.#body, options, { settings, drafter, prepareMessages, tools });
  }

  /** Run the last request again, without and with the drafter, and show both texts side by side. */
  async compare() {
    if (this.#state === "ready" && this.#engine) {
      await this.#writer.compare(this.#engine);
    }
  }

  /** @override */
  fieldState() {
    return { answer: this.continuation, messages: this.messages, isWriting: this.#state === "generating" };
  }

  /** @override */
  resetField() {
    this.stop();
    [this.messages, this.text] = [[], ""];
  }

  /** @override @param {string} message */
  sayInvalid(message) {
    this.#view.setStatus(message);
  }

  /** Focus the text area. @override */
  focus() {
    this.#body.focus();
  }

  /** Stop writing immediately. */
  stop() {
    this.#writer.stop();
  }

  /** @param {Engine} engine @param {boolean} isOwned */
  #adopt(engine, isOwned) {
    this.#engine = engine;
    this.#ownsEngine = isOwned;
    this.#refreshMode();
    showModel(this.#view, engine);
    this.#view.drafting.setDrafter(engine.info.drafter, engine.info.max_draft_tokens);
    this.#takePhase("ready");
    followHealing(engine, this.#view, (event) => engine === this.#engine && this.#emit("healing", event));
    engine.lost.then((error) => {
      if (engine === this.#engine) this.#fail(error);
    });
  }

  /** Cancel a load or a generation, and release the engine, if there are any. */
  #release() {
    const [loading, engine] = [this.#loading, this.#engine];
    this.#loading = this.#engine = null;
    this.#offering.end();
    loading?.abort();
    this.#writer.drop();
    if (this.#ownsEngine) engine?.dispose();
  }

  /** Go back to "idle": nothing is running, and no engine is held. */
  #reset() {
    this.#release();
    this.#ownsEngine = false;
    this.#view.setNotice(null);
    this.#view.setFigure("memory", "–");
    this.#view.setFigure("adapter", "–");
    this.#view.drafting.setDrafter(null, 0);
    this.#setState("idle");
  }

  /** Another drafter was chosen: keep the engine if it can use that drafter, else unload the model. */
  #takeDrafter() {
    const { drafter } = this;
    // A request can leave out a drafter that is loaded.
    const isLoaded = drafter === this.#loadedDrafter || drafter === "none";
    const isForeign = this.#engine !== null && !this.#ownsEngine;
    if (!isForeign && !((this.#engine || this.#loading) && isLoaded)) {
      this.#startAnew();
    }
  }

  #startAnew() {
    this.#reset();
    this.#offer();
  }

  /**
   * While "idle": offer the model or load it, or show why it cannot be loaded.
   * @param {{mayLoad?: boolean}} [options] false after the user unloaded it or stopped its load
   */
  async #offer({ mayLoad = true } = {}) {
    if (!this.isConnected) {
      return; // connectedCallback calls this again
    }
    const model = this.model;
    const support = await findSupport(this.loadOptions);
    if (this.#state !== "idle" || model !== this.model || !this.isConnected) {
      return;
    }
    if (!support.supported) {
      this.#setState("unsupported");
      const { reason, advice } = support;
      this.#view.setNotice(unsupportedNotice(support));
      this.#emit("error", { error: new LeadoutError("DeviceUnavailableError", reason, { advice }) });
      return;
    }
    if (model && mayLoad && this.hasAttribute("autoload")) await this.load();
    else if (model) {
      const [{ drafter }, options] = [this, loadOptionsOf(this)];
      const asked = { model, drafter, options, hasForecast: this.hasAttribute("forecast"), load: () => this.load() };
      await this.#offering.begin(asked, (notice) => this.#view.setNotice(notice));
    }
  }

  /** @param {Error} error @param {SendOptions} [options] of the request that failed */
  #fail(error, options) {
    if (isAbort(error) || this.#state === "failed") {
      return;
    }
    const isGone = this.#engine === null || this.#engine.needsReload;
    if (isGone) {
      this.#reset();
      this.#setState("failed");
      this.#emit("phase", { phase: "failed" });
    } else {
      this.#setState("ready");
    }
    const run = () => (isGone ? this.load() : this.send(options));
    this.#view.setNotice(
      errorNotice(error, {
        retry: { label: isGone ? "Load again" : "Try again", run },
        dismiss: isGone ? null : () => this.#view.setNotice(null),
      }),
    );
    this.#emit("error", { error });
    if (!describeError(error).isNamed) {
      console.error(error);
    }
  }

  /** @param {Phase} phase */
  #takePhase(phase) {
    if (phase === this.#state) return; // load() was ahead of the worker
    this.#setState(phase);
    this.#view.showPhase(phase, null);
    this.#emit("phase", { phase });
  }

  /** @param {State} state */
  #setState(state) {
    this.#state = state;
    if (this.isConnected) {
      this.dataset.state = state;
    }
    const isGenerating = state === "generating";
    if (["idle", "unsupported", "failed"].includes(state)) {
      this.#view.setLoading(null);
    }
    this.#view.setGenerating(isGenerating);
    this.#body.setBusy(isGenerating);
    this.#view.setStatus(describeState(state));
    this.#refreshButtons();
  }

  #refreshButtons() {
    const { send, undo, clear } = this.#view;
    const isGenerating = this.#state === "generating";
    // While the model writes, Send is hidden but enabled, so that it can take the focus back from Stop.
    send.disabled = this.#state !== "ready" && !isGenerating;
    undo.disabled = isGenerating || !this.#body.canUndo;
    clear.disabled = isGenerating || (this.#body.text === "" && !this.#body.canUndo);
    this.refreshField();
  }

  #refreshMode() {
    const isChat = this.mode === "chat";
    const { drafter, max_draft_tokens } = this.#engine?.info ?? { drafter: null, max_draft_tokens: 0 };
    this.#view.settings.setRelevant({ isChat, maxDraftTokens: drafter ? max_draft_tokens : null });
    if (this.#bodies.choose(this.mode)) {
      this.#view.setBody(this.#body);
      this.#refreshButtons();
    }
  }

  /** @param {() => void} change */
  #edit(change) {
    change();
    this.#refreshButtons();
    this.#body.focus();
  }

  get #body() {
    return this.#bodies.current;
  }

  /** @param {"phase" | "progress" | "fetch" | "healing" | "delta" | "finish" | "error" | "conversation" |
   *   "comparison"} name @param {object} detail */
  #emit(name, detail) {
    return this.dispatchEvent(new CustomEvent(`leadout-${name}`, { detail, bubbles: true, composed: true }));
  }
}
