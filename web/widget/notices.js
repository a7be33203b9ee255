/**
 * The widget's notices above the sheet: an error, or that it cannot run here. Offers of models are in forecast.js.
 *
 * @module notices
 */

/** @import {Support} from "../client/support.js" */
/** @import {Notice} from "./view.js" */

import { describeError } from "./words.js";

/**
 * @param {Support} support
 * @returns {Notice}
 */
export function unsupportedNotice({ reason, advice }) {
  return { kind: "unsupported", title: reason, lines: [advice], actions: [] };
}

/**
 * @param {Error} error
 * @param {{retry: {label: string, run: () => void}, dismiss: (() => void) | null}} actions dismiss is
 *   null if there is nothing to go back to
 * @returns {Notice}
 */
export function errorNotice(error, { retry, dismiss }) {
  const { title, message, advice } = describeError(error);
  return {
    kind: "error",
    title,
    lines: [message, advice],
    actions: [
      { ...retry, isMain: true },
      ...(dismiss ? [{ label: "Dismiss", run: dismiss }] : []),
    ],
  };
}
