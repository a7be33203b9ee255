/**
 * From a model's name on the hub to the files that are it, and its drafter.
 *
 * @module resolve
 */

/** @import {HubOptions, ListedFile, Listing} from "./listing.js" */
/** @import {KnownModel} from "./known_models.js" */

import { LeadoutError } from "../client/errors.js";
import { chooseDrafterFiles, chooseFiles, drafterRepos, fileName, isGguf, partOf } from "./choose.js";
import { listKnownModels } from "./known_models.js";
import { fileUrl, listRepository, requireAccess } from "./listing.js";
import { parseHubName } from "./names.js";

/**
 * @typedef {object} HubFile
 * @property {string} name without folders
 * @property {string} url at the hub's host, of one commit; it may lead on to another host
 * @property {number} size bytes
 * @property {string | null} sha256 of the content, where the hub publishes it
 */

/**
 * A model on a hub, of one commit.
 *
 * @typedef {object} HubModel
 * @property {string} name for people: the repository's, or that of the file that was asked for
 * @property {string} repo "owner/name"
 * @property {string} revision the commit
 * @property {string} host the hub's origin
 * @property {HubFile[]} files
 * @property {HubModel | null} drafter
 */

/**
 * Look a model up.
 *
 * @param {string} name see names.js
 * @param {HubOptions & {withDrafter?: boolean, known?: KnownModel[]}} [options] `withDrafter`: look for
 *   its drafter too, the default
 * @returns {Promise<HubModel>}
 * @throws {LeadoutError} RequestError: no such name can be; ModelNotFoundError, CheckpointError:
 *   nothing there is a model; SourceError: the hub refuses, is busy, or cannot be reached
 */
export async function resolveModel(name, options = {}) {
  const parsed = parseHubName(name);
  if (!parsed) {
    throw new LeadoutError(
      "RequestError",
      `"${name}" is not of the form hf:owner/name[@revision][:file].`,
      { name },
    );
  }
  const listing = await listRepository(parsed.repo, parsed.revision, options);
  const chosen = chooseFiles(listing.repo, listing.files, parsed.file);
  if (listing.isGated) {
    await requireAccess(listing, chosen[0].path, options);
  }
  const model = toModel(listing, chosen, parsed.file);
  if (options.withDrafter ?? true) {
    model.drafter = await findDrafter(name, listing, chosen, options);
  }
  return model;
}

/**
 * @param {string} name of the target
 * @param {Listing} listing the target's
 * @param {ListedFile[]} chosen
 * @param {HubOptions & {known?: KnownModel[]}} options
 * @returns {Promise<HubModel | null>}
 */
async function findDrafter(name, listing, chosen, options) {
  const known = options.known ?? (await listKnownModels());
  const asked = parseHubName(name)?.file;
  const entry = known.find(({ hub }) => {
    const { repo, file } = parseHubName(hub) ?? {};
    return repo === listing.repo && (!file || !asked || file === asked);
  });
  const candidates = entry?.drafter ? [entry.drafter] : [];
  const beside = chooseDrafterFiles(listing.repo, listing.files, chosen);
  if (candidates.length === 0 && beside) {
    return toModel(listing, beside, beside[0].path);
  }
  for (const candidate of [...candidates, ...drafterRepos(listing.repo)]) {
    try {
      return await resolveModel(candidate, { ...options, withDrafter: false });
    } catch (error) {
      if (!(error instanceof LeadoutError) || error.name !== "ModelNotFoundError") {
        throw error;
      }
    }
  }
  return beside ? toModel(listing, beside, beside[0].path) : null;
}

/**
 * @param {Listing} listing
 * @param {ListedFile[]} chosen
 * @param {string | null} file that names the model
 * @returns {HubModel}
 */
function toModel(listing, chosen, file) {
  const isNamed = file !== null && isGguf(chosen[0].path);
  return {
    name: isNamed ? stemOf(chosen[0].path) : listing.repo.split("/")[1],
    repo: listing.repo,
    revision: listing.revision,
    host: listing.host,
    files: chosen.map(({ path, size, sha256 }) => {
      return { name: fileName(path), url: fileUrl(listing, path), size, sha256 };
    }),
    drafter: null,
  };
}

/** @param {string} path of a GGUF */
function stemOf(path) {
  return partOf(fileName(path)).base;
}
