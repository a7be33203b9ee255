/**
 * What relative addresses are relative to: the page, or the worker where there is none.
 *
 * @module client/page_address
 */

/** @returns {string} */
export function pageAddress() {
  return globalThis.document?.baseURI ?? globalThis.location.href;
}
