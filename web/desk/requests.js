/**
 * Which requests were made here, as the browser itself lists them: in a page, or in a worker.
 *
 * @module desk/requests
 */

/** A request: its address, and when it began, in milliseconds since 1970. @typedef {{url: string, at: number}} Request */

/**
 * @param {(requests: Request[]) => void} report told of those that were made before, too
 * @returns {boolean} false where this browser does not tell
 */
export function watchRequests(report) {
  if (!globalThis.PerformanceObserver?.supportedEntryTypes?.includes("resource")) {
    return false;
  }
  new PerformanceObserver((list) => {
    const entries = list.getEntries();
    report(entries.map(({ name, startTime }) => ({ url: name, at: performance.timeOrigin + startTime })));
  }).observe({ type: "resource", buffered: true });
  return true;
}
