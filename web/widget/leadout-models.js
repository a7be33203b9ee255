/**
 * <leadout-models>: the models that the browser keeps for this site, with their sizes, and buttons to open, pause,
 * resume and delete them. Importing this file registers nothing; import define.js.
 *
 *     <leadout-models open></leadout-models>
 *
 * Attributes: `open` (the list is unfolded; the element sets it, too), `assets` (the folder with the engine's files;
 * see PullParams). Events: see LeadoutModelsEvents. Parts: summary, hint, list, model, name, facts, progress, problem,
 * open, pause, resume, delete.
 *
 * @module leadout-models
 */

/** @import {Hub} from "../client/models.js" */
/** @import {StoredModel} from "../client/store.js" */
/** @import {LeadoutModelsEvents} from "./events.js" */
/** @import {Pull} from "./model_row.js" */

import { isAbort } from "../client/errors.js";
import { models as store } from "../client/store.js";
import { ElementBase, upgradeProperties } from "./attributes.js";
import { h } from "./dom.js";
import { Fetches } from "./fetches.js";
import { showHidden } from "./hidden_characters.js";
import { ModelRow } from "./model_row.js";
import { getModelsSheet } from "./models_styles.js";
import { formatBytes } from "./words.js";

/**
 * Which hub to ask, and the access token for it. A function is called before each download.
 * @typedef {Hub | (() => Hub)} HubChoice
 */

/** The shortest time between two reads of the list while a tab is fetching. */
const REFRESH_MS = 400;

/** Properties that a page may have set before the element was defined. */
const PROPERTIES = ["hub", "open"];

export class LeadoutModels extends ElementBase {
  static observedAttributes = ["open"];

  #summary = h("summary", { part: "summary" }, "Kept in this browser");
  #problem = h("p", { class: "problem", part: "problem", role: "alert", hidden: true });
  #hint = h(
    "p",
    { class: "hint", part: "hint", hidden: true },
    "Models from the hub or a URL are kept here once they are downloaded. They then open in seconds, without a " +
      "connection. A download that was stopped continues where it was.",
  );
  #list = h("ul", { part: "list", "aria-label": "Models that this browser keeps" });
  #details = h("details", {}, this.#summary, this.#problem, this.#hint, this.#list);
  /** @type {HubChoice | null} */
  #hub = null;
  /** @type {StoredModel[]} */
  #models = [];
  /** Downloads of this element, by source. @type {Map<string, Pull>} */
  #pulls = new Map();
  /** By source. @type {Map<string, ModelRow>} */
  #rows = new Map();
  /** Whether the list is being read, or was read just now. */
  #isResting = false;
  #isStale = false;
  /** Ends what runs while the element is in a page. @type {(() => void) | null} */
  #end = null;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [getModelsSheet()];
    root.append(this.#details);
    this.#details.addEventListener("toggle", () => this.toggleAttribute("open", this.#details.open));
  }

  connectedCallback() {
    upgradeProperties(this, PROPERTIES);
    if (this.#end) return; // it was moved
    const goOn = () => this.#retry();
    const stopWatching = store.watch(() => this.refresh());
    addEventListener("online", goOn);
    this.#end = () => {
      stopWatching();
      removeEventListener("online", goOn);
      for (const source of this.#pulls.keys()) this.pause(source);
    };
    this.refresh();
  }

  disconnectedCallback() {
    // An element that is moved is disconnected and connected again in the same task.
    queueMicrotask(() => {
      if (!this.isConnected) {
        this.#end?.();
        this.#end = null;
      }
    });
  }

  /** @param {string} _name @param {string | null} _before @param {string | null} after */
  attributeChangedCallback(_name, _before, after) {
    this.#details.open = after !== null;
  }

  /** Whether the list is unfolded. */
  get open() {
    return this.hasAttribute("open");
  }

  set open(isOpen) {
    this.toggleAttribute("open", isOpen);
  }

  /** The hub to ask; only it gets the token. @returns {HubChoice | null} */
  get hub() {
    return this.#hub;
  }

  set hub(hub) {
    this.#hub = hub;
  }

  /** The models that were kept when the list was last read, unfinished downloads too. */
  get models() {
    return this.#models;
  }

  /**
   * Download a model and keep it. Never rejects: an error is shown, and reported by "leadout-error".
   *
   * @param {string} source as for Leadout.models.pull
   */
  async pull(source) {
    if (this.#pulls.get(source)?.controller) {
      return;
    }
    const controller = new AbortController();
    /** @type {Pull} */
    const pull = { controller, event: null, error: null };
    const fetches = new Fetches();
    this.#pulls.set(source, pull);
    this.open = true;
    this.#show();
    const assets = this.getAttribute("assets");
    try {
      const hub = typeof this.#hub === "function" ? this.#hub() : this.#hub;
      await store.pull(source, {
        ...(hub && { hub }),
        ...(assets !== null && { assets }),
        signal: controller.signal,
        onProgress: (event) => {
          pull.event = fetches.take(event);
          this.#show();
          this.#emit("leadout-fetch", event);
        },
      });
      this.#pulls.delete(source);
    } catch (error) {
      pull.controller = pull.event = null;
      if (!isAbort(error)) {
        this.#fail(pull, error);
      }
    }
    this.refresh();
  }

  /** Pause a download of this element. What has come stays. @param {string} source */
  pause(source) {
    this.#pulls.get(source)?.controller?.abort();
  }

  /** Delete a model, without a question. Never rejects, like `pull`. @param {string} source */
  async delete(source) {
    /** @type {Pull} */
    const pull = this.#pulls.get(source) ?? { controller: null, event: null, error: null };
    try {
      await store.remove(source);
      this.#pulls.delete(source);
    } catch (error) {
      if (/** @type {Error} */ (error).name !== "ModelNotFoundError") {
        this.#pulls.set(source, pull);
        this.#fail(pull, error);
      } else if (!pull.controller) {
        // Of a download that was paused before its server answered, there is nothing but the row.
        this.#pulls.delete(source);
      }
    }
    this.refresh();
  }

  /** Read the list again soon. The element does so by itself whenever a tab changes it. */
  refresh() {
    if (this.#isResting) {
      this.#isStale = true;
      return;
    }
    this.#isResting = true;
    this.#read().finally(() => {
      setTimeout(() => {
        this.#isResting = false;
        if (this.#isStale) {
          this.#isStale = false;
          this.refresh();
        }
      }, REFRESH_MS);
    });
  }

  async #read() {
    try {
      this.#models = await store.list();
    } catch (reason) {
      const error = /** @type {Error} */ (reason);
      this.#show();
      this.#hint.hidden = true;
      this.#summary.textContent = "Kept in this browser: nothing";
      this.#problem.textContent = `Models cannot be kept here: ${showHidden(error.message)}.`;
      this.#problem.hidden = false;
      this.#emit("leadout-error", { error });
      return;
    }
    this.#problem.hidden = true;
    this.#show();
    this.#emit("leadout-models", { models: this.#models });
  }

  /** There is a connection again. */
  #retry() {
    for (const [source, { error }] of this.#pulls) {
      if (error?.name === "SourceError") this.pull(source);
    }
  }

  /**
   * The next read of the list shows it; until then the list says that the model is being fetched.
   *
   * @param {Pull} pull
   * @param {unknown} reason
   */
  #fail(pull, reason) {
    pull.error = /** @type {Error} */ (reason);
    this.#emit("leadout-error", { error: pull.error });
  }

  #show() {
    const shown = new Map(this.#models.map((model) => [model.source, model]));
    for (const source of this.#pulls.keys()) {
      if (!shown.has(source)) {
        shown.set(source, unknownModel(source));
      }
    }
    for (const [source, row] of this.#rows) {
      if (!shown.has(source)) {
        this.#drop(source, row);
      }
    }
    for (const [source, model] of shown) {
      this.#rowOf(model).show(model, this.#pulls.get(source));
    }
    const isEmpty = shown.size === 0;
    this.#hint.hidden = !isEmpty;
    const sizes = [...shown.values()].map(({ stored_bytes, update }) => stored_bytes + (update?.stored_bytes ?? 0));
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    const count = shown.size === 1 ? "1 model" : `${shown.size} models`;
    this.#summary.textContent = isEmpty
      ? "Kept in this browser: nothing yet"
      : `Kept in this browser: ${count}, ${formatBytes(bytes)}`;
  }

  /** @param {StoredModel} model */
  #rowOf(model) {
    const { source } = model;
    let row = this.#rows.get(source);
    if (!row) {
      row = new ModelRow(model, {
        onOpen: (model) => this.#emit("leadout-model-open", model),
        onPause: (source) => this.pause(source),
        onResume: (source) => this.pull(source),
        onDelete: (source) => this.delete(source),
      });
      this.#rows.set(source, row);
      this.#list.append(row.element);
    }
    return row;
  }

  /**
   * Remove a row. If it has the focus, the line above the list gets it.
   *
   * @param {string} source
   * @param {ModelRow} row
   */
  #drop(source, row) {
    const hadFocus = row.element.matches(":focus-within");
    row.element.remove();
    this.#rows.delete(source);
    if (hadFocus) {
      this.#summary.focus();
    }
  }

  /**
   * @template {keyof LeadoutModelsEvents} Name
   * @param {Name} name
   * @param {LeadoutModelsEvents[Name]} detail
   */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}

/**
 * Before the server has answered, only a model's source is known.
 *
 * @param {string} source
 * @returns {StoredModel}
 */
function unknownModel(source) {
  const sizes = { bytes: 0, stored_bytes: 0, is_complete: false, update: null, is_fetching: false };
  return { source, name: source, host: "", drafter: null, ...sizes };
}
