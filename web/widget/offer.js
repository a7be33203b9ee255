/**
 * What the widget can say of a model before it is loaded.
 *
 * @module offer
 */

/** @import {LoadParams} from "../client.js" */
/** @import {DrafterChoice, Hub, ModelChoice} from "../client/models.js" */
/** @import {ModelRef, ShapeRef} from "../messages.js" */
/** @import {Support} from "../client/support.js" */

import { findKept } from "../client/kept.js";
import { isUrlLike, resolveModels } from "../client/models.js";
import { sortFiles } from "../client/picked_files.js";
import { Leadout } from "../client.js";
import { isGguf, partOf } from "../hub/choose.js";
import { PUBLIC_HUB } from "../hub/listing.js";
import { parseHubName } from "../hub/names.js";
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
 * @param {Hub} [hub]
 * @returns {Promise<string | null>} for example "253 MB", or "2.9 GB from huggingface.co"; null when only
 *   the load will tell
 */
export async function findSize(model, drafter, hub) {
  if (model instanceof Blob) {
    return formatBytes(model.size);
  }
  try {
    const kept = typeof model === "string" || model instanceof URL ? await findKeptSize(String(model)) : null;
    if (kept) {
      return kept;
    }
    if (typeof model === "string" && !isUrlLike(model)) {
      const listed = (await Leadout.listModels()).find(({ name }) => name === model);
      const isWithDrafter = drafter === "auto" || drafter === "mtp";
      if (listed) {
        return formatBytes(listed.bytes + ((isWithDrafter && listed.drafter?.bytes) || 0));
      }
    }
    if (typeof model === "string" && (Leadout.isHubName(model) || !isUrlLike(model))) {
      return await findHubSize(model, drafter, hub);
    }
  } catch {
    // the load, if somebody wants it, says what is wrong
  }
  const isOnHub = typeof model === "string" && Leadout.isHubName(model);
  return isOnHub ? `A model from ${new URL(hub?.host ?? PUBLIC_HUB).host}` : null;
}

/**
 * @param {string} text a model's address
 * @returns {Promise<string | null>} what is known of it without asking anybody
 */
async function findKeptSize(text) {
  const isHub = Leadout.isHubName(text);
  const url = isHub ? null : URL.parse(text, document.baseURI);
  const source = isHub ? `hf:${text.replace(/^hf:/, "")}` : url?.href;
  const kept = source === undefined ? null : await findKept(source);
  if (kept) {
    const bytes = kept.files.reduce((sum, { size }) => sum + (size ?? 0), 0);
    return `${formatBytes(bytes)}, kept in this browser`;
  }
  return url && isUrlLike(text) && !text.startsWith("site:") ? `From ${url.host}` : null;
}

/**
 * @param {string} name
 * @param {DrafterChoice} drafter
 * @param {Hub} [hub]
 * @returns {Promise<string | null>}
 */
async function findHubSize(name, drafter, hub) {
  const pair = await resolveModels(name, drafter, { hub });
  /** @param {ModelRef | ShapeRef | null} model */
  const filesOf = (model) => (model && "files" in model ? model.files : []);
  const files = [...filesOf(pair.model), ...filesOf(pair.drafter)];
  const bytes = files.reduce((sum, { size }) => sum + (size ?? 0), 0);
  const [{ name: file, url = "" }] = files;
  const gguf = isGguf(file) ? ` (${partOf(file).base}.gguf)` : "";
  const smaller = (await Leadout.listKnownModels()).find(({ of }) => of && of === parseHubName(name)?.repo);
  return (
    `${formatBytes(bytes)} from ${new URL(url).host}${gguf}${pair.drafter ? ", with its drafter" : ""}` +
    (smaller ? ` (smaller, in 4 bits: ${smaller.name})` : "")
  );
}
