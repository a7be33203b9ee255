/**
 * Whether a text is whole JSON: it may have been cut while it came.
 *
 * @module adapters/is_json
 */

/** @param {string} text */
export function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
