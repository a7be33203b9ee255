/**
 * Whether what shall be kept fits into what the browser gives this page.
 *
 * @module space
 */

import { LeadoutError, formatBytes } from "../runtime/errors.js";
import { DRAFTER_SUFFIX, isWhole, readModels, readUpdates } from "./records.js";

/** @import {Folders} from "./records.js" */

/**
 * @returns {Promise<{quota_bytes: number, used_bytes: number}>} of everything that this site stores
 */
export async function measureSpace() {
  const { quota = 0, usage = 0 } = await navigator.storage.estimate();
  return { quota_bytes: quota, used_bytes: usage };
}

/**
 * @param {number} neededBytes
 * @throws {LeadoutError} StoreError
 */
export async function requireSpace(neededBytes) {
  const { quota_bytes, used_bytes } = await measureSpace();
  const freeBytes = Math.max(0, quota_bytes - used_bytes);
  if (neededBytes <= freeBytes) return;
  throw new LeadoutError(
    "StoreError",
    `${formatBytes(neededBytes)} do not fit: the browser leaves this page ${formatBytes(freeBytes)}`,
    { is_full: true, needed_bytes: neededBytes, free_bytes: freeBytes },
  );
}

/**
 * @param {Folders} folders
 * @param {string} source of the model that is wanted
 * @param {unknown} error
 * @returns {Promise<unknown>} if the disk is full, with what to do about it
 */
export async function explainFullDisk(folders, source, error) {
  const isFull = error instanceof LeadoutError && error.detail.is_full === true;
  if (!isFull) return error;
  return new LeadoutError(error.name, `${error.message}; ${await adviceOnSpace(folders, source)}`, error.detail);
}

/**
 * @param {Folders} folders
 * @param {string} source of the model that is wanted
 */
async function adviceOnSpace(folders, source) {
  const wanted = targetOf(source);
  const [models, updates] = await Promise.all([readModels(folders), readUpdates(folders)]);
  /** What deleting a model frees, with its drafter and new versions of both. */
  const sizeOf = (/** @type {string} */ target) => {
    const own = [...models, ...updates].filter((model) => targetOf(model.source) === target);
    const sizes = new Map(own.flatMap(({ files }) => files.map(({ id, size }) => [id, size])));
    return [...sizes.values()].reduce((sum, size) => sum + size, 0);
  };
  const targets = models.filter((model) => model.source === targetOf(model.source));
  const sized = targets.map(({ source, name }) => ({ source, name, bytes: sizeOf(source) }));
  const others = sized.filter((model) => model.source !== wanted).sort((a, b) => b.bytes - a.bytes);
  const named = others.slice(0, 3).map(describe);
  const what = named.length > 0 ? `delete a model that is kept here, such as ${named.join(", ")}, or ` : "";
  const old = sized.find((model) => model.source === wanted);
  const kept = models.find((model) => model.source === source);
  const isUpdate = old && kept && (await isWhole(folders, kept));
  const instead = isUpdate
    ? `; or delete ${describe(old)} first, whose old version otherwise stays until the new one is here`
    : "";
  return `${what}make room on the disk, then try again${instead}`;
}

/** @param {{name: string, bytes: number}} model */
function describe({ name, bytes }) {
  return `${name} (${formatBytes(bytes)})`;
}

/**
 * @param {string} source
 * @returns {string} of the model that it is, or that it is the drafter of
 */
function targetOf(source) {
  return source.endsWith(DRAFTER_SUFFIX) ? source.slice(0, -DRAFTER_SUFFIX.length) : source;
}
