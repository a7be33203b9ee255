/**
 * Errors on the JavaScript side: one class whose `name` says which of the named errors it is.
 *
 * @module errors
 */

/** @import {ErrorMessage} from "../messages.js" */

/**
 * An error that Leadout raises on purpose. `name` is a class name of pyapp/leadout/errors.py, or
 * "WorkerError" when the worker itself stopped, or "SessionError" when a saved conversation cannot be continued.
 */
export class LeadoutError extends Error {
  /**
   * @param {string} name for example "OutOfMemoryError"
   * @param {string} message what was found, what was wanted, what to do
   * @param {Record<string, unknown>} [detail] the facts behind the message
   */
  constructor(name, message, detail = {}) {
    super(message);
    this.name = name;
    this.detail = detail;
  }
}

/**
 * Make the error that a page sees from the one that crossed.
 *
 * @param {ErrorMessage} error
 * @returns {LeadoutError | DOMException} a DOMException for "AbortError", as fetch gives
 */
export function errorFromMessage(error) {
  if (error.name === "AbortError") {
    return new DOMException(error.message, "AbortError");
  }
  return new LeadoutError(error.name, error.message, error.detail);
}

/**
 * @param {unknown} error
 * @returns {boolean} whether somebody asked for the end, so that it is not a failure
 */
export function isAbort(error) {
  return error instanceof Error && error.name === "AbortError";
}
