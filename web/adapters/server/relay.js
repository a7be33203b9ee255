/**
 * The service worker's part: it passes requests on to the tab that has the engine, and answers back.
 *
 * @module adapters/server/relay
 */

/** @import {HostMessage, PortMessage} from "./wire.js" */

import { describe, toErrorEvent } from "./errors.js";
import { LOCK, REQUEST_PREFIX, WHO_AM_I, findHost } from "./wire.js";

/**
 * A service worker's fetch event.
 * @typedef {{request: Request, clientId: string, respondWith: (response: Response | Promise<Response>) => void,
 *   waitUntil: (end: Promise<unknown>) => void}} ServiceWorkerFetch
 */

/** How long to wait for a tab that takes over; it has a lock, so this is short. */
const TAKEOVER_MS = 10_000;
const LOOK_MS = 50;
/** Hosts that may close, one after the other, before one has begun to answer. */
const MAX_HOSTS = 5;

const CLOSED = "The tab that answered was closed. Another one takes over, if there is one: ask again.";
const NOBODY = "No tab of this site serves a model. Open a page that calls serveEngine.";

/**
 * Answer a request for /v1/ of this origin.
 *
 * @param {ServiceWorkerFetch} event
 * @param {{path?: string}} [options] another path than "/v1/"
 * @returns {boolean} false: it is another request, and nobody has answered it
 */
export function answer(event, { path = "/v1/" } = {}) {
  const { request } = event;
  const url = new URL(request.url);
  // A navigation may come from any site, such as a form that is sent here; it gets no answer of a model.
  if (url.origin !== location.origin || !url.pathname.startsWith(path) || request.mode === "navigate") {
    return false;
  }
  if (url.pathname === path + WHO_AM_I) {
    event.respondWith(Response.json({ id: event.clientId }));
    return true;
  }
  /** @type {() => void} */
  let end = () => {};
  event.waitUntil(new Promise((resolve) => (end = () => resolve(undefined))));
  event.respondWith(relay(request, url.pathname.slice(path.length), end));
  return true;
}

/**
 * @param {Request} request
 * @param {string} path behind /v1/
 * @param {() => void} end called when all is answered
 * @returns {Promise<Response>}
 */
async function relay(request, path, end) {
  const { method } = request;
  /** @type {Omit<HostMessage, "lock">} */
  const message = { leadout: "request", method, path, body: method === "GET" ? "" : await request.text() };
  for (let i = 0; i < MAX_HOSTS; i++) {
    const host = await awaitHost();
    if (host === null) break;
    const response = await ask(host, message, request.signal, end);
    if (response !== null) return response;
  }
  end();
  const error = describe(503, NOBODY, "no_engine");
  return new Response(JSON.stringify({ error }), { status: 503, headers: { "Content-Type": "application/json" } });
}

/** @returns {ReturnType<typeof findHost>} null: nobody is one, or about to be */
async function awaitHost() {
  const startedMs = performance.now();
  for (;;) {
    const host = await findHost();
    if (host !== null) return host;
    const { held = [], pending = [] } = await navigator.locks.query();
    const isAwaited = [...held, ...pending].some(({ name }) => name === LOCK);
    if (!isAwaited || performance.now() - startedMs > TAKEOVER_MS) return null;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/**
 * @param {{lock: string, clientId: string}} host
 * @param {Omit<HostMessage, "lock">} message
 * @param {AbortSignal} signal the client has hung up
 * @param {() => void} end
 * @returns {Promise<Response | null>} null: the host was closed before it answered anything
 */
async function ask(host, message, signal, end) {
  const client = await /** @type {any} */ (globalThis).clients.get(host.clientId);
  if (!client) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    return null;
  }
  const { lock, release } = await takeLock();
  const { port1, port2 } = new MessageChannel();
  const watching = new AbortController();
  const encoder = new TextEncoder();
  return new Promise((resolve) => {
    /** @type {ReadableStreamDefaultController<Uint8Array> | null} */
    let controller = null;
    let isStream = false;
    const stop = () => {
      release();
      watching.abort();
      port1.close();
      signal.removeEventListener("abort", hangUp);
      if (controller) end();
    };
    const hangUp = () => {
      port1.postMessage({ type: "abort" });
      const { reason } = signal;
      if (controller) controller.error(reason);
      else resolve(Response.error());
      stop();
      end();
    };
    const leave = () => {
      port1.postMessage({ type: "abort" });
      stop();
    };
    port1.onmessage = ({ data }) => {
      const said = /** @type {PortMessage} */ (data);
      if (said.type === "head") {
        isStream = said.contentType === "text/event-stream";
        const body = new ReadableStream({ start: (given) => void (controller = given), cancel: leave });
        const headers = { "Content-Type": said.contentType, "Cache-Control": "no-store" };
        resolve(new Response(body, { status: said.status, headers }));
      } else if (said.type === "part") {
        controller?.enqueue(encoder.encode(said.text));
      } else {
        controller?.close();
        stop();
      }
    };
    // It can be had when the host is gone: closed, crashed, or no host any more.
    const gone = () => {
      if (watching.signal.aborted) return;
      if (controller === null) {
        resolve(null);
      } else if (isStream) {
        controller.enqueue(encoder.encode(toErrorEvent(describe(503, CLOSED, "host_closed"))));
        controller.close();
      } else {
        controller.error(new TypeError(CLOSED));
      }
      stop();
    };
    navigator.locks.request(host.lock, { mode: "shared", signal: watching.signal }, gone).catch(() => {});
    signal.addEventListener("abort", hangUp);
    if (signal.aborted) hangUp();
    else client.postMessage({ ...message, lock }, [port2]);
  });
}

/** @returns {Promise<{lock: string, release: () => void}>} a lock that is free when this worker ends, too */
function takeLock() {
  const lock = REQUEST_PREFIX + crypto.randomUUID();
  return new Promise((resolve) => {
    navigator.locks.request(
      lock,
      () => new Promise((end) => resolve({ lock, release: () => end(undefined) })),
    );
  });
}
