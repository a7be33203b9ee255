/**
 * What adapters refuse, by name.
 *
 * @module adapters/refusals
 */

import { LeadoutError } from "../client/errors.js";

/**
 * @param {string} message
 * @param {string} parameter
 * @param {Record<string, unknown>} [detail]
 */
export function requestError(message, parameter, detail = {}) {
  return new LeadoutError("RequestError", message, { parameter, ...detail });
}

/**
 * @param {string} what for example "an image (image/png)"
 * @param {Record<string, unknown>} [detail]
 */
export function noFiles(what, detail = {}) {
  return requestError(
    `The prompt has ${what}. Leadout's models read only text: say in words what it holds, or leave it out.`,
    "prompt",
    detail,
  );
}
