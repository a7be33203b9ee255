/**
 * The files of a model that is in the store, whole.
 *
 * @module kept_files
 */

/** @import {KeptModelRef} from "../messages.js" */
/** @import {FileRecord, Folders, ModelRecord} from "./records.js" */

import { RemoteFile } from "../runtime/remote_file.js";
import { PulledFile } from "./pulled_file.js";
import { idOf, isDone, readModel, readRecord } from "./records.js";

/**
 * @param {Folders} folders
 * @param {KeptModelRef} model
 * @returns {Promise<PulledFile[] | null>} by the model's list; null unless all is there, and is what the list says
 */
export async function openKept(folders, model) {
  const known = await readModel(folders, model.source);
  if (known === null || !isAsListed(known, model)) return null;
  const files = await Promise.all(
    model.files.map(async ({ name, url }) => {
      const { id } = /** @type {{id: string}} */ (known.files.find((file) => file.name === name));
      /** @type {FileRecord | null} */
      const record = await readRecord(folders.files, `${id}.json`);
      if (record === null || !(await isDone(folders, id))) return null;
      const remote = new RemoteFile(url ?? record.url); // which nobody asks
      return new PulledFile(folders, { ...record, name }, { remote, isDone: true });
    }),
  );
  return files.some((file) => file === null) ? null : /** @type {PulledFile[]} */ (files);
}

/**
 * @param {ModelRecord} known
 * @param {KeptModelRef} model
 * @returns {boolean} whether the model is what it was when it was kept, as far as its list says
 */
function isAsListed(known, { files: listed }) {
  return listed.length === known.files.length && listed.every(({ name, size, sha256 }) => {
    const file = known.files.find((other) => other.name === name);
    return file && (size ?? file.size) === file.size && (!sha256 || file.id === idOf(sha256));
  });
}
