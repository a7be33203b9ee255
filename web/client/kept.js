/**
 * Whether a model is kept in this browser, and under which address.
 *
 * @module kept
 */

/** @import {ModelRef} from "../messages.js" */
/** @import {Folders, ModelRecord} from "../store/records.js" */

import { DRAFTER_SUFFIX, isWhole, openFolders, readModel, readRecord, readUpdate } from "../store/records.js";

/** Where a site is served from the disk that its models lie on: keeping them would double them. */
const LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"];

/**
 * @param {string} source
 * @returns {Promise<ModelRef | null>} what loads without a connection
 */
export async function findKept(source) {
  return find(source, async (folders) => {
    const model = await readModel(folders, source);
    return model && (await isWhole(folders, model)) ? model : null;
  });
}

/**
 * @param {string} source
 * @returns {Promise<ModelRef | null>} what was asked for last, fetched to its end or not
 */
export async function findPulled(source) {
  return find(source, async (folders) => (await readUpdate(folders, source)) ?? readModel(folders, source));
}

/**
 * @param {string} source
 * @param {(folders: Folders) => Promise<ModelRecord | null>} read
 * @returns {Promise<ModelRef | null>}
 */
async function find(source, read) {
  let folders;
  try {
    folders = await openFolders();
  } catch {
    return null; // this browser keeps nothing
  }
  const { files } = folders;
  const model = await read(folders);
  if (model === null) return null;
  const refs = model.files.map(async ({ name, url, id, size }) => {
    const record = await readRecord(files, `${id}.json`);
    return { name, url, size, sha256: record?.sha256 ?? null };
  });
  return { name: model.name, source, files: await Promise.all(refs) };
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
