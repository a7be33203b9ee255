/**
 * What the widget can say of a model before it is loaded.
 *
 * @module offer
 */

/** @import {LoadParams} from "../client.js" */
/** @import {DrafterChoice, ModelChoice} from "../client/models.js" */
/** @import {Support} from "../client/support.js" */

import { isUrlLike } from "../client/models.js";
import { sortFiles } from "../client/picked_files.js";
import { Leadout } from "../client.js";
import { formatBytes } from "./words.js";

/**
 * @param {ModelChoice} model
 * @returns {string}
 */
export function nameModel(model) {
  if (typeof model === "string" || model instanceof URL) {
    return String(model);
  }
  if (Array.isArray(model)) {
    try {
      return sortFiles(model).model.name;
    } catch {
      return "Model files"; // the load, if somebody wants it, says what is wrong
    }
  }
  return "name" in model ? String(model.name) : "A model file";
}

/**
 * @param {Partial<LoadParams>} options
 * @returns {Promise<Support>} whether a model can be loaded with them; a worker of one's own can
 */
export async function findSupport({ worker }) {
  return worker ? { supported: true, reason: "", advice: "" } : Leadout.isSupported();
}

/**
 * @param {ModelChoice} model
 * @param {DrafterChoice} drafter
 * @returns {Promise<string | null>} for example "253 MB"; null when only the load will tell
 */
export async function findSize(model, drafter) {
  if (model instanceof Blob) {
    return formatBytes(model.size);
  }
  if (typeof model === "string" && !isUrlLike(model)) {
    try {
      const listed = (await Leadout.listModels()).find(({ name }) => name === model);
      if (!listed) {
        return null;
      }
      const isWithDrafter = drafter === "auto" || drafter === "mtp";
      return formatBytes(listed.bytes + ((isWithDrafter && listed.drafter?.bytes) || 0));
    } catch {
      return null; // the load, if somebody wants it, says what is wrong
    }
  }
  return null;
}
