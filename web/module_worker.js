/**
 * Starts workers, also those whose script lies on another origin, say a CDN.
 *
 * Browsers start no worker of another origin. A script of three words can be a worker of this one: it lies in memory
 * (a blob: URL) and imports the other. The page's policy then has to allow both, in `worker-src`: Chromium asks that
 * directive for what a worker imports from the start, and `script-src` for what it imports later. A worker from a blob
 * has the policy of the page that started it.
 *
 * @module module_worker
 */

/**
 * @param {string | URL} url of a module
 * @param {string} name for developer tools
 * @returns {Worker}
 */
export function startModuleWorker(url, name) {
  const { href, origin } = new URL(url);
  if (origin === globalThis.origin) {
    return new Worker(href, { type: "module", name });
  }
  const script = new Blob([`import ${JSON.stringify(href)};`], { type: "text/javascript" });
  const address = URL.createObjectURL(script);
  const worker = new Worker(address, { type: "module", name });
  // It is read some time after the call; the worker's first word says that it was, or could not be.
  const release = () => URL.revokeObjectURL(address);
  worker.addEventListener("message", release, { once: true });
  worker.addEventListener("error", release, { once: true });
  return worker;
}
