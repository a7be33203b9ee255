/**
 * The worker that brings a model into the store without loading it.
 *
 * @module puller
 */

/** @import {ClientMessage, FetchEvent, WorkerMessage} from "../messages.js" */

import { resolveAssets } from "../assets.js";
import { Pull } from "./pulling.js";
import { finishPulls } from "./updates.js";

/** By the request's id: a model's and its drafter's. @type {Map<number, Pull[]>} */
const pulls = new Map();

addEventListener("message", ({ data }) => {
  const message = /** @type {ClientMessage} */ (data);
  if (message.type === "ping") {
    post({ type: "pong", id: message.id });
  } else if (message.type === "abort") {
    abort(pulls.get(message.target) ?? [], new DOMException("The fetch was paused.", "AbortError"));
  } else if (message.type === "pull") {
    pull(message);
  }
});

/** @param {Extract<ClientMessage, {type: "pull"}>} message */
async function pull({ id, models, options, assets }) {
  /** @type {Pull[]} */
  const pulling = [];
  pulls.set(id, pulling);
  try {
    const hashing =
      typeof assets === "string" ? resolveAssets(await (await fetch(assets)).json(), assets) : assets;
    // All are asked for at once, so that what they take together is known; then one is fetched after the other.
    for (const model of models) {
      const after = pulling.at(-1)?.done;
      const onProgress = (/** @type {FetchEvent} */ event) => post({ type: "fetch", id, ...event });
      pulling.push(new Pull(model, { ...options, isFresh: true, hashing, after, onProgress }));
    }
    await finishPulls(pulling);
    post({ type: "result", id, value: null });
  } catch (error) {
    abort(pulling, error);
    await Promise.allSettled(pulling.map(({ done }) => done));
    const { name, message, detail } = /** @type {any} */ (error);
    post({ type: "error", id, error: { name: String(name), message: String(message), detail } });
  }
}

/**
 * @param {Pull[]} pulling
 * @param {unknown} reason
 */
function abort(pulling, reason) {
  for (const one of pulling) one.abort(reason);
}

/** @param {WorkerMessage} message */
function post(message) {
  postMessage(message);
}
