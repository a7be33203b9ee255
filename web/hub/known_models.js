/**
 * The models that are known by a short name, and which drafter is whose: known_models.json, which the
 * command line and the docs read as well.
 *
 * @module known_models
 */

import { LeadoutError } from "../client/errors.js";
import { PLACES } from "../places.js";

/**
 * `hub` and `drafter` are names as names.js reads them; `of` is the repository of the same model in
 * weights of full size, where this one is smaller.
 * @typedef {{name: string, title: string, hub: string, of: string | null, drafter: string | null}} KnownModel
 */

/** @type {Promise<KnownModel[]> | null} */
let known = null;

/**
 * @returns {Promise<KnownModel[]>}
 * @throws {LeadoutError} SourceError: the list, a part of the site, cannot be fetched
 */
export function listKnownModels() {
  known ??= fetchList().catch((error) => {
    known = null; // the next one asks again
    throw error;
  });
  return known;
}

/** @returns {Promise<KnownModel[]>} */
async function fetchList() {
  if (typeof PLACES.knownModels !== "string") {
    return PLACES.knownModels.models;
  }
  const url = new URL(PLACES.knownModels);
  try {
    return (await (await fetch(url)).json()).models;
  } catch (error) {
    throw new LeadoutError(
      "SourceError",
      `${url.pathname} cannot be fetched; the site is incomplete or the connection is gone: reload the page`,
      { url: url.href, reason: String(error) },
    );
  }
}
