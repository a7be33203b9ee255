/**
 * The browser's `LanguageModel` (the Prompt API, as drafted in June 2026) with a model of Leadout's: in every browser that
 * has WebGPU, and with a model that the page chooses.
 *
 *     import { languageModel } from "leadout/prompt-api";
 *     const LanguageModel = languageModel("gemma-4-e2b");
 *     const session = await LanguageModel.create({ initialPrompts: [{ role: "system", content: "Be brief." }] });
 *     for await (const text of session.promptStreaming("Hello")) console.log(text);
 *
 * With `{ browser: "prefer" }` sessions are the browser's own, where it has a model for them.
 *
 * @module adapters/prompt_api
 */

/** @import {Engine} from "../client.js" */
/** @import {ModelChoice} from "../client/models.js" */
/** @import {Availability, SourceParams} from "./engine_source.js" */
/** @import {CoreOptions, CreateOptions} from "./prompt_api/options.js" */

import { EngineSource } from "./engine_source.js";
import { failure, toDOMException } from "./prompt_api/errors.js";
import { PARAMS, checkOptions, isTextAlone, toSampling } from "./prompt_api/options.js";
import { toMessages } from "./prompt_api/prompts.js";
import { Session, open } from "./prompt_api/session.js";

/**
 * @typedef {object} LanguageModelSettings
 * @property {"never" | "prefer"} [browser] whether to use the browser's own model if there is one; default "never"
 * @property {SourceParams} [load] other parameters for `Leadout.load`, if you give a model and not an engine
 * @property {boolean} [thinking] let the model reason before it answers; sessions do not show the reasoning; default false
 * @property {number} [seed] the same seed gives the same answers; default: a new one for each prompt
 */

/**
 * The static members of the browser's class.
 * @typedef {object} LanguageModelStatics
 * @property {(options?: CoreOptions) => Promise<Availability>} availability
 * @property {(options?: CreateOptions) => Promise<Session>} create
 * @property {() => Promise<typeof PARAMS>} params of sampling; browsers have this only in extensions
 * @property {() => void} unload end the engine, unless you gave it; the browser's own model stays
 */

/**
 * Make a `LanguageModel`. Its sessions share one engine.
 *
 * @param {Engine | ModelChoice} model a loaded engine; or what `Leadout.load` takes, to be loaded by `create`
 * @param {LanguageModelSettings} [settings]
 * @returns {LanguageModelStatics & typeof Session}
 */
export function languageModel(model, { browser = "never", load = {}, thinking = false, seed } = {}) {
  const source = new EngineSource(model, load);
  // Kept now: a page may put what this returns into the same place.
  const native = browser === "prefer" ? /** @type {any} */ (globalThis).LanguageModel : undefined;

  class LanguageModel extends Session {
    /** @param {CoreOptions} [options] */
    static async availability(options = {}) {
      checkOptions(options);
      const own = (await native?.availability(options)) ?? "unavailable";
      if (own !== "unavailable") return own;
      return isTextAlone(options) ? source.availability() : "unavailable";
    }

    /**
     * @param {CreateOptions} [options]
     * @returns {Promise<LanguageModel>}
     */
    static async create(options = {}) {
      checkOptions(options);
      const { signal, monitor, initialPrompts = [], tools = [] } = options;
      signal?.throwIfAborted();
      if (native && (await native.availability(options)) !== "unavailable") {
        return native.create(options);
      }
      if (!isTextAlone(options)) {
        throw failure("NotSupportedError", "Leadout's models read and write only text; expected was another type.");
      }
      const messages = initialPrompts.length > 0 ? toMessages(initialPrompts, false) : [];
      const sampling = toSampling(options);
      const target = monitor ? new CreateMonitor() : null;
      if (target) monitor?.(target);
      let engine;
      try {
        engine = await source.load({ signal, onProgress: (progress) => target?.tell(progress) });
      } catch (error) {
        throw signal?.aborted ? signal.reason : toDOMException(error, "NotSupportedError");
      }
      const session = new LanguageModel(open, { engine, messages, tools, sampling, seed, thinking });
      await session.begin(signal);
      return session;
    }

    static async params() {
      return PARAMS;
    }

    static unload() {
      source.dispose();
    }
  }
  return LanguageModel;
}

/** What `monitor` gets. */
class CreateMonitor extends EventTarget {
  /** @type {((event: Event) => void) | null} */
  ondownloadprogress = null;
  #loaded = -1;

  /** @param {number} loaded 0 to 1 */
  tell(loaded) {
    if (loaded === this.#loaded) return;
    this.#loaded = loaded;
    const event = toProgressEvent(loaded);
    this.ondownloadprogress?.(event);
    this.dispatchEvent(event);
  }
}

/**
 * @param {number} loaded
 * @returns {Event} with `loaded` of a `total` of 1, as browsers tell it
 */
function toProgressEvent(loaded) {
  const progress = { loaded, total: 1, lengthComputable: true };
  if (typeof ProgressEvent === "function") return new ProgressEvent("downloadprogress", progress);
  return Object.assign(new Event("downloadprogress"), progress); // outside of browsers
}
