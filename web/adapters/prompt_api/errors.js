/**
 * Failures as the Prompt API names them.
 *
 * @module adapters/prompt_api/errors
 */

import { LeadoutError, isAbort } from "../../client/errors.js";

/**
 * @param {string} name of a DOMException
 * @param {string} message
 * @param {{cause?: unknown, requested?: number, quota?: number}} [more]
 * @returns {DOMException}
 */
export function failure(name, message, more = {}) {
  return Object.assign(new DOMException(message, name), more);
}

/**
 * @param {any} error
 * @param {string} [otherwise] the name of what has none in the Prompt API
 * @returns {unknown} the DOMException, with the named error behind it as its cause; what is no failure of Leadout's stays
 */
export function toDOMException(error, otherwise = "OperationError") {
  if (isAbort(error) || !(error instanceof LeadoutError)) return error;
  const { name, message, detail } = error;
  if (name === "ContextLengthError") {
    const requested = Number(detail.prompt_tokens);
    const quota = Number(detail.context_length);
    return failure("QuotaExceededError", message, { cause: error, requested, quota });
  }
  return failure(name === "RequestError" ? "NotSupportedError" : otherwise, message, { cause: error });
}
