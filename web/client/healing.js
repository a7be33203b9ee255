/**
 * A channel to a loaded model that comes back by itself: when its worker or its device fails, another
 * worker loads the model again, and what was asked goes on there. Callers notice a pause.
 *
 * 0. loading   Where the worker or its device fails, another worker begins again, once. Then → 1.
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

/** @typedef {{signal?: AbortSignal | null, onEvent: (event: WorkerEvent) => void}} ReloadOptions */

/** How a model is loaded, in a worker of its own. @typedef {(options: ReloadOptions) => Promise<Loaded>} Reload */

/** @typedef {{phase: import("../messages.js").Phase, loaded_bytes: number, total_bytes: number}} Progress */

/**
 * `progress` is null until the first phase is known, and when all is well again.
 * @typedef {{state: "started" | "loading" | "done", reason: Error, progress: Progress | null}} HealingEvent
 */

/** A failure within this time after the last healing is final. */
const QUIET_MS = 60_000;

/** What an answer that never comes fails with: its worker is gone, or of no use; see channel.js. */
const GONE = new Set(["DeviceLostError", "WorkerError"]);

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
  #healedMs;
  /** @type {Error | null} */
  #failure = null;
  /** @type {(failure: Error) => void} */
  #reportFailure = () => {};
  #ending = new AbortController();

  /**
   * Load a model, and once again where its worker or its device fails meanwhile.
   *
   * @param {Reload} load
   * @param {ReloadOptions & {canHeal: boolean, onHealing: (event: HealingEvent) => void}} options not
   *   canHeal: every failure is final; onHealing is told as long as the channel is there
   * @returns {Promise<HealingChannel>}
   * @throws {LeadoutError} by name; an abort rejects with the signal's reason
   */
  static async open(load, { signal, onEvent, canHeal, onHealing }) {
    const reload = canHeal ? load : null;
    let reason;
    try {
      return new HealingChannel(await load({ signal, onEvent }), { reload, onHealing });
    } catch (error) {
      if (!canHeal || !isGone(error)) throw error;
      reason = error;
    }
    const failedMs = performance.now();
    onHealing({ state: "started", reason, progress: null });
    try {
      const loaded = await loadPatiently(load, reason, { signal, onEvent, onHealing });
      onHealing({ state: "done", reason, progress: null });
      return new HealingChannel(loaded, { reload, onHealing, healedMs: performance.now() });
    } catch (error) {
      throw isGone(error) ? again(error, performance.now() - failedMs, "Loading had begun again") : error;
    }
  }

  /**
   * @param {Loaded} loaded
   * @param {{reload: Reload | null, onHealing?: (event: HealingEvent) => void, healedMs?: number}} options
   *   reload: null: every failure is final; healedMs: when it was, if it failed before
   */
  constructor({ channel, info }, { reload, onHealing = () => {}, healedMs = -Infinity }) {
    this.info = info;
    this.#reload = reload;
    this.#onHealing = onHealing;
    this.#healedMs = healedMs;
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
      this.#fail(this.#reload === null ? failure : again(failure, sinceMs, "It had been loaded again"));
      return;
    }
    this.#isHealing = true;
    this.#onHealing({ state: "started", reason: failure, progress: null });
    try {
      const events = { signal: this.#ending.signal, onEvent: () => {}, onHealing: this.#onHealing };
      const { channel, info } = await loadPatiently(this.#reload, failure, events);
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

  /** @param {Error} failure */
  #fail(failure) {
    if (!this.#failure) {
      this.close(failure);
      this.#reportFailure(failure);
    }
  }
}

/**
 * @param {unknown} error
 * @returns {error is Error} whether a worker or its device failed, and not what was asked of it
 */
function isGone(error) {
  return error instanceof Error && GONE.has(error.name);
}

/**
 * Load again, as often as it takes until what may pass has passed.
 *
 * @param {Reload} load
 * @param {Error} reason
 * @param {ReloadOptions & {onHealing: (event: HealingEvent) => void}} options
 * @returns {Promise<Loaded>}
 */
async function loadPatiently(load, reason, { signal, onEvent, onHealing }) {
  const events = {
    signal,
    onEvent: (/** @type {WorkerEvent} */ event) => {
      onEvent(event);
      if (event.type === "phase" || event.type === "progress") {
        const { phase } = event;
        const { loaded_bytes, total_bytes } = event.type === "progress" ? event : { loaded_bytes: 0, total_bytes: 0 };
        onHealing({ state: "loading", reason, progress: { phase, loaded_bytes, total_bytes } });
      }
    },
  };
  for (const waitMs of WAITS_MS) {
    try {
      return await load(events);
    } catch (error) {
      if (!(error instanceof Error) || !MAY_PASS.has(error.name)) {
        throw error;
      }
    }
    await pause(waitMs, signal);
    await untilVisible(signal); // a tab in the background may get no device
    signal?.throwIfAborted();
  }
  return load(events);
}

/**
 * @param {Error} failure
 * @param {number} sinceMs
 * @param {string} what happened then
 * @returns {Error} what says that it is not the first one
 */
function again(failure, sinceMs, what) {
  const seconds = Math.round(sinceMs / 1000);
  return new LeadoutError(
    failure.name,
    `${failure.message} (${what} ${seconds} s before, after another failure.)`,
    failure instanceof LeadoutError ? failure.detail : {},
  );
}

/**
 * @param {number} ms
 * @param {AbortSignal | null} [signal] ends it
 * @returns {Promise<void>}
 */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
}

/**
 * @param {AbortSignal | null} [signal] ends the wait
 * @returns {Promise<void>}
 */
function untilVisible(signal) {
  const { document } = globalThis;
  if (!document?.hidden || signal?.aborted) {
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    const end = () => {
      document.removeEventListener("visibilitychange", end);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    document.addEventListener("visibilitychange", end);
    signal?.addEventListener("abort", end);
  });
}
