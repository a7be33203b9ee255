/**
 * The worker that brings a model into the store without loading it.
 *
 * @module puller
 */

/** @import {ClientMessage, WorkerMessage} from "../messages.js" */

import { resolveAssets } from "../assets.js";
import { Pull } from "./pulling.js";

/** By the request's id. @type {Map<number, Pull>} */
const pulls = new Map();

addEventListener("message", ({ data }) => {
  const message = /** @type {ClientMessage} */ (data);
  if (message.type === "ping") {
    post({ type: "pong", id: message.id });
  } else if (message.type === "abort") {
    pulls.get(message.target)?.abort(new DOMException("The fetch was paused.", "AbortError"));
  } else if (message.type === "pull") {
    pull(message);
  }
});

/** @param {Extract<ClientMessage, {type: "pull"}>} message */
async function pull({ id, models, options, assets }) {
  try {
    const hashing =
      typeof assets === "string" ? resolveAssets(await (await fetch(assets)).json(), assets) : assets;
    for (const model of models) {
      const pulling = new Pull(model, {
        ...options,
        isFresh: true,
        hashing,
        onProgress: (event) => post({ type: "fetch", id, ...event }),
      });
      pulls.set(id, pulling);
      await pulling.done;
    }
    post({ type: "result", id, value: null });
  } catch (error) {
    const { name, message, detail } = /** @type {any} */ (error);
    post({ type: "error", id, error: { name: String(name), message: String(message), detail } });
  }
}

/** @param {WorkerMessage} message */
function post(message) {
  postMessage(message);
}
