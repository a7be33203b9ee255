/**
 * The models that this browser keeps for this site: `Leadout.models`.
 *
 *     await Leadout.models.pull("https://example.org/model.gguf", { onProgress });
 *     for (const { name, bytes } of await Leadout.models.list()) console.log(name, bytes);
 *     await Leadout.models.remove("https://example.org/model.gguf");
 *
 * @module store
 */

/** @import {FetchEvent, KeptModelRef, ModelRef, ShapeRef} from "../messages.js" */
/** @import {FetchOptions} from "../store/fetching.js" */
/** @import {Folders, ModelRecord, StoreNews} from "../store/records.js" */
/** @import {DrafterChoice, Hub, ModelChoice} from "./models.js" */
/** @import {WorkerEvent} from "./channel.js" */

import { startModuleWorker } from "../module_worker.js";
import { holdLock, isHeld } from "../store/locks.js";
import {
  DRAFTER_SUFFIX,
  NEWS_CHANNEL,
  RECORDS_LOCK,
  isDone,
  isWhole,
  keyOf,
  lockOf,
  openFolders,
  readModel,
  readModels,
  readUpdates,
  removeFiles,
  removeIfThere,
  storedBytes,
} from "../store/records.js";
import { measureSpace } from "../store/space.js";
import { Channel } from "./channel.js";
import { errorFromMessage, LeadoutError } from "./errors.js";
import { drafterSource, persist, sourceOf } from "./kept.js";
import { resolveModels } from "./models.js";
import { placesOf } from "./places.js";

/**
 * @typedef {object} StoredModel
 * @property {string} source what to give to `Leadout.load`, `pull` and `remove`
 * @property {string} name
 * @property {string} host that it came from
 * @property {string | null} drafter its drafter, if one is kept with it
 * @property {number} bytes of the whole model, and its drafter
 * @property {number} stored_bytes how many of these bytes are here
 * @property {boolean} is_complete whether it can be loaded without a connection
 * @property {StoredUpdate | null} update what of a complete model is not all here yet: its new version, which replaces
 *   this one as soon as it is, or its drafter. The next pull continues it
 * @property {boolean} is_fetching whether a tab is downloading it, or its update, now
 */

/**
 * @typedef {object} StoredUpdate
 * @property {number} bytes of the files that it adds
 * @property {number} stored_bytes how many of these bytes are here, besides those of the model
 */

/**
 * @typedef {object} PullParams
 * @property {DrafterChoice} [drafter] as for `Leadout.load`; a drafter that comes with the model is downloaded too
 * @property {AbortSignal | null} [signal] pauses the download: what is here stays, and the next pull continues from it
 * @property {(event: FetchEvent) => void} [onProgress] of the model, then of its drafter
 * @property {Hub} [hub] which hub, and the access token for it, which is stored nowhere
 * @property {FetchOptions} [fetchOptions] connections and waits
 * @property {string | URL} [assets] as for `Leadout.load`
 */

/**
 * Download a model and keep it, without loading it. What is already here is downloaded again only if it changed at the
 * source. A model that is complete stays as it was until its new version is.
 *
 * @param {ModelChoice} model
 * @param {PullParams} [params]
 * @returns {Promise<void>} once all of it is here and checked
 * @throws {LeadoutError} SourceError, StoreError, IntegrityError; an abort rejects with the signal's reason
 */
export async function pull(model, params = {}) {
  const { drafter = "auto", signal, onProgress, hub, fetchOptions = {}, assets } = params;
  const pair = await resolveModels(model, drafter, { signal, hub, isFresh: true });
  const parts = [pair.model, pair.drafter].filter((part) => part !== null);
  const models = parts.map(toKept);
  persist();
  const places = placesOf(assets);
  const channel = new Channel(startModuleWorker(places.puller, "leadout store"));
  /** @param {WorkerEvent} event */
  const onEvent = (event) => {
    if (event.type === "fetch") onProgress?.(toFetchEvent(event));
  };
  try {
    const request = { type: /** @type {const} */ ("pull"), models, options: fetchOptions, assets: places.assets };
    await channel.request(request, { signal, onEvent });
  } finally {
    channel.close(new DOMException("The fetch has ended.", "AbortError"));
  }
}

/**
 * @param {Extract<WorkerEvent, {type: "fetch"}>} event
 * @returns {FetchEvent}
 */
export function toFetchEvent({ source, name, host, state, stored_bytes, total_bytes, checked_bytes, bytes_per_s }) {
  return { source, name, host, state, stored_bytes, total_bytes, checked_bytes, bytes_per_s };
}

/**
 * @param {ModelRef | ShapeRef} part
 * @returns {KeptModelRef}
 */
function toKept(part) {
  const isRemote = "files" in part && part.files.every(({ url }) => url);
  if (!isRemote || part.files.length === 0) {
    throw new LeadoutError(
      "RequestError",
      `${part.name} has no address to fetch it from; wanted a URL, or a name that this site lists.`,
      { name: part.name },
    );
  }
  return { ...part, source: part.source ?? sourceOf(part) };
}

/**
 * @returns {Promise<StoredModel[]>} sorted by name; unfinished downloads too
 * @throws {LeadoutError} StoreError: this browser stores nothing for this page
 */
export async function list() {
  const folders = await toClientErrors(openFolders());
  const [models, updates] = await Promise.all([readModels(folders), readUpdates(folders)]);
  const sources = new Set(models.map(({ source }) => source));
  const isOfAnother = (/** @type {string} */ source) =>
    source.endsWith(DRAFTER_SUFFIX) && sources.has(source.slice(0, -DRAFTER_SUFFIX.length));
  const targets = models.filter(({ source }) => !isOfAnother(source));
  const stored = await Promise.all(targets.map((target) => describe(folders, target, { models, updates })));
  return stored.sort((a, b) => a.name.localeCompare(b.name) || a.source.localeCompare(b.source));
}

/**
 * @param {Folders} folders
 * @param {ModelRecord} target
 * @param {{models: ModelRecord[], updates: ModelRecord[]}} records of all models
 * @returns {Promise<StoredModel>}
 */
async function describe(folders, target, { models, updates }) {
  const { source, name } = target;
  const ofDrafter = drafterSource(source);
  let drafter = models.find((model) => model.source === ofDrafter) ?? null;
  const added = updates.filter((update) => [source, ofDrafter].includes(update.source));
  if (drafter && (await isWhole(folders, target)) && !(await isWhole(folders, drafter))) {
    added.push(drafter); // the target loads without it
    drafter = null;
  }
  const files = [...(drafter?.files ?? []), ...target.files];
  const ids = new Set(files.map(({ id }) => id));
  const others = new Map(added.flatMap((update) => update.files.map((file) => [file.id, file])));
  const [kept, extra] = await Promise.all([
    measure(folders, files),
    measure(folders, [...others.values()].filter(({ id }) => !ids.has(id))),
  ]);
  return {
    source,
    name,
    host: hostOf(files.at(-1)?.url),
    drafter: drafter?.name ?? null,
    bytes: kept.bytes,
    stored_bytes: kept.stored_bytes,
    is_complete: kept.isComplete,
    update: extra.bytes > 0 ? { bytes: extra.bytes, stored_bytes: extra.stored_bytes } : null,
    is_fetching: kept.isFetching || extra.isFetching,
  };
}

/**
 * @param {Folders} folders
 * @param {ModelRecord["files"]} files
 */
async function measure(folders, files) {
  const parts = await Promise.all(
    files.map(async ({ id, size }) => {
      const isThere = await isDone(folders, id);
      return {
        isThere,
        size,
        here: isThere ? size : await storedBytes(folders, id),
        isBusy: !isThere && (await isHeld(lockOf(id))),
      };
    }),
  );
  return {
    bytes: parts.reduce((sum, { size }) => sum + size, 0),
    stored_bytes: parts.reduce((sum, { here }) => sum + here, 0),
    isComplete: parts.every(({ isThere }) => isThere),
    isFetching: parts.some(({ isBusy }) => isBusy),
  };
}

/** @param {string} [url] */
function hostOf(url) {
  return url && URL.canParse(url) ? new URL(url).host : "";
}

/**
 * Delete a model and its drafter, new versions too, except files that another model uses.
 *
 * @param {string} source
 * @throws {LeadoutError} ModelNotFoundError; StoreError: it is being downloaded or loaded
 */
export async function remove(source) {
  const folders = await toClientErrors(openFolders());
  const release = await holdLock(RECORDS_LOCK);
  try {
    await removeModel(folders, source);
  } finally {
    release();
  }
  const channel = new BroadcastChannel(NEWS_CHANNEL);
  channel.postMessage({ type: "changed" });
  channel.close();
}

/**
 * @param {Folders} folders
 * @param {string} source
 */
async function removeModel(folders, source) {
  if ((await readModel(folders, source)) === null) {
    throw new LeadoutError("ModelNotFoundError", `Nothing is kept under ${source}.`, { source });
  }
  const sources = [source, drafterSource(source)];
  const models = [...(await readModels(folders)), ...(await readUpdates(folders))];
  const others = models.filter((other) => !sources.includes(other.source));
  const shared = new Set(others.flatMap(({ files }) => files.map(({ id }) => id)));
  const named = models.filter((other) => sources.includes(other.source)).flatMap(({ files }) => files);
  const own = new Map(named.filter(({ id }) => !shared.has(id)).map(({ id, name }) => [id, name]));
  const used = await removeFiles(folders, [...own.keys()]);
  if (used !== null) {
    throw new LeadoutError(
      "StoreError",
      `${own.get(used)} is in use: it is being fetched or loaded, here or in another tab. Stop that, then delete it.`,
      { source },
    );
  }
  for (const folder of [folders.updates, folders.models]) {
    for (const each of sources) await removeIfThere(folder, `${await keyOf(each)}.json`);
  }
}

/**
 * @returns {Promise<{quota_bytes: number, used_bytes: number}>} how much the browser lets this site store, and how
 *   much it stores now
 */
export async function space() {
  return measureSpace();
}

/**
 * Call back when a download in any tab makes progress, or when the list changes.
 *
 * @param {() => void} onChange
 * @returns {() => void} call it to stop
 */
export function watch(onChange) {
  const channel = new BroadcastChannel(NEWS_CHANNEL);
  channel.onmessage = (/** @type {MessageEvent<StoreNews>} */ _event) => onChange();
  return () => channel.close();
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T>} whose errors are the client's
 */
async function toClientErrors(promise) {
  try {
    return await promise;
  } catch (error) {
    throw errorFromMessage(/** @type {any} */ (error));
  }
}

export const models = Object.freeze({ list, pull, remove, space, watch });
