/**
 * The desk's worker: a Pyodide of its own, apart from the engine's, so that a large file stalls neither the engine nor
 * the page. Whoever started it (python.js) ends it when a call takes too long.
 *
 * Messages in: {id, method, args, file}: a method of Desk (pyapp/leadout_desk/desk.py), its arguments as JSON, and a
 * Blob whose bytes go along, or null. Out: {ready: true} or {failed}, once; {id, answer} with the method's JSON, or
 * {id, failed}; {requests}, see requests.js.
 *
 * @module desk/python_worker
 */

import { resolveAssets } from "../assets.js";
import { addPackages, startPyodide } from "../python.js";
import { listDeskFiles } from "./files.js";
import { watchRequests } from "./requests.js";

watchRequests((requests) => postMessage({ requests }));

/** The Desk, a PyProxy that lives as long as the worker. @type {Promise<{pyodide: any, desk: any}>} */
const starting = start();
starting.then(
  () => postMessage({ ready: true }),
  (error) => postMessage({ failed: String(error?.message ?? error) }),
);

/** Calls run one after another, as they came. @type {Promise<void>} */
let last = Promise.resolve();

addEventListener("message", ({ data }) => {
  last = last.then(() => call(data));
});

/** @param {{id: number, method: string, args: string, file: Blob | null}} message */
async function call({ id, method, args, file }) {
  try {
    const { pyodide, desk } = await starting;
    if (file === null) {
      postMessage({ id, answer: desk.call(method, args) });
      return;
    }
    const view = pyodide.toPy(new Uint8Array(await file.arrayBuffer()));
    try {
      postMessage({ id, answer: desk.call(method, args, view) });
    } finally {
      view.destroy();
    }
  } catch (error) {
    postMessage({ id, failed: String(/** @type {Error} */ (error).message ?? error) });
  }
}

async function start() {
  const base = new URL("../assets.json", import.meta.url);
  const [names, { packages }] = await Promise.all([fetchJson(base), listDeskFiles()]);
  const fetched = Promise.all(packages.map(fetchPackage));
  fetched.catch(() => {}); // seen below, unless Pyodide fails first
  const pyodide = await startPyodide(resolveAssets(names, base));
  addPackages(pyodide, await fetched);
  const module = pyodide.pyimport("leadout_desk.desk");
  const desk = module.Desk();
  module.destroy();
  return { pyodide, desk };
}

/** @param {URL} url */
async function fetchJson(url) {
  return (await fetchFile(url)).json();
}

/** @param {string} address */
async function fetchPackage(address) {
  const buffer = await (await fetchFile(new URL(address))).arrayBuffer();
  return { name: address.slice(address.lastIndexOf("/") + 1), bytes: new Uint8Array(buffer) };
}

/** @param {URL} url */
async function fetchFile(url) {
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`${url.pathname} answered ${response.status}: the site is incomplete; reload the page`);
  }
  return response;
}
