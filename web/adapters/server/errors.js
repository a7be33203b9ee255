/**
 * Failures as OpenAI's error objects, with their statuses.
 *
 * @module adapters/server/errors
 */

/** @typedef {{message: string, type: string, param: string | null, code: string | null}} OpenAIError */

/**
 * By our errors' names: the status, and OpenAI's code. What is not here is the server's own fault.
 * @type {Map<string, [number, string]>}
 */
const KNOWN = new Map([
  ["RequestError", [400, "invalid_request"]],
  ["ContextLengthError", [400, "context_length_exceeded"]],
  ["ChatTemplateError", [400, "invalid_messages"]],
  ["ModelNotFoundError", [404, "model_not_found"]],
  ["AbortError", [499, "request_aborted"]],
  ["DeviceLostError", [503, "device_lost"]],
  ["WorkerError", [503, "engine_stopped"]],
]);

/**
 * @param {any} error
 * @returns {{status: number, error: OpenAIError}}
 */
export function toOpenAIError(error) {
  const [status, code] = KNOWN.get(error?.name) ?? [500, error?.name ?? "error"];
  const message = String(error?.message ?? error);
  return { status, error: describe(status, message, code, error?.detail?.parameter ?? null) };
}

/**
 * @param {number} status
 * @param {string} message
 * @param {string} code
 * @param {string | null} [param]
 * @returns {OpenAIError}
 */
export function describe(status, message, code, param = null) {
  return { message, type: status < 500 ? "invalid_request_error" : "server_error", param, code };
}

/**
 * @param {OpenAIError} error
 * @returns {string} as an event of a stream that has begun
 */
export function toErrorEvent(error) {
  return `data: ${JSON.stringify({ error })}\n\n`;
}
