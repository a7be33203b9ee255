/**
 * Leadout in Python of one's own: in JupyterLite, in marimo, or in a page that runs Pyodide.
 *
 *     import { installLeadout } from "https://…/python.js";
 *     await installLeadout(pyodide); // then, in Python: from leadout import load
 *
 * It runs where Pyodide runs, in a worker or on a page. Computing is the GPU's, so a page stays usable; what is kept of
 * models from afar is kept by workers alone, since browsers let pages write files slowly at best.
 *
 * @module own_pyodide
 */

/** @import {FetchEvent, WorkerMessage} from "./messages.js" */

import { canKeep } from "./client/kept.js";
import { resolveModels } from "./client/models.js";
import { placesOf } from "./client/places.js";
import { toFetchEvent } from "./client/store.js";
import { Host } from "./host.js";

/**
 * @typedef {object} PythonOptions
 * @property {string | URL} [assets] the folder with the engine's files, where they do not lie where this module looks for
 *   them; as for `Leadout.load`
 * @property {import("./client/models.js").Hub} [hub] which hub, and the access token for it
 * @property {(event: FetchEvent) => void} [onFetch] told while a model from afar is fetched
 */

/**
 * Put Leadout into a Pyodide: afterwards `from leadout import load` works there.
 *
 * @template T
 * @param {T} pyodide that runs already; `pyodide_js` in a notebook
 * @param {PythonOptions} [options]
 * @returns {Promise<T>} the same
 */
export async function installLeadout(pyodide, options = {}) {
  await install(pyodide, await newHost(options), options);
  return pyodide;
}

/**
 * Start the Pyodide that Leadout brings along, with Leadout in it, for pages that have none. It has the standard library
 * and no other package.
 *
 * @param {PythonOptions} [options]
 * @returns {Promise<any>} Pyodide
 */
export async function startPython(options = {}) {
  const host = await newHost(options);
  const pyodide = await host.startPyodide();
  await install(pyodide, host, options);
  return pyodide;
}

/**
 * @param {PythonOptions} options
 * @returns {Promise<Host>}
 */
function newHost({ assets: folder, onFetch }) {
  const { assets, version } = placesOf(folder);
  /** @param {WorkerMessage} message */
  const post = (message) => {
    if (message.type === "fetch") onFetch?.(toFetchEvent(message));
  };
  // When Python dies its own page hears of it, which started it.
  return Host.create({ base: new URL("./", import.meta.url), assets, version, gpu: navigator.gpu, post, onFatal: () => {} });
}

/**
 * @param {any} pyodide
 * @param {Host} host
 * @param {PythonOptions} options
 */
async function install(pyodide, host, { hub }) {
  /**
   * @param {string} model
   * @param {string} drafter
   * @returns {Promise<string>} a `ModelPair` as JSON
   */
  const find = async (model, drafter) => {
    const isKept = globalThis.document === undefined && (await canKeep());
    const pair = await resolveModels(model, drafter, { hub, isKept });
    host.prefetch([pair.model, pair.drafter], 0);
    return JSON.stringify(pair);
  };
  await host.addTo(pyodide);
  const bridge = pyodide.pyimport("leadout.bridge.own_pyodide");
  bridge.install(host, find);
  bridge.destroy();
}
