/**
 * What lies in the store, and where: folders of the origin private file system. A page reads it and
 * removes from it; what writes files runs in a worker (pulling.js).
 *
 *     leadout/models/<key>.json     a model: its address as it was given, and the ids of its files
 *     leadout/updates/<key>.json    the same of a new version, as long as it is not here whole (updates.js)
 *     leadout/files/<id>.json       a file: its size, hash, ETag, and where it comes from
 *     leadout/files/<id>.bytes      its bytes, in chunks; chunks that were not fetched yet are holes
 *     leadout/files/<id>.chunks     what is there, and the hash of each chunk (chunk_file.js)
 *     leadout/files/<id>.done       the commit record, written last: all is there and was checked
 *
 * Files belong to all models that name them: a model that moved to another address finds its bytes.
 * A file of another size, hash or ETag is another file with another id; the two are never mixed.
 *
 * @module records
 */

import { LeadoutError } from "../runtime/errors.js";
import { tryLock } from "./locks.js";

/** Of the files' form. What another version wrote is not read. */
export const STORE_VERSION = 1;

export const CHUNK_BYTES = 1 << 20;

/** The Web Lock of whoever writes records, or removes files because no record names them. */
export const RECORDS_LOCK = "leadout-store records";

/** Ends the source of a drafter that came with a model, after that of the model. No address ends like this. */
export const DRAFTER_SUFFIX = "#drafter";

/** Progress of fetches, and changes of the records, for all tabs: see StoreNews. */
export const NEWS_CHANNEL = "leadout-store";

/**
 * @typedef {object} FileRecord
 * @property {number} version
 * @property {string} id
 * @property {string} name
 * @property {number} size
 * @property {string | null} sha256 of the whole file, where its source publishes it
 * @property {string | null} etag
 * @property {string | null} modified
 * @property {string} url where it was last fetched from
 */

/**
 * @typedef {object} ModelRecord
 * @property {number} version
 * @property {string} source the model's address, as it was asked for
 * @property {string} name
 * @property {{name: string, id: string, size: number, url: string}[]} files
 */

/**
 * What one tab tells the others. "changed": models came, were completed or went.
 * @typedef {{type: "progress", id: string, stored_bytes: number} | {type: "changed"}} StoreNews
 */

/**
 * @typedef {{models: FileSystemDirectoryHandle, updates: FileSystemDirectoryHandle,
 *   files: FileSystemDirectoryHandle}} Folders
 */

/**
 * @returns {Promise<Folders>} created if need be
 * @throws {LeadoutError} StoreError: this browser keeps no files for this page
 */
export async function openFolders() {
  try {
    const root = await navigator.storage.getDirectory();
    const store = await root.getDirectoryHandle("leadout", { create: true });
    const [models, updates, files] = await Promise.all(
      ["models", "updates", "files"].map((name) => store.getDirectoryHandle(name, { create: true })),
    );
    return { models, updates, files };
  } catch (error) {
    throw new LeadoutError(
      "StoreError",
      "this browser keeps no files for this page (a private window, a page without https, or storage that " +
        "is switched off); open it in an ordinary window, or load with `store: false`, which fetches the " +
        "model at every visit",
      { reason: String(error) },
    );
  }
}

/**
 * @param {string} text
 * @returns {Promise<string>} 32 hexadecimal digits
 */
export async function keyOf(text) {
  return (await sha256Hex(new TextEncoder().encode(text))).slice(0, 32);
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
export async function sha256Hex(bytes) {
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

/**
 * @param {string} sha256
 * @returns {string} the id of the file that has it
 */
export function idOf(sha256) {
  return sha256.toLowerCase().slice(0, 32);
}

/** @param {Uint8Array} bytes */
export function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {FileSystemDirectoryHandle} folder
 * @param {string} name
 * @returns {Promise<any>} null: there is none, or it was not written to its end
 */
export async function readRecord(folder, name) {
  try {
    const handle = await folder.getFileHandle(name);
    const record = JSON.parse(await (await handle.getFile()).text());
    return record?.version === STORE_VERSION ? record : null;
  } catch {
    return null;
  }
}

/**
 * @param {Folders} folders
 * @param {string} source
 * @returns {Promise<ModelRecord | null>} complete or not. Where a tab was closed while it replaced the record, this is
 *   the new version, which was complete
 */
export async function readModel(folders, source) {
  const update = await readUpdate(folders, source); // first: it goes once the record has been replaced
  return (await readRecord(folders.models, `${await keyOf(source)}.json`)) ?? update;
}

/**
 * @param {Folders} folders
 * @param {string} source
 * @returns {Promise<ModelRecord | null>} the new version of a model that is here whole
 */
export async function readUpdate({ updates }, source) {
  return readRecord(updates, `${await keyOf(source)}.json`);
}

/**
 * @param {Folders} folders
 * @param {string} id
 */
export async function isDone({ files }, id) {
  return (await readRecord(files, `${id}.done`)) !== null;
}

/**
 * @param {Folders} folders
 * @param {ModelRecord} model
 * @returns {Promise<boolean>} whether all of its files are there
 */
export async function isWhole(folders, { files }) {
  return (await Promise.all(files.map(({ id }) => isDone(folders, id)))).every(Boolean);
}

/**
 * @param {Folders} folders
 * @returns {Promise<ModelRecord[]>} each model once, as readModel gives it
 */
export async function readModels({ models, updates }) {
  const news = await readRecords(updates);
  return [...new Map([...news, ...(await readRecords(models))]).values()];
}

/**
 * @param {Folders} folders
 * @returns {Promise<ModelRecord[]>} new versions
 */
export async function readUpdates({ updates }) {
  return [...(await readRecords(updates)).values()];
}

/**
 * @param {Folders} folders
 * @returns {Promise<FileRecord[]>}
 */
export async function readFiles({ files }) {
  return [...(await readRecords(files)).values()];
}

/**
 * @param {FileSystemDirectoryHandle} folder
 * @returns {Promise<Map<string, any>>} by their names in the folder
 */
async function readRecords(folder) {
  const names = [];
  for await (const name of folder.keys()) if (name.endsWith(".json")) names.push(name);
  /** @type {Map<string, any>} */
  const records = new Map();
  await Promise.all(
    names.map(async (name) => {
      const record = await readRecord(folder, name);
      if (record !== null) records.set(name, record);
    }),
  );
  return records;
}

/**
 * @param {Folders} folders
 * @param {string} id of a file that is not there whole
 * @returns {Promise<number>} how many of its bytes are
 */
export async function storedBytes({ files }, id) {
  try {
    const table = await (await files.getFileHandle(`${id}.chunks`)).getFile();
    const record = await readRecord(files, `${id}.json`);
    if (record === null) return 0;
    return countBytes(new Uint8Array(await table.arrayBuffer()), record.size);
  } catch {
    return 0;
  }
}

/**
 * @param {Folders} folders
 * @param {string} id
 * @returns {Promise<number>} what its bytes take on the disk already, fetched or not
 */
export async function reservedBytes({ files }, id) {
  try {
    return (await (await files.getFileHandle(`${id}.bytes`)).getFile()).size;
  } catch {
    return 0;
  }
}

/** An entry of a table of chunks: whether it is there, then its SHA-256. */
export const ENTRY_BYTES = 33;

/**
 * @param {Uint8Array} table
 * @param {number} size
 */
export function countBytes(table, size) {
  let bytes = 0;
  for (let chunk = 0; chunk * CHUNK_BYTES < size; chunk++) {
    if (table[chunk * ENTRY_BYTES] === 1) bytes += Math.min(CHUNK_BYTES, size - chunk * CHUNK_BYTES);
  }
  return bytes;
}

/**
 * The Web Lock of a file: exclusive for whoever writes or removes it, shared for who reads it.
 *
 * @param {string} id
 */
export function lockOf(id) {
  return `leadout-store ${id}`;
}

/**
 * @param {FileSystemDirectoryHandle} folder
 * @param {string} name
 */
export async function removeIfThere(folder, name) {
  try {
    await folder.removeEntry(name);
  } catch (error) {
    if (/** @type {DOMException} */ (error).name !== "NotFoundError") throw error;
  }
}

/**
 * Remove files that no model names any more: all of them, or none while somebody reads or fetches one. The caller holds
 * RECORDS_LOCK.
 *
 * @param {Folders} folders
 * @param {string[]} ids
 * @returns {Promise<string | null>} the file that is in use; null: they are gone
 */
export async function removeFiles({ files }, ids) {
  /** @type {(() => void)[]} */
  const releases = [];
  try {
    for (const id of ids) {
      const release = await tryLock(lockOf(id));
      if (release === null) return id;
      releases.push(release);
    }
    for (const id of ids) {
      // The commit record goes first.
      for (const suffix of ["done", "chunks", "bytes", "json"]) {
        const isGone = await removeIfThere(files, `${id}.${suffix}`).then(() => true, () => false);
        if (!isGone) return id; // a tab that was closed lets go of its handles later than of its locks
      }
    }
    return null;
  } finally {
    for (const release of releases) release();
  }
}

/**
 * Remove all files that no model names and nobody uses. The caller holds RECORDS_LOCK.
 *
 * @param {Folders} folders
 */
export async function removeUnnamed(folders) {
  const models = [...(await readModels(folders)), ...(await readUpdates(folders))];
  const named = new Set(models.flatMap(({ files }) => files.map(({ id }) => id)));
  const ids = new Set();
  for await (const name of folders.files.keys()) ids.add(name.replace(/\.\w+$/, ""));
  for (const id of ids) if (!named.has(id)) await removeFiles(folders, [id]);
}
