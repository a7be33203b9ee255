/**
 * What an adapter's model is made of: an engine that the page has loaded, or a model that is loaded when it is needed.
 *
 * @module adapters/engine_source
 */

/** @import {Engine, LoadParams} from "../client.js" */
/** @import {ModelChoice} from "../client/models.js" */

import { Leadout } from "../client.js";
import { findKept } from "../client/kept.js";
import { resolveModels } from "../client/models.js";

/**
 * As the browser's own models say it: a load would fetch something, something is being fetched or loaded, or not.
 * @typedef {"unavailable" | "downloadable" | "downloading" | "available"} Availability
 */

/** `Leadout.load`'s, but for the model. @typedef {Omit<LoadParams, "model">} SourceParams */

/** Told how much of the weights is loaded, 0 to 1. @typedef {(progress: number) => void} OnProgress */

/** Longer than any context. */
export const NO_LIMIT = 2 ** 31 - 1;

/**
 * @param {Engine} engine
 * @returns {number} how many tokens an answer may have at most; what does not fit into the context is not written anyway
 */
export function longestAnswer({ info }) {
  return info.context_length || NO_LIMIT;
}

export class EngineSource {
  #model;
  #params;
  /** @type {Engine | null} */
  #engine;
  /** While it loads, or has loaded. @type {Promise<Engine> | null} */
  #loading = null;
  #ending = new AbortController();
  /** Who waits for the load. @type {Set<OnProgress>} */
  #waiting = new Set();
  #progress = 0;

  /**
   * @param {Engine | ModelChoice} model an engine stays its owner's; a model is loaded with the first request, and
   *   `dispose` ends it
   * @param {SourceParams} [params] for the load
   */
  constructor(model, params = {}) {
    this.#engine = isEngine(model) ? model : null;
    this.#model = isEngine(model) ? null : model;
    this.#params = params;
  }

  /** The engine, once it has loaded. */
  get engine() {
    return this.#engine;
  }

  /** What the model is called. */
  get name() {
    const model = this.#model;
    if (this.#engine) return this.#engine.info.name;
    if (typeof model === "string" || model instanceof URL) return String(model);
    return model && "name" in model ? String(model.name) : "model";
  }

  /** @returns {Promise<Availability>} */
  async availability() {
    if (this.#engine && !this.#needsLoad()) {
      return this.#engine.needsReload ? "unavailable" : "available";
    }
    if (this.#loading) return "downloading";
    if (this.#model === null) return "unavailable";
    if (!this.#params.worker && !(await Leadout.isSupported()).supported) return "unavailable";
    let pair;
    try {
      pair = await resolveModels(this.#model, this.#params.drafter ?? "auto", { hub: this.#params.hub });
    } catch {
      return "unavailable"; // nobody serves it, or nobody answers
    }
    if (!("files" in pair.model) || pair.model.files.every(({ url }) => !url)) return "available";
    const { source } = pair.model;
    if (source === undefined) return "downloadable";
    if ((await findKept(source)) !== null) return "available";
    const kept = await Leadout.models.list().catch(() => []);
    return kept.some((one) => one.source === source && one.is_fetching) ? "downloading" : "downloadable";
  }

  /**
   * Load the model, unless it is there. Callers share one load; it ends when all of them have left it.
   *
   * @param {{signal?: AbortSignal | null, onProgress?: OnProgress}} [options]
   * @returns {Promise<Engine>}
   * @throws {import("../client/errors.js").LeadoutError} as `Leadout.load`; an abort rejects with the signal's reason
   */
  async load({ signal, onProgress = () => {} } = {}) {
    signal?.throwIfAborted();
    if (this.#engine && !this.#needsLoad()) {
      onProgress(1);
      return this.#engine;
    }
    const waiting = (/** @type {number} */ progress) => onProgress(progress); // a key of this call's own
    this.#waiting.add(waiting);
    this.#loading ??= this.#begin();
    onProgress(this.#progress);
    const loading = this.#loading;
    /** @type {() => void} */
    let release = () => {};
    const left = new Promise((_, reject) => {
      const leave = () => reject(signal?.reason);
      signal?.addEventListener("abort", leave);
      release = () => signal?.removeEventListener("abort", leave);
    });
    try {
      return await /** @type {Promise<Engine>} */ (Promise.race([loading, left]));
    } finally {
      release();
      this.#leave(waiting);
    }
  }

  /** End the engine that was loaded here; one that was given is its owner's. */
  dispose() {
    this.#ending.abort(new DOMException("The model was disposed of.", "AbortError"));
    if (this.#model !== null) {
      this.#engine?.dispose();
      this.#engine = null;
    }
  }

  /** @param {OnProgress} waiting */
  #leave(waiting) {
    this.#waiting.delete(waiting);
    if (this.#waiting.size === 0 && this.#loading) {
      this.#ending.abort(new DOMException("Nobody waits for the model any more.", "AbortError"));
    }
  }

  /** Whether an engine that was loaded here has failed for good, or none is there. */
  #needsLoad() {
    return this.#model !== null && (this.#engine === null || this.#engine.needsReload);
  }

  /** @returns {Promise<Engine>} */
  async #begin() {
    this.#engine?.dispose();
    this.#engine = null;
    this.#progress = 0;
    this.#ending = new AbortController();
    const { signal, onProgress, ...params } = this.#params;
    const ends = [this.#ending.signal, ...(signal ? [signal] : [])];
    try {
      this.#engine = await Leadout.load({
        ...params,
        model: /** @type {ModelChoice} */ (this.#model),
        signal: AbortSignal.any(ends),
        onProgress: (progress) => {
          onProgress?.(progress);
          const { phase, loaded_bytes, total_bytes } = progress;
          if (phase === "loading_weights" && total_bytes > 0) this.#tell(loaded_bytes / total_bytes);
        },
      });
      this.#tell(1);
      return this.#engine;
    } finally {
      this.#loading = null;
    }
  }

  /** @param {number} progress never told to go back */
  #tell(progress) {
    if (progress <= this.#progress) return;
    this.#progress = Math.min(progress, 1);
    for (const onProgress of this.#waiting) onProgress(this.#progress);
  }
}

/**
 * By what it does: a page may have two copies of Leadout, of which one made the engine.
 *
 * @param {Engine | ModelChoice} model
 * @returns {model is Engine}
 */
function isEngine(model) {
  return typeof (/** @type {any} */ (model).chat?.completions?.create) === "function";
}
