/**
 * What the widget says above the sheet: an offer, an error, or that it cannot run here.
 *
 * @module notices
 */

/** @import {ModelChoice} from "../client/models.js" */
/** @import {Support} from "../client/support.js" */
/** @import {Notice} from "./view.js" */

import { nameModel } from "./offer.js";
import { describeError } from "./words.js";

/**
 * @param {ModelChoice} model
 * @param {string | null} size
 * @param {() => void} load
 * @returns {Notice}
 */
export function offerNotice(model, size, load) {
  return {
    kind: "offer",
    title: nameModel(model),
    lines: [size ? `${size}, to be loaded into this tab.` : "To be loaded into this tab."],
    actions: [{ label: "Load model", run: load, isMain: true }],
  };
}

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
 *   null where there is nothing to go back to
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
