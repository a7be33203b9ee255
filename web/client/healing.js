/**
 * A channel to a loaded model that comes back by itself: when its worker or its device fails, another
 * worker loads the model again, and what was asked goes on there. Callers notice a pause.
 *
 * 1. working   Requests go to the worker. A failure → 2; one that follows too soon → 3.
 * 2. healing   Another worker loads the model, from where it came from the first time. New requests
 *              wait. Then → 1 with all open requests, in their order; if it fails → 3.
 * 3. failed    Open and later requests reject with the failure.
 *
 * A request that kills its worker would do so for ever: that is what "too soon" is for.
 *
 * @module healing
 */

/** @import {ClientMessage, ModelInfo} from "../messages.js" */
/** @import {Channel, WithoutId, WorkerEvent} from "./channel.js" */

import { LeadoutError } from "./errors.js";
import { OpenRequest } from "./open_request.js";

/** A loaded model. @typedef {{channel: Channel, info: ModelInfo}} Loaded */

/** @typedef {{signal: AbortSignal, onEvent: (event: WorkerEvent) => void}} ReloadOptions */

/** How a model is loaded again. @typedef {(options: ReloadOptions) => Promise<Loaded>} Reload */

/** @typedef {{phase: import("../messages.js").Phase, loaded_bytes: number, total_bytes: number}} Progress */

/**
 * `progress` is null until the first phase is known, and when all is well again.
 * @typedef {{state: "started" | "loading" | "done", reason: Error, progress: Progress | null}} HealingEvent
 */

/** A failure within this time after the last healing is final. */
const QUIET_MS = 60_000;

/**
 * What may pass while a browser starts its GPU process again and gives memory back, and how long to
 * wait before each further attempt.
 */
const MAY_PASS = new Set(["DeviceUnavailableError", "OutOfMemoryError"]);
const WAITS_MS = [500, 2000, 5000];

export class HealingChannel {
  /** What the last load said. @type {ModelInfo} */
  info;
  #channel;
  #reload;
  #onHealing;
  /** In the order in which they were asked. @type {Set<OpenRequest>} */
  #open = new Set();
  #isHealing = false;
  #healedMs = -Infinity;
  /** @type {Error | null} */
  #failure = null;
  /** @type {(failure: Error) => void} */
  #reportFailure = () => {};
  #ending = new AbortController();

  /**
   * @param {Loaded} loaded
   * @param {{reload: Reload | null, onHealing?: (event: HealingEvent) => void}} options null: every
   *   failure is final
   */
  constructor({ channel, info }, { reload, onHealing = () => {} }) {
    this.info = info;
    this.#reload = reload;
    this.#onHealing = onHealing;
    /**
     * Resolves, and never rejects, with the failure that was final.
     * @type {Promise<Error>}
     */
    this.lost = new Promise((resolve) => {
      this.#reportFailure = resolve;
    });
    this.#channel = this.#follow(channel);
    // A tab that was put to sleep may wake up without its worker.
    for (const type of ["resume", "visibilitychange"]) {
      const check = () => void this.#channel.check();
      globalThis.document?.addEventListener(type, check, { signal: this.#ending.signal });
    }
  }

  /** Why no request can succeed any more; null while all is well, or will be. */
  get failure() {
    return this.#failure;
  }

  /**
   * Send a request; see `Channel.request`.
   *
   * @param {WithoutId<ClientMessage>} request
   * @param {{signal?: AbortSignal | null, onEvent?: (event: WorkerEvent) => void}} [options]
   * @returns {Promise<any>}
   */
  async request(request, { signal, onEvent = () => {} } = {}) {
    if (this.#failure) {
      throw this.#failure;
    }
    signal?.throwIfAborted();
    const open = new OpenRequest(request, { signal, onEvent });
    const onAbort = () => open.reject(signal?.reason);
    signal?.addEventListener("abort", onAbort);
    this.#open.add(open);
    if (!this.#isHealing) {
      this.#send(open);
    }
    try {
      return await open.answer;
    } finally {
      this.#open.delete(open);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** From now on every failure is final. */
  stopHealing() {
    this.#reload = null;
  }

  /**
   * End the worker; open and later requests reject with `reason`.
   *
   * @param {Error} reason
   */
  close(reason) {
    this.#failure ??= reason;
    this.#ending.abort(reason);
    this.#channel.close(reason);
    for (const open of this.#open) {
      open.reject(reason);
    }
  }

  /** @param {OpenRequest} open */
  #send(open) {
    const channel = this.#channel;
    const { signal } = open;
    const onEvent = (/** @type {WorkerEvent} */ event) => open.take(event);
    channel.request(open.message(), { signal, onEvent }).then(open.resolve, (error) => {
      // What failed with its channel stays open: it is asked again, or fails with all.
      if (error !== channel.failure) {
        open.reject(error);
      }
    });
  }

  /** @param {Channel} channel */
  #follow(channel) {
    channel.lost.then((failure) => this.#heal(failure));
    return channel;
  }

  /** @param {Error} failure */
  async #heal(failure) {
    if (this.#failure) {
      return;
    }
    const sinceMs = performance.now() - this.#healedMs;
    if (this.#reload === null || sinceMs < QUIET_MS) {
      this.#fail(this.#reload === null ? failure : again(failure, sinceMs));
      return;
    }
    this.#isHealing = true;
    this.#onHealing({ state: "started", reason: failure, progress: null });
    try {
      const { channel, info } = await this.#reloadPatiently(this.#reload, failure);
      this.info = info;
      this.#channel = this.#follow(channel);
    } catch (error) {
      this.#fail(/** @type {Error} */ (error));
      return;
    } finally {
      this.#isHealing = false;
    }
    this.#healedMs = performance.now();
    this.#onHealing({ state: "done", reason: failure, progress: null });
    for (const open of this.#open) {
      this.#send(open);
    }
  }

  /**
   * @param {Reload} reload
   * @param {Error} reason
   * @returns {Promise<Loaded>}
   */
  async #reloadPatiently(reload, reason) {
    const { signal } = this.#ending;
    const onEvent = (/** @type {WorkerEvent} */ event) => {
      if (event.type === "phase" || event.type === "progress") {
        const { phase } = event;
        const { loaded_bytes, total_bytes } = event.type === "progress" ? event : { loaded_bytes: 0, total_bytes: 0 };
        this.#onHealing({ state: "loading", reason, progress: { phase, loaded_bytes, total_bytes } });
      }
    };
    for (const waitMs of WAITS_MS) {
      try {
        return await reload({ signal, onEvent });
      } catch (error) {
        if (!(error instanceof Error) || !MAY_PASS.has(error.name)) {
          throw error;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      await untilVisible(signal); // a tab in the background may get no device
      signal.throwIfAborted();
    }
    return reload({ signal, onEvent });
  }

  /** @param {Error} failure */
  #fail(failure) {
    if (!this.#failure) {
      this.close(failure);
      this.#reportFailure(failure);
    }
  }
}

/**
 * @param {Error} failure
 * @param {number} sinceMs
 * @returns {Error} what says that it is not the first one
 */
function again(failure, sinceMs) {
  const seconds = Math.round(sinceMs / 1000);
  return new LeadoutError(
    failure.name,
    `${failure.message} (It had been loaded again ${seconds} s before, after another failure.)`,
    failure instanceof LeadoutError ? failure.detail : {},
  );
}

/**
 * @param {AbortSignal} signal ends the wait
 * @returns {Promise<void>}
 */
function untilVisible(signal) {
  const { document } = globalThis;
  if (!document?.hidden) {
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    const done = () => resolve();
    document.addEventListener("visibilitychange", done, { once: true, signal });
    signal.addEventListener("abort", done, { once: true });
  });
}
