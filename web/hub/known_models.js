/**
 * The models that are known by a short name, and which drafter is whose: known_models.json, which the
 * command line and the docs read as well.
 *
 * @module known_models
 */

/**
 * `hub` and `drafter` are names as names.js reads them.
 * @typedef {{name: string, title: string, hub: string, drafter: string | null}} KnownModel
 */

/** @type {Promise<KnownModel[]> | null} */
let known = null;

/** @returns {Promise<KnownModel[]>} */
export function listKnownModels() {
  known ??= fetch(new URL("./known_models.json", import.meta.url))
    .then(async (response) => (await response.json()).models)
    .catch((error) => {
      known = null; // the next one asks again
      throw error;
    });
  return known;
}
