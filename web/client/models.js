/**
 * From what a page calls a model (a name, a URL, files) to the ModelRefs that the worker loads: the
 * model's, and its drafter's.
 *
 * @module models
 */

/** @import {FileRef, ModelRef, ShapeRef} from "../messages.js" */

import { LeadoutError } from "./errors.js";
import { findKept, isOnThisMachine, sourceOf } from "./kept.js";
import { sortFiles } from "./picked_files.js";

/** @typedef {string | URL | Blob | Blob[] | ModelRef | ShapeRef} ModelChoice */

/**
 * "auto" is what comes with the model: in the site's list, or among its files; "mtp" the same, and an
 * error where nothing comes with it. Anything else is a model of its own, as for the target.
 * @typedef {"auto" | "none" | "mtp" | "ngram" | ModelChoice} DrafterChoice
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

/**
 * @typedef {object} ResolveOptions
 * @property {AbortSignal | null} [signal]
 * @property {boolean} [isKept] whether the store counts: what it has whole is taken without asking
 *   anybody, and what it shall keep gets a `source`. Default true
 * @property {boolean} [isFresh] ask all the same, and keep what this machine's own server has as well
 */

/** Before a name of this site's list, in the store. */
const SITE_PREFIX = "site:";

/** The folder that holds leadout.js, models/ and this release's app-<hash>/. */
const SITE_URL = new URL("../../", import.meta.url);

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
  const response = await fetchFile(new URL("models/index.json", SITE_URL), { signal });
  if (response.status === 404) {
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
 * @param {ResolveOptions} [options]
 * @returns {Promise<ModelPair>} with absolute URLs, because the worker has another base
 */
export async function resolveModels(model, drafter, options = {}) {
  const pair = await resolve(model, options);
  if (drafter === "none" || drafter === "ngram") {
    return { ...pair, drafter: null };
  }
  if (drafter === "mtp" && !pair.drafter) {
    throw new LeadoutError(
      "DrafterError",
      `No drafter comes with ${pair.model.name}: wanted one in the site's list, or a file beside the ` +
        `model's whose name contains "assistant". Give it as \`drafter\`.`,
      { name: pair.model.name },
    );
  }
  if (drafter === "auto" || drafter === "mtp") {
    return pair;
  }
  return { ...pair, drafter: (await resolve(drafter, options)).model };
}

/**
 * @param {ModelChoice} model
 * @param {ResolveOptions} options
 * @returns {Promise<ModelPair>}
 */
async function resolve(model, options) {
  if (model instanceof URL || typeof model === "string") {
    const text = String(model);
    if (text.startsWith(SITE_PREFIX)) {
      return resolveName(text.slice(SITE_PREFIX.length), options);
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
      file.url ? { ...file, url: new URL(file.url, document.baseURI).href } : file,
    );
    const isRemote = files.length > 0 && files.every(({ url }) => url);
    const source = model.source ?? (isRemote ? sourceOf({ name: model.name, files }) : null);
    const isKept = options.isKept !== false && isRemote;
    return alone({ ...model, files, source: isKept && source ? source : undefined });
  }
  throw new LeadoutError(
    "RequestError",
    "No model given. Pass a name, a URL, a File, a list of Files, or {name, files}.",
  );
}

/**
 * @param {string} text
 * @returns {boolean} whether a model's string is an address rather than a name of the site's list
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
 * @param {string} text a URL, or several with spaces between them, which only the store knows
 * @param {ResolveOptions} options
 * @returns {Promise<ModelPair>}
 */
async function resolveAddress(text, { signal, isKept = true, isFresh = false }) {
  if (text.includes(" ")) {
    const kept = await findKept(text, { isWhole: false });
    if (kept) {
      return alone(kept);
    }
  }
  const url = new URL(text, document.baseURI);
  url.hash = "";
  const source = url.href;
  const kept = isKept && !isFresh ? await findKept(source) : null;
  if (kept) {
    return alone(kept);
  }
  const model = await resolveUrl(url, signal);
  return alone(isKept && (isFresh || !isOnThisMachine(url)) ? { ...model, source } : model);
}

/**
 * @param {string} name of a model, or of a model's drafter
 * @param {ResolveOptions} options
 * @returns {Promise<ModelPair>}
 */
async function resolveName(name, { signal, isKept = true, isFresh = false }) {
  const keeps = isKept && (isFresh || !isOnThisMachine(SITE_URL));
  let models;
  try {
    models = await listModels({ signal });
  } catch (error) {
    const kept = isKept && !isFresh ? await findKept(SITE_PREFIX + name) : null;
    if (!kept) {
      throw error;
    }
    return { model: kept, drafter: await findKept(`${SITE_PREFIX}${name}-assistant`) };
  }
  const toModelRef = (/** @type {ListedFiles} */ listed) => toRef(listed, keeps);
  const listed = models.find((model) => model.name === name);
  const drafter = models.find((model) => model.drafter?.name === name)?.drafter;
  if (!listed && drafter) {
    return alone(toModelRef(drafter));
  }
  if (!listed) {
    const known = models.map((model) => model.name).join(", ") || "none";
    throw new LeadoutError(
      "ModelNotFoundError",
      `This site serves no model "${name}". It serves: ${known}.`,
      { name, known: models.map((model) => model.name) },
    );
  }
  return { model: toModelRef(listed), drafter: listed.drafter ? toModelRef(listed.drafter) : null };
}

/**
 * @param {ListedFiles} listed
 * @param {boolean} keeps whether the store shall have it
 * @returns {ModelRef}
 */
function toRef({ name, files }, keeps) {
  const folder = new URL(`models/${encodeURIComponent(name)}/`, SITE_URL);
  const refs = files.map((file) => fileAt(folder, file.name));
  if (!keeps) {
    return { name, files: refs };
  }
  const published = files.map(({ bytes, sha256 }, i) => ({ ...refs[i], size: bytes, sha256 }));
  return { name, files: published, source: SITE_PREFIX + name };
}

/**
 * @param {URL} url of a .gguf file, or of a folder with config.json
 * @param {AbortSignal | null} [signal]
 * @returns {Promise<ModelRef>}
 */
async function resolveUrl(url, signal) {
  if (url.pathname.endsWith(".gguf")) {
    const name = lastPart(url.pathname);
    return { name: withoutSuffix(name), files: [{ name, url: url.href }] };
  }
  const folder = new URL(url);
  folder.pathname = url.pathname.replace(/(\/config\.json|\/*)$/, "/");
  if (!(await exists(new URL("config.json", folder), signal))) {
    throw new LeadoutError(
      "ModelNotFoundError",
      `${url.href} is no .gguf file and no folder with a config.json.`,
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
  if (response.status === 404) {
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
  if (shards.size === 0) {
    throw new LeadoutError("CheckpointError", `${response.url} names no shard.`);
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
  return (await fetchFile(url, { signal, method: "HEAD" })).ok;
}

/**
 * @param {URL} url
 * @param {RequestInit} options
 * @returns {Promise<Response>} ok, or 404
 */
async function fetchFile(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (options.signal?.aborted) {
      throw options.signal.reason;
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
 * @param {Response} response
 * @returns {Promise<any>}
 */
async function readJson(response) {
  try {
    return await response.json();
  } catch {
    throw new LeadoutError("SourceError", `${response.url} is not valid JSON.`);
  }
}

/** @param {string} path */
function lastPart(path) {
  return decodeURIComponent(path.split("/").at(-1) ?? "");
}

/** @param {string} name */
function withoutSuffix(name) {
  return name.replace(/\.gguf$/, "");
}
