/**
 * New versions of models that are here whole. The version that is here loads until the new one is here, too:
 *
 * 1. The new version's record is written to leadout/updates/. That in leadout/models/ stays, and so do the files that it
 *    names. If the pull is broken off, the next one continues it.
 * 2. Once everything is whole that was pulled together, each new record replaces the old one. A model and its drafter
 *    change together, because an old drafter need not fit a new model.
 * 3. Files that no record names any more are removed; those that an engine is reading, by a later pull.
 *
 * A model that is not here whole has no updates: the record of what it was is replaced at once.
 *
 * @module updates
 */

/** @import {Folders, ModelRecord, StoreNews} from "./records.js" */

import { writeRecord } from "./chunk_file.js";
import { holdLock } from "./locks.js";
import {
  NEWS_CHANNEL,
  RECORDS_LOCK,
  isWhole,
  keyOf,
  openFolders,
  readRecord,
  readUpdate,
  removeIfThere,
  removeUnnamed,
} from "./records.js";
import { explainFullDisk } from "./space.js";

/**
 * Write down what a model is at its source now. The caller holds RECORDS_LOCK.
 *
 * @param {Folders} folders
 * @param {ModelRecord} model
 */
export async function recordAsked(folders, model) {
  const record = `${await keyOf(model.source)}.json`;
  /** @type {ModelRecord | null} */
  const kept = await readRecord(folders.models, record);
  if (kept !== null && !isSameState(kept, model) && (await isWhole(folders, kept))) {
    await writeRecord(folders.updates, record, model);
    return;
  }
  await writeRecord(folders.models, record, model);
  await removeIfThere(folders.updates, record); // it went back to what is kept
}

/**
 * @param {{source: string, done: Promise<void>}[]} pulls of a model and its drafter
 * @returns {Promise<void>} once all is here and checked, and new versions have replaced old ones
 */
export async function finishPulls(pulls) {
  await Promise.all(pulls.map(({ done }) => done));
  const [first] = pulls;
  if (first === undefined) return;
  const folders = await openFolders();
  try {
    await replaceOld(folders, pulls.map(({ source }) => source));
  } catch (error) {
    throw await explainFullDisk(folders, first.source, error);
  }
}

/**
 * @param {Folders} folders
 * @param {string[]} sources of models that were pulled together
 */
async function replaceOld(folders, sources) {
  const release = await holdLock(RECORDS_LOCK);
  try {
    const found = await Promise.all(sources.map((source) => readUpdate(folders, source)));
    const updates = found.filter((update) => update !== null);
    const wholes = await Promise.all(updates.map((update) => isWhole(folders, update)));
    // None: nothing changed, or another tab was first. One is not whole: another tab pulls a still newer version.
    if (updates.length === 0 || !wholes.every(Boolean)) return;
    const records = await Promise.all(updates.map(async ({ source }) => `${await keyOf(source)}.json`));
    // A tab that is closed in between leaves some record twice, or one in updates/ alone: see readModel.
    for (const [i, record] of records.entries()) await writeRecord(folders.models, record, updates[i]);
    for (const record of records) await removeIfThere(folders.updates, record);
    await removeUnnamed(folders);
  } finally {
    release();
  }
  const channel = new BroadcastChannel(NEWS_CHANNEL);
  channel.postMessage(/** @type {StoreNews} */ ({ type: "changed" }));
  channel.close();
}

/**
 * @param {ModelRecord} one
 * @param {ModelRecord} other
 */
function isSameState({ files }, other) {
  return (
    files.length === other.files.length &&
    files.every(({ name, id }) => other.files.some((file) => file.name === name && file.id === id))
  );
}
