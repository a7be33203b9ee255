/**
 * Turns what a page calls a model (a name, a URL, files) into the ModelRefs that the worker loads: the model's and its
 * drafter's.
 *
 * @module models
 */

/** @import {FileRef, ModelRef, ShapeRef} from "../messages.js" */

import { readJson } from "./bounded_json.js";
import { LeadoutError } from "./errors.js";
import { drafterSource, findKept, findPulled, isOnThisMachine, sourceOf } from "./kept.js";
import { pageAddress } from "./page_address.js";
import { sortFiles } from "./picked_files.js";
import { partOf } from "../hub/choose.js";
import { listKnownModels } from "../hub/known_models.js";
import { parseHubName } from "../hub/names.js";
import { resolveModel } from "../hub/resolve.js";
import { PLACES } from "../places.js";
import { isWebPage } from "../web_page.js";

/** @typedef {string | URL | Blob | Blob[] | ModelRef | ShapeRef} ModelChoice */

/**
 * "auto" is the drafter that comes with the model, in the site's list or among its files, if there is one. "mtp" is the
 * same, but an error if there is none. Anything else names a model, as for the target.
 * @typedef {"auto" | "none" | "mtp" | "ngram" | ModelChoice} DrafterChoice
 */

/**
 * The hub where names are looked up, and the access token for it. No other host gets the token, and nothing stores it.
 * @typedef {{host?: string, token?: string | null}} Hub
 */

/**
 * @typedef {object} LookUp
 * @property {AbortSignal | null} [signal]
 * @property {Hub} [hub]
 * @property {boolean} [withDrafter]
 * @property {boolean} [isKept] whether the store counts: what it has whole is taken without asking
 *   anybody, and what it shall keep gets a `source`. Default true
 * @property {boolean} [isFresh] ask all the same, and keep what this machine's own server has as well
 */

/** A model and what comes with it.
 * @typedef {{model: ModelRef | ShapeRef, drafter: ModelRef | ShapeRef | null}} ModelPair
 */

/** @typedef {{name: string, bytes: number, files: {name: string, bytes: number, sha256: string | null}[]}} ListedFiles */

/**
 * A model that the site itself serves (an entry of models/index.json). `default`: whether the site
 * proposes it.
 * @typedef {ListedFiles & {default: boolean, drafter?: ListedFiles | null}} ListedModel
 */

/** Before a name of this site's list, in the store. */
const SITE_PREFIX = "site:";

/** The folder that holds leadout.js, models/ and this release's app-<hash>/; null in the npm package. */
const SITE_URL = PLACES.site === null ? null : new URL(PLACES.site);

/** Parts of a split GGUF, of which a name may claim 99,999, or shards that an index names. */
const MAX_PARTS = 256;

/** For a small file to come. */
const ANSWER_MS = 60_000;

/** For a hub to say whether it has a drafter for a model that is here. */
const DRAFTER_MS = 3000;

/** Files of a model folder that may be missing. */
const OPTIONAL_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "generation_config.json",
  "chat_template.jinja",
];

/**
 * List the models that this site serves, the proposed one first.
 *
 * @param {{signal?: AbortSignal | null}} [options]
 * @returns {Promise<ListedModel[]>} empty when the site serves none
 */
export async function listModels({ signal } = {}) {
  if (SITE_URL === null) {
    return [];
  }
  const response = await fetchFile(new URL("models/index.json", SITE_URL), { signal });
  if (!isThere(response)) {
    return [];
  }
  const index = await readJson(response);
  if (!Array.isArray(index?.models)) {
    throw new LeadoutError("SourceError", `${response.url} is no list of models.`);
  }
  /** @type {ListedModel[]} */
  const models = index.models;
  return models.toSorted((a, b) => Number(b.default) - Number(a.default));
}

/**
 * @param {ModelChoice} model
 * @param {DrafterChoice} drafter
 * @param {LookUp} [options]
 * @returns {Promise<ModelPair>} with absolute URLs, because the worker has another base
 */
export async function resolveModels(model, drafter, options = {}) {
  const pair = await resolve(model, { ...options, withDrafter: drafter === "auto" || drafter === "mtp" });
  if (drafter === "none" || drafter === "ngram") {
    return { ...pair, drafter: null };
  }
  if (drafter === "mtp" && !pair.drafter) {
    throw new LeadoutError(
      "DrafterError",
      `No drafter comes with ${pair.model.name}: the site's list and the hub have none for it, and no file that was ` +
        `given has "assistant" in its name. Give the drafter's address as \`drafter\`.`,
      { name: pair.model.name },
    );
  }
  if (drafter === "auto" || drafter === "mtp") {
    return pair;
  }
  return { ...pair, drafter: (await resolve(drafter, { ...options, withDrafter: false })).model };
}

/**
 * @param {ModelChoice} model
 * @param {LookUp} options
 * @returns {Promise<ModelPair>}
 */
async function resolve(model, options) {
  if (model instanceof URL || typeof model === "string") {
    const text = String(model);
    if (text.startsWith(SITE_PREFIX)) {
      return resolveName(text.slice(SITE_PREFIX.length), options);
    }
    if (parseHubName(text)) {
      return resolveHubName(text, options);
    }
    return isUrlLike(text) ? resolveAddress(text, options) : resolveName(text, options);
  }
  if (model instanceof Blob) {
    return sortFiles([model]);
  }
  if (Array.isArray(model)) {
    return sortFiles(model);
  }
  if (model && "shape" in model) {
    return { model, drafter: model }; // made up both
  }
  if (Array.isArray(model?.files)) {
    const files = model.files.map((file) =>
      file.url ? { ...file, url: new URL(file.url, pageAddress()).href } : file,
    );
    const isRemote = files.length > 0 && files.every(({ url }) => url);
    const source = model.source ?? (isRemote ? sourceOf({ name: model.name, files }) : null);
    const isKept = options.isKept !== false && isRemote;
    return alone({ ...model, files, source: isKept && source ? source : undefined });
  }
  throw new LeadoutError(
    "RequestError",
    "No model given. Pass a name, hf:owner/name, a URL, a File, a list of Files, or {name, files}.",
  );
}

/**
 * @param {string} text
 * @returns {boolean} whether a model's string is an address (the hub's too) rather than a short name
 */
export function isUrlLike(text) {
  return /^[a-z][a-z0-9+.-]*:/i.test(text) || text.includes("/") || text.endsWith(".gguf");
}

/**
 * @param {ModelRef} model
 * @returns {ModelPair}
 */
function alone(model) {
  return { model, drafter: null };
}

/**
 * @param {string} text a URL; or several with spaces between them, which only the store knows
 * @param {LookUp} options
 * @returns {Promise<ModelPair>}
 */
async function resolveAddress(text, options) {
  const { signal, isKept = true, isFresh = false } = options;
  const url = URL.parse(text, pageAddress());
  if (url) {
    url.hash = "";
  }
  const source = text.includes(" ") || !url ? text : url.href;
  const kept = isKept ? await (isFresh ? findPulled : findKept)(source) : null;
  if (kept && (!isFresh || !url || text.includes(" "))) {
    return alone(kept);
  }
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new LeadoutError("RequestError", `"${text}" is not the address of a model; wanted https://…`, { text });
  }
  const model = await resolveUrl(url, signal);
  return alone(keeps(url, options) ? { ...model, source: url.href } : model);
}

/**
 * @param {URL} url
 * @param {LookUp} options
 * @returns {boolean} whether the store shall have what lies there
 */
function keeps(url, { isKept = true, isFresh = false }) {
  return isKept && (isFresh || !isOnThisMachine(url));
}

/**
 * @param {string} source
 * @param {LookUp} options
 * @returns {Promise<ModelPair | null>} what is kept, if the model is and nobody wants it fresh
 */
async function findKeptPair(source, { isKept = true, isFresh = false, withDrafter = true }) {
  const model = isKept && !isFresh ? await findKept(source) : null;
  return model && { model, drafter: withDrafter ? await findKept(drafterSource(source)) : null };
}

/**
 * @param {string} name at the hub
 * @param {LookUp} options
 * @returns {Promise<ModelPair>}
 */
async function resolveHubName(name, options) {
  const { signal, hub = {}, withDrafter = true, isKept = true } = options;
  const source = name.startsWith("hf:") ? name : `hf:${name}`;
  /** @param {import("../hub/resolve.js").HubModel} found @param {string} source @returns {ModelRef} */
  const toHubRef = (found, source) => ({
    name: found.name,
    files: found.files.map((file) => ({ ...file, ...(hub.token && { token: hub.token }) })),
    ...(isKept && { source }),
  });
  const lookUp = async (/** @type {AbortSignal | null | undefined} */ signal) => {
    const found = await resolveModel(name, { ...hub, signal, withDrafter });
    const { drafter } = found;
    return {
      model: toHubRef(found, source),
      drafter: drafter && toHubRef(drafter, drafterSource(source)),
    };
  };
  const kept = await findKeptPair(source, options);
  if (!kept) {
    return lookUp(signal);
  }
  if (!withDrafter || kept.drafter) {
    return kept;
  }
  // Kept without a drafter: the hub may have one. Without a connection, or with a dead one, it goes without.
  const ends = [AbortSignal.timeout(DRAFTER_MS), ...(signal ? [signal] : [])];
  const found = await lookUp(AbortSignal.any(ends)).catch(() => null);
  signal?.throwIfAborted();
  return { model: kept.model, drafter: found?.drafter ?? null };
}

/**
 * @param {string} name of a model, or of a model's drafter; else one that is known
 * @param {LookUp} options
 * @returns {Promise<ModelPair>}
 */
async function resolveName(name, options) {
  let models;
  try {
    models = await listModels(options);
  } catch (error) {
    const kept = await findKeptPair(SITE_PREFIX + name, options);
    const entry = (await listKnownModels().catch(() => [])).find((model) => model.name === name);
    if (!kept && !entry) {
      throw error;
    }
    return kept ?? resolveHubName(/** @type {{hub: string}} */ (entry).hub, options);
  }
  const source = SITE_URL && keeps(SITE_URL, options) ? SITE_PREFIX + name : null;
  const toModelRef = (/** @type {ListedFiles} */ listed) => toRef(listed, source);
  const listed = models.find((model) => model.name === name);
  const drafter = models.find((model) => model.drafter?.name === name)?.drafter;
  if (!listed && drafter) {
    return alone(toModelRef(drafter));
  }
  if (!listed) {
    const known = await listKnownModels();
    const entry = known.find((model) => model.name === name);
    if (entry) {
      return resolveHubName(entry.hub, options);
    }
    const served = models.map((model) => model.name);
    const here = SITE_URL
      ? `This site serves no model "${name}". It serves: ${served.join(", ") || "none"}.`
      : `The package brings no models, so "${name}" is none. Give the address of a .gguf file or of a folder, such as ` +
        `"./${name}/", or a File.`;
    throw new LeadoutError(
      "ModelNotFoundError",
      `${here} From the hub: ${known.map((model) => model.name).join(", ")}, or hf:owner/name.`,
      { name, known: served },
    );
  }
  return {
    model: toModelRef(listed),
    drafter: listed.drafter ? toRef(listed.drafter, source && drafterSource(source)) : null,
  };
}

/**
 * @param {ListedFiles} listed
 * @param {string | null} source under which the store shall have it
 * @returns {ModelRef}
 */
function toRef({ name, files }, source) {
  const folder = new URL(`models/${encodeURIComponent(name)}/`, SITE_URL ?? undefined);
  const refs = files.map((file) => fileAt(folder, file.name));
  if (source === null) {
    return { name, files: refs };
  }
  return { name, files: files.map(({ bytes, sha256 }, i) => ({ ...refs[i], size: bytes, sha256 })), source };
}

/**
 * @param {URL} url of a .gguf file, or of a folder with config.json
 * @param {AbortSignal | null} [signal]
 * @returns {Promise<ModelRef>}
 */
async function resolveUrl(url, signal) {
  if (url.pathname.endsWith(".gguf")) {
    const { base, numParts } = partOf(lastPart(url.pathname));
    return { name: base, files: partUrls(url, numParts) };
  }
  const folder = new URL(url);
  folder.pathname = url.pathname.replace(/(\/config\.json|\/*)$/, "/");
  if (!(await exists(new URL("config.json", folder), signal))) {
    throw new LeadoutError(
      "ModelNotFoundError",
      `${url.href} is neither a .gguf file nor a folder with a config.json.`,
      { url: url.href },
    );
  }
  const files = [fileAt(folder, "config.json")];
  for (const name of OPTIONAL_FILES) {
    if (await exists(new URL(name, folder), signal)) {
      files.push(fileAt(folder, name));
    }
  }
  return {
    name: lastPart(folder.pathname.slice(0, -1)) || folder.host,
    files: [...files, ...(await listWeights(folder, signal))],
  };
}

/**
 * @param {URL} folder
 * @param {AbortSignal | null} [signal]
 * @returns {Promise<FileRef[]>} model.safetensors, or the index with the shards that it names
 */
async function listWeights(folder, signal) {
  const indexName = "model.safetensors.index.json";
  const response = await fetchFile(new URL(indexName, folder), { signal });
  if (!isThere(response)) {
    return [fileAt(folder, "model.safetensors")];
  }
  const index = await readJson(response);
  const shards = new Set(Object.values(index?.weight_map ?? {}));
  for (const shard of shards) {
    // The index is not trusted: a shard lies beside it, nowhere else.
    if (typeof shard !== "string" || !/^[\w-][\w.-]*\.safetensors$/.test(shard)) {
      throw new LeadoutError("CheckpointError", `${response.url} names a shard "${shard}".`);
    }
  }
  if (shards.size === 0 || shards.size > MAX_PARTS) {
    const found = shards.size || "no";
    throw new LeadoutError("CheckpointError", `${response.url} names ${found} shards; wanted are 1 to ${MAX_PARTS}.`);
  }
  return [indexName, ...shards].map((name) => fileAt(folder, String(name)));
}

/**
 * @param {URL} folder
 * @param {string} name
 * @returns {FileRef}
 */
function fileAt(folder, name) {
  return { name, url: new URL(encodeURIComponent(name), folder).href };
}

/**
 * @param {URL} url
 * @param {AbortSignal | null} [signal]
 */
async function exists(url, signal) {
  return isThere(await fetchFile(url, { signal, method: "HEAD" }));
}

/** @param {Response} response to a question for a file */
function isThere(response) {
  return response.ok && !isWebPage(response);
}

/**
 * @param {URL} url
 * @param {RequestInit} options
 * @returns {Promise<Response>} ok, or 404
 */
async function fetchFile(url, options) {
  let response;
  const ends = [AbortSignal.timeout(ANSWER_MS), ...(options.signal ? [options.signal] : [])];
  try {
    response = await fetch(url, { ...options, signal: AbortSignal.any(ends) });
  } catch (error) {
    if (options.signal?.aborted) {
      throw options.signal.reason;
    }
    if (ends[0].aborted) {
      const message = `${url.href} did not answer for ${ANSWER_MS / 1000} s; try again later.`;
      throw new LeadoutError("SourceError", message, { url: url.href });
    }
    throw new LeadoutError(
      "SourceError",
      `${url.href} cannot be reached. If it lies on another site, that site must allow it (CORS), ` +
        `and so must this page's security policy.`,
      { url: url.href, cause: String(error) },
    );
  }
  if (!response.ok && response.status !== 404) {
    throw new LeadoutError("SourceError", `${url.href} answered ${response.status}.`, {
      url: url.href,
      status: response.status,
    });
  }
  return response;
}

/**
 * @param {string} path of an address
 * @returns {string} the name that stands last in it
 */
function lastPart(path) {
  const part = path.split("/").at(-1) ?? "";
  try {
    return decodeURIComponent(part);
  } catch {
    throw new LeadoutError(
      "RequestError",
      `"${part}" is malformed: in an address, % stands before two hex digits, and a % itself is written %25.`,
      { part },
    );
  }
}

/**
 * @param {URL} url of a .gguf, or of any part of a split one
 * @param {number} numParts
 * @returns {FileRef[]} all parts, which lie beside each other
 */
function partUrls(url, numParts) {
  if (numParts > MAX_PARTS) {
    throw new LeadoutError("CheckpointError", `${url.href} is one of ${numParts} parts; at most ${MAX_PARTS} are read.`);
  }
  return Array.from({ length: numParts }, (_, index) => {
    const part = new URL(url);
    if (numParts > 1) {
      const number = String(index + 1).padStart(5, "0");
      part.pathname = part.pathname.replace(/-\d{5}(-of-\d{5}\.gguf)$/, `-${number}$1`);
    }
    return { name: lastPart(part.pathname), url: part.href };
  });
}
