/**
 * Whether a model is kept in this browser, and under which address.
 *
 * @module kept
 */

/** @import {ModelRef} from "../messages.js" */

import { isDone, openFolders, readModel, readRecord } from "../store/records.js";

/** No address of a model ends like this. */
export const DRAFTER_SUFFIX = "#drafter";

/** Where a site is served from the disk that its models lie on: keeping them would double them. */
const LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"];

/**
 * @param {string} source
 * @param {{isWhole?: boolean}} [options] false: one that was not fetched to its end, too
 * @returns {Promise<ModelRef | null>}
 */
export async function findKept(source, { isWhole = true } = {}) {
  let folders;
  try {
    folders = await openFolders();
  } catch {
    return null; // this browser keeps nothing
  }
  const model = await readModel(folders, source);
  if (model === null) return null;
  const wholes = isWhole ? await Promise.all(model.files.map(({ id }) => isDone(folders, id))) : [];
  if (!wholes.every(Boolean)) return null;
  const files = await Promise.all(
    model.files.map(async ({ name, url, id, size }) => {
      const record = await readRecord(folders.files, `${id}.json`);
      return { name, url, size, sha256: record?.sha256 ?? null };
    }),
  );
  return { name: model.name, source, files };
}

/**
 * @param {string} source of a target
 * @returns {string} that of the drafter which came with it
 */
export function drafterSource(source) {
  return `${source}${DRAFTER_SUFFIX}`;
}

/** @returns {Promise<boolean>} whether this browser keeps files for this page */
export async function canKeep() {
  return openFolders().then(
    () => true,
    () => false,
  );
}

/**
 * @param {ModelRef} model whose files all have addresses
 * @returns {string} its address as a whole
 */
export function sourceOf({ files }) {
  return files.map(({ url }) => url).join(" ");
}

/**
 * @param {URL} url
 * @returns {boolean} whether this machine's own server has it: loading does not keep it
 */
export function isOnThisMachine(url) {
  return url.origin === location.origin && LOOPBACK_HOSTS.includes(url.hostname);
}

/**
 * Ask the browser not to clear this site's storage by itself. It may say no; that changes nothing here. Nobody waits for
 * the answer, because Firefox asks a person.
 */
export function persist() {
  navigator.storage?.persist?.().catch(() => {});
}
