/**
 * Whether what shall be kept fits into what the browser gives this page.
 *
 * @module space
 */

import { LeadoutError, formatBytes } from "../runtime/errors.js";
import { readModels } from "./records.js";

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
 * Say what to do about a full disk.
 *
 * @param {Folders} folders
 * @param {string} source of the model that is wanted
 */
export async function adviceOnSpace(folders, source) {
  const others = (await readModels(folders)).filter((model) => model.source !== source);
  const sized = others.map(({ name, files }) => ({
    name,
    bytes: files.reduce((sum, { size }) => sum + size, 0),
  }));
  sized.sort((a, b) => b.bytes - a.bytes);
  const named = sized.slice(0, 3).map(({ name, bytes }) => `${name} (${formatBytes(bytes)})`);
  const what = named.length > 0 ? `delete a model that is kept here, such as ${named.join(", ")}, or ` : "";
  return `${what}make room on the disk, then try again`;
}
