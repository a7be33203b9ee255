/**
 * The worker: boots Pyodide and hands the client's messages to Python (pyapp/leadout/bridge). What
 * crosses is described in messages.js, and nowhere else. JavaScript's part of the engine is in runtime/.
 *
 * Boot: 1. loading_runtime   Pyodide itself, from the site
 *       2. loading_package   Leadout's package and what it needs, from the site
 *       then every message goes to Python, which posts the answers. A "load" that comes before that
 *       waits, but what needs no Python begins: see host.js.
 *
 * @module worker
 */

/** @import {ClientMessage, WorkerMessage} from "./messages.js" */

import { Host } from "./host.js";

/** Made by the first "boot". @type {Promise<Host> | null} */
let host = null;

/** The bridge, once booted. @type {Promise<any> | null} */
let bridge = null;

addEventListener("message", ({ data }) => {
  const message = /** @type {ClientMessage} */ (data);
  if (message.type === "ping") {
    post({ type: "pong", id: message.id });
    return;
  }
  if (message.type === "boot") {
    bridge ??= boot(message);
    bridge.then(
      () => post({ type: "result", id: message.id, value: null }),
      (error) => post({ type: "error", id: message.id, error: describe(error) }),
    );
    return;
  }
  serve(message).catch((error) => {
    post({ type: "error", id: message.id, error: describe(error) });
  });
});

/** @param {ClientMessage} message */
async function serve(message) {
  if (host === null || bridge === null) throw new Error(`"${message.type}" came before "boot"`);
  if (message.type === "load" || message.type === "estimate") {
    const { type, id, model, drafter } = message;
    host.then((ready) => {
      if (type === "load") ready.prefetch([model, drafter], id);
      else for (const part of [model, drafter]) ready.lookUp(part);
    }, () => {});
  }
  await (await bridge).handle(message);
}

/**
 * @param {WorkerMessage} message
 * @param {Transferable[]} [transfer]
 */
function post(message, transfer = []) {
  postMessage(message, { transfer });
}

/** @param {any} error */
function describe(error) {
  return { name: String(error?.name ?? "Error"), message: String(error?.message ?? error) };
}

/**
 * @param {Extract<ClientMessage, {type: "boot"}>} message
 * @returns {Promise<any>} the bridge
 */
async function boot({ id, assets, version }) {
  // What the client hears of as the worker's own error, which fails every request.
  const onFatal = (/** @type {unknown} */ error) => {
    setTimeout(() => {
      throw new Error(`Python ended: ${describe(error).message}`);
    });
  };
  host = Host.create({ base: new URL("./", import.meta.url), assets, version, gpu: navigator.gpu, post, onFatal });
  return (await host).boot((phase) => post({ type: "phase", id, phase }));
}
