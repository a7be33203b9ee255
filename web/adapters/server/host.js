/**
 * A tab's part: to be the host, or to be ready to be the next one.
 *
 * 1. waiting   Another tab is the host; this one has no engine, and asks through the service worker like everybody.
 * 2. loading   It has become the host. Requests wait for the engine.
 * 3. hosting   Its engine answers. If the engine fails for good → 1, behind all other tabs.
 * 4. failed    The engine could not be loaded, or the service worker answers under another path; `failure` says why. The
 *              next tab is the host.
 * 5. closed    After `close`.
 *
 * @module adapters/server/host
 */

/** @import {Engine} from "../../client.js" */
/** @import {HostMessage, PortMessage} from "./wire.js" */

import { LeadoutError } from "../../client/errors.js";
import { answerAsked } from "./endpoint.js";
import { describe, toOpenAIError } from "./errors.js";
import { CHANNEL, HOST_PREFIX, LOCK, WHO_AM_I, findHost } from "./wire.js";

/** @typedef {"waiting" | "loading" | "hosting" | "failed" | "closed"} Role */

/**
 * The `detail` of "role" events. `tookOver`: another tab was the host before.
 * @typedef {{role: Role, tookOver: boolean}} RoleChange
 */

/** While requests are open, how often the service worker is told that it is needed; browsers stop it after 30 s. */
const NEED_MS = 10_000;

/** How long a page may have no service worker. */
const CONTROL_MS = 10_000;

/** The tabs' engine, as this tab sees it. Dispatches "role" events. */
export class EngineServer extends EventTarget {
  #load;
  #isOwner;
  #path;
  /** @type {Role} */
  #role = "waiting";
  #tookOver = false;
  /** The engine, or what it failed with. @type {Promise<Engine> | null} */
  #engine = null;
  /** @type {Error | null} */
  #failure = null;
  #closing = new AbortController();
  #channel = new BroadcastChannel(CHANNEL);
  /** @type {Set<AbortController>} */
  #open = new Set();
  /** @type {() => void} */
  #reportHost = () => {};
  /** @type {(error: unknown) => void} */
  #reportFailure = () => {};

  /**
   * Use `serveEngine`.
   *
   * @param {Engine | (() => Promise<Engine>)} engine
   * @param {string} path
   */
  constructor(engine, path) {
    super();
    if (!navigator.serviceWorker) {
      throw new LeadoutError(
        "RequestError",
        "This browser offers no service workers here. They need a page from https:// or http://localhost, and Firefox " +
          "has none in private windows.",
        { parameter: "serviceWorker" },
      );
    }
    this.#path = path;
    this.#isOwner = typeof engine === "function";
    this.#load = typeof engine === "function" ? engine : async () => engine;
    const hasHost = new Promise((resolve, reject) => {
      this.#reportHost = () => resolve(undefined);
      this.#reportFailure = reject;
    });
    /** Resolves when requests of this page are answered. @type {Promise<void>} */
    this.ready = Promise.all([throwUnlessControlled(), hasHost]).then(() => {});
    this.ready.catch(() => {}); // whoever awaits it is told
    const { signal } = this.#closing;
    navigator.serviceWorker.addEventListener("message", (event) => this.#receive(event), { signal });
    navigator.serviceWorker.startMessages();
    this.#channel.onmessage = () => this.#reportHost();
    this.#run();
  }

  /** What this tab is. */
  get role() {
    return this.#role;
  }

  /** Why the engine could not be loaded; null unless the role is "failed". */
  get failure() {
    return this.#failure;
  }

  /** Be no host any more, nor the next one. An engine that was loaded for this is ended. */
  close() {
    if (this.#role === "closed") return;
    this.#setRole("closed");
    this.#closing.abort(new DOMException("The server was closed.", "AbortError"));
    for (const leaving of this.#open) leaving.abort(new DOMException("The server was closed.", "AbortError"));
    this.#channel.close();
  }

  async #run() {
    await controlled();
    const found = await findHost();
    this.#tookOver = found !== null;
    if (found) this.#reportHost();
    const { signal } = this.#closing;
    while (!signal.aborted && this.#role !== "failed") {
      await navigator.locks.request(LOCK, { signal }, () => this.#host()).catch((error) => {
        if (!signal.aborted) throw error;
      });
    }
  }

  /** Be the host until that ends; the lock is this tab's meanwhile. */
  async #host() {
    let id = "";
    try {
      id = await this.#findId();
    } catch (error) {
      this.#failure = /** @type {any} */ (error);
      this.#reportFailure(error);
      if (this.#role !== "closed") this.#setRole("failed");
      return;
    }
    await navigator.locks.request(HOST_PREFIX + id, async () => {
      // Requests may come from now on, and wait.
      this.#engine = this.#load();
      this.#setRole("loading");
      let engine;
      try {
        engine = await this.#engine;
      } catch (error) {
        this.#failure = /** @type {any} */ (error);
        if (this.#role !== "closed") this.#setRole("failed");
        return;
      }
      if (this.#role !== "closed") {
        this.#setRole("hosting");
        this.#reportHost();
        this.#channel.postMessage({ type: "host" });
        const closed = new Promise((resolve) => this.#closing.signal.addEventListener("abort", resolve));
        await Promise.race([engine.lost, closed]);
      }
      this.#engine = null;
      if (this.#isOwner) engine.dispose();
      if (!this.#closing.signal.aborted) {
        if (!this.#isOwner) this.#failure = engine.failure; // it is for its owner to load another one
        this.#setRole(this.#isOwner ? "waiting" : "failed");
      }
      this.#tookOver = true;
    });
  }

  /**
   * @returns {Promise<string>} this tab's id, which its service worker knows
   * @throws {LeadoutError} RequestError: the service worker answers under another path
   */
  async #findId() {
    const { href } = new URL(this.#path + WHO_AM_I, location.href);
    const response = await fetch(href, { cache: "no-store" }).catch(() => null);
    const { id } = (await response?.json().catch(() => null)) ?? {};
    if (typeof id !== "string") {
      throw new LeadoutError(
        "RequestError",
        `The service worker does not answer at ${href}. Give serveEngine and its answer(event) the same path.`,
        { parameter: "path" },
      );
    }
    return id;
  }

  /** @param {Role} role */
  #setRole(role) {
    this.#role = role;
    /** @type {RoleChange} */
    const detail = { role, tookOver: this.#tookOver && (role === "loading" || role === "hosting") };
    this.dispatchEvent(new CustomEvent("role", { detail }));
  }

  /** @param {MessageEvent} event of the service worker's */
  async #receive({ data, ports: [port], source }) {
    if (data?.leadout !== "request" || !port || !this.#engine) return;
    const leaving = new AbortController();
    this.#open.add(leaving);
    const needed = setInterval(() => source?.postMessage({ leadout: "needed" }), NEED_MS);
    const leave = () => leaving.abort(new DOMException("The client has hung up.", "AbortError"));
    port.onmessage = leave;
    const watching = new AbortController();
    navigator.locks.request(data.lock, { mode: "shared", signal: watching.signal }, leave).catch(() => {});
    /** @param {PortMessage} message */
    const say = (message) => port.postMessage(message);
    try {
      const { status, type, body } = await this.#answer(data, leaving.signal);
      say({ type: "head", status, contentType: type });
      if (typeof body === "string") say({ type: "part", text: body });
      else for await (const text of body) say({ type: "part", text });
      say({ type: "end" });
    } finally {
      clearInterval(needed);
      watching.abort();
      this.#open.delete(leaving);
    }
  }

  /**
   * @param {HostMessage} asked
   * @param {AbortSignal} signal
   * @returns {Promise<import("./endpoint.js").Answered>}
   */
  async #answer(asked, signal) {
    let engine;
    try {
      engine = await this.#engine;
    } catch (error) {
      const message = `The model could not be loaded. ${toOpenAIError(error).error.message}`;
      const body = JSON.stringify({ error: describe(503, message, "load_failed") });
      return { status: 503, type: "application/json", body };
    }
    return answerAsked(/** @type {Engine} */ (engine), asked, signal);
  }
}

/**
 * Answer OpenAI's requests of all tabs with an engine: this tab's, or that of the tab which came first.
 *
 * @param {Engine | (() => Promise<Engine>)} engine what loads one, called when this tab becomes the host; or one that is
 *   loaded, and stays the caller's
 * @param {{path?: string}} [options] the path that the service worker's `answer` has, "/v1/"
 * @returns {EngineServer}
 */
export function serveEngine(engine, { path = "/v1/" } = {}) {
  return new EngineServer(engine, path);
}

/** @returns {Promise<void>} when a service worker has this page */
function controlled() {
  const { serviceWorker } = navigator;
  return new Promise((resolve) => {
    if (serviceWorker.controller) resolve();
    else serviceWorker.addEventListener("controllerchange", () => resolve(), { once: true });
  });
}

/** @throws {LeadoutError} RequestError: no service worker has this page */
async function throwUnlessControlled() {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, CONTROL_MS)));
  await Promise.race([late, controlled()]);
  clearTimeout(timer);
  if (!navigator.serviceWorker.controller) {
    throw new LeadoutError(
      "RequestError",
      "No service worker answers for this page. Register one that calls answer(event), and have it call clients.claim().",
      { parameter: "serviceWorker" },
    );
  }
}
