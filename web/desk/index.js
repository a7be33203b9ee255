/**
 * What the finance desk's page (static/desk/) takes from here: its Python, its charts, and its count of requests.
 *
 * @module desk
 */

import { startModuleWorker } from "../module_worker.js";
import { listDeskFiles } from "./files.js";

export { DeskPython, MAX_FILE_BYTES } from "./python.js";
export { watchRequests } from "./requests.js";
export { copyText } from "../widget/clipboard.js";
export { h } from "../widget/dom.js";

/**
 * Load uPlot, with its style.
 *
 * @returns {Promise<any>} its class
 */
export async function loadCharts() {
  const { uplot, uplot_style } = await listDeskFiles();
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = uplot_style;
  const styled = new Promise((resolve, reject) => {
    style.onload = resolve;
    style.onerror = () => reject(new Error("the style of the charts could not be loaded; reload the page"));
  });
  document.head.append(style);
  const [module] = await Promise.all([import(uplot), styled]);
  return module.default;
}

/**
 * Start the engine's worker so that its requests are told.
 *
 * @param {(requests: import("./requests.js").Request[]) => void} onRequests
 * @returns {Worker}
 */
export function startCountedWorker(onRequests) {
  const name = `leadout-${crypto.randomUUID()}`;
  new BroadcastChannel(name).onmessage = ({ data }) => onRequests(data);
  return startModuleWorker(new URL("./counted_worker.js", import.meta.url), name);
}

