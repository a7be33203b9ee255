/**
 * Finds out what the widget can show about a model before it is loaded.
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
      return "Model files"; // a load reports what is wrong
    }
  }
  return "name" in model ? String(model.name) : "A model file";
}

/**
 * @param {Partial<LoadParams>} options
 * @returns {Promise<Support>} whether a model can be loaded with them; with a worker from the page it always can
 */
export async function findSupport({ worker }) {
  return worker ? { supported: true, reason: "", advice: "" } : Leadout.isSupported();
}

/**
 * What is known about a model before it is loaded, without reading its files.
 *
 * @typedef {object} Offer
 * @property {number | null} bytes of all its files and of its drafter's files
 * @property {string | null} host the host to fetch it from; null: it is in this browser, or on this site
 * @property {string} file the chosen file to show, if there are several; else ""
 * @property {boolean} isWithDrafter
 * @property {boolean} isKept in this browser
 * @property {string | null} smaller the name of the same model in 4 bits, if this one has full precision
 * @property {{model: ModelChoice, drafter: DrafterChoice}} load the resolved model and drafter, for a load or a forecast
 */

/**
 * @param {ModelChoice} model
 * @param {DrafterChoice} drafter
 * @param {Hub} [hub]
 * @returns {Promise<Offer>}
 */
export async function findOffer(model, drafter, hub) {
  /** @type {Offer} */
  const nothing = {
    bytes: null,
    host: null,
    file: "",
    isWithDrafter: false,
    isKept: false,
    smaller: null,
    load: { model, drafter },
  };
  if (model instanceof Blob) {
    return { ...nothing, bytes: model.size };
  }
  if (typeof model !== "string" && !(model instanceof URL)) {
    return nothing;
  }
  const text = String(model);
  const isHub = Leadout.isHubName(text);
  const url = !isHub && isUrlLike(text) && !text.startsWith("site:") ? URL.parse(text, document.baseURI) : null;
  const host = isHub ? new URL(hub?.host ?? PUBLIC_HUB).host : (url?.host ?? null);
  try {
    const kept = await findKept(isHub ? `hf:${text.replace(/^hf:/, "")}` : (url?.href ?? text));
    if (kept) {
      return { ...nothing, bytes: sumOf(kept.files), isKept: true };
    }
    if (!url && !isHub) {
      const listed = (await Leadout.listModels()).find(({ name }) => name === text);
      const isWithDrafter = drafter === "auto" || drafter === "mtp";
      if (listed) {
        return { ...nothing, bytes: listed.bytes + ((isWithDrafter && listed.drafter?.bytes) || 0) };
      }
    }
    return url ? { ...nothing, host } : { ...nothing, ...(await findOnHub(text, drafter, hub)) };
  } catch {
    return { ...nothing, host }; // a load reports what is wrong
  }
}

/**
 * @param {string} name
 * @param {DrafterChoice} drafter
 * @param {Hub} [hub]
 * @returns {Promise<Partial<Offer>>}
 */
async function findOnHub(name, drafter, hub) {
  const pair = await resolveModels(name, drafter, { hub });
  /** @param {ModelRef | ShapeRef | null} model */
  const filesOf = (model) => (model && "files" in model ? model.files : []);
  const files = [...filesOf(pair.model), ...filesOf(pair.drafter)];
  const [{ name: file, url = "" }] = files;
  const smaller = (await Leadout.listKnownModels()).find(({ of }) => of && of === parseHubName(name)?.repo);
  return {
    bytes: sumOf(files),
    host: new URL(url).host,
    file: isGguf(file) ? `${partOf(file).base}.gguf` : "",
    isWithDrafter: pair.drafter !== null,
    smaller: smaller?.name ?? null,
    load: { model: pair.model, drafter: pair.drafter ?? (drafter === "ngram" ? "ngram" : "none") },
  };
}

/** @param {{size?: number | null}[]} files */
function sumOf(files) {
  return files.reduce((sum, { size }) => sum + (size ?? 0), 0);
}
