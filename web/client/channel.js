/**
 * Requests to a worker and the answers that belong to them. Nothing here hangs: when the worker
 * or its device fails, every open request rejects with the reason, and so does every later one.
 * What comes back from that is in healing.js.
 *
 * A worker that is kept busy by one thing answers nothing. While requests are open it is asked now
 * and then whether it is there, and ended when it was silent for a minute: longer than anything it
 * does in one go.
 *
 * @module channel
 */

/** @import {ClientMessage, WorkerMessage} from "../messages.js" */

import { errorFromMessage, LeadoutError } from "./errors.js";

/**
 * What the channel needs of a Worker; `FakeWorker` in testing.js is one, too.
 * @typedef {object} WorkerLike
 * @property {(message: any) => void} postMessage
 * @property {(type: string, listener: (event: any) => void) => void} addEventListener
 * @property {() => void} terminate
 */

/** @typedef {Extract<WorkerMessage, {type: "phase" | "progress" | "fetch" | "forecast" | "prompt" | "delta" | "logits"}>} WorkerEvent */

/**
 * A request without its id.
 * @template T
 * @typedef {T extends {id: number} ? Omit<T, "id"> : never} WithoutId
 */

/** How often the worker is asked, and how many times it may stay silent in a row. */
const PING_MS = 5_000;
const MAX_SILENT_PINGS = 12;

/**
 * @typedef {object} Pending
 * @property {(value: any) => void} resolve
 * @property {(reason: unknown) => void} reject
 * @property {(event: WorkerEvent) => void} onEvent
 */

export class Channel {
  #worker;
  #nextId = 1;
  /** @type {Map<number, Pending>} */
  #pending = new Map();
  /** @type {Error | null} */
  #failure = null;
  /** @type {(failure: Error) => void} */
  #reportFailure = () => {};
  #pingMs;
  /** Set while requests are open. @type {ReturnType<typeof setInterval> | undefined} */
  #pinging;
  #numSilent = 0;

  /**
   * @param {WorkerLike} worker
   * @param {{pingMs?: number}} [options] how often it is asked whether it is there
   */
  constructor(worker, { pingMs = PING_MS } = {}) {
    this.#worker = worker;
    this.#pingMs = pingMs;
    /**
     * Resolves, and never rejects, when the worker stops or its device is lost.
     * @type {Promise<Error>}
     */
    this.lost = new Promise((resolve) => {
      this.#reportFailure = resolve;
    });
    worker.addEventListener("message", (event) => this.#receive(event.data));
    worker.addEventListener("messageerror", () => {
      this.#stop("a message from it could not be read");
    });
    worker.addEventListener("error", (event) => {
      // The event has no message when the script itself could not be loaded.
      const why = "its script could not be loaded or started (is it there, and does this page's security policy allow it?)";
      this.#stop(event.message || why);
    });
  }

  /** Why no request can succeed any more; null while all is well. */
  get failure() {
    return this.#failure;
  }

  /**
   * Send a request.
   *
   * @param {WithoutId<ClientMessage>} request
   * @param {{signal?: AbortSignal | null, onEvent?: (event: WorkerEvent) => void}} [options] an
   *   abort tells the worker and rejects at once, with the signal's reason
   * @returns {Promise<any>} the "result"'s value
   */
  request(request, { signal, onEvent = () => {} } = {}) {
    if (this.#failure) {
      return Promise.reject(this.#failure);
    }
    if (signal?.aborted) {
      return Promise.reject(signal.reason);
    }
    const id = this.#nextId++;
    /** @type {(() => void) | undefined} */
    let onAbort;
    const answer = new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, onEvent });
      this.#watch();
      onAbort = () => {
        this.#pending.delete(id);
        this.#post({ type: "abort", id: this.#nextId++, target: id });
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", onAbort);
      this.#post(/** @type {ClientMessage} */ ({ ...request, id }));
    });
    return answer.finally(() => {
      if (onAbort) {
        signal?.removeEventListener("abort", onAbort);
      }
    });
  }

  /**
   * End the worker; open and later requests reject with `reason`.
   *
   * @param {Error} reason
   */
  close(reason) {
    this.#failure ??= reason;
    clearInterval(this.#pinging);
    this.#worker.terminate();
    this.#rejectAll(reason);
  }

  /** Ask the worker whether it is there, though nothing is open. */
  check() {
    if (this.#failure) {
      return;
    }
    this.#watch();
    this.#ask();
  }

  /** @param {ClientMessage} message */
  #post(message) {
    this.#worker.postMessage(message);
  }

  /** Ask the worker now and then whether it is there, as long as requests or questions are open. */
  #watch() {
    if (this.#pinging !== undefined || this.#failure) {
      return;
    }
    this.#numSilent = 0;
    let lastMs = performance.now();
    this.#pinging = setInterval(() => {
      const sinceMs = performance.now() - lastMs;
      lastMs += sinceMs;
      if (this.#pending.size === 0 && this.#numSilent === 0) {
        clearInterval(this.#pinging);
        this.#pinging = undefined;
        return;
      }
      // A page that was frozen, or hidden for long, cannot say how long the worker was silent.
      this.#numSilent = sinceMs > 2 * this.#pingMs ? 0 : this.#numSilent;
      if (this.#numSilent >= MAX_SILENT_PINGS) {
        const seconds = Math.round((MAX_SILENT_PINGS * this.#pingMs) / 1000);
        this.#stop(`it did not answer for ${seconds} s and was stopped`);
        return;
      }
      this.#ask();
    }, this.#pingMs);
  }

  #ask() {
    this.#numSilent += 1;
    this.#post({ type: "ping", id: this.#nextId++ });
  }

  /** @param {WorkerMessage} message */
  #receive(message) {
    this.#numSilent = 0;
    const isLost = message.type === "error" && message.error.name === "DeviceLostError";
    if (message.type === "device_lost" || isLost) {
      // Which of the two comes first is chance; both mean that nothing else will be answered.
      this.#fail(errorFromMessage(message.error));
      return;
    }
    const pending = this.#pending.get(message.id);
    if (!pending || message.type === "pong") {
      return; // the rest of a request that was aborted
    }
    if (message.type === "result") {
      this.#pending.delete(message.id);
      pending.resolve(message.value);
    } else if (message.type === "error") {
      this.#pending.delete(message.id);
      pending.reject(errorFromMessage(message.error));
    } else {
      pending.onEvent(message);
    }
  }

  /** @param {string} what */
  #stop(what) {
    this.#fail(
      new LeadoutError("WorkerError", `The worker stopped: ${what}. Load the model again.`),
    );
  }

  /** @param {Error} failure */
  #fail(failure) {
    if (this.#failure) {
      return;
    }
    this.close(failure);
    this.#reportFailure(failure);
  }

  /** @param {Error} reason */
  #rejectAll(reason) {
    const open = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of open) {
      reject(reason);
    }
  }
}
