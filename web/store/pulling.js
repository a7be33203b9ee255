/**
 * Brings a model into the store, and gives what it is loaded from meanwhile.
 *
 * 1. asking    The store is asked for the model; if it is there whole, nothing else happens. Else each
 *              server is asked which file this is: its size, ETag, date. What is kept of the same file
 *              counts, whatever address it came from; a file that changed gets another id.
 * 2.           The browser is asked for the room, and the records are written. Of a model that is kept
 *              whole and has changed, the new version is recorded beside it: see updates.js.
 * 3. waiting   Each file's lock is taken. While another tab holds one, its progress is shown; when it
 *              lets go, the file is there, or this tab goes on where it stopped.
 * 4. checking  What is kept is compared with its hashes.
 * 5. fetching  See fetching.js. Hashes of whole files are computed beside it. The commit record of a
 *              file is written when it is there and has its published hash.
 * 6. checking  All is there, but some whole file is still being hashed.
 * 7. done      Locks are let go, of a model's files all at once. Until then this pull itself reads
 *              what it has written, and other tabs wait. Whoever pulls then has the new version
 *              replace the old one: see finishPulls in updates.js.
 *
 * @module pulling
 */

/** @import {FetchEvent, KeptModelRef} from "../messages.js" */
/** @import {FetchOptions} from "./fetching.js" */
/** @import {FileRecord, Folders, ModelRecord, StoreNews} from "./records.js" */

import { LeadoutError } from "../runtime/errors.js";
import { RemoteFile } from "../runtime/remote_file.js";
import { writeRecord } from "./chunk_file.js";
import { Fetching } from "./fetching.js";
import { openKept } from "./kept_files.js";
import { holdLock, isHeld } from "./locks.js";
import { PulledFile } from "./pulled_file.js";
import {
  CHUNK_BYTES,
  ENTRY_BYTES,
  NEWS_CHANNEL,
  RECORDS_LOCK,
  STORE_VERSION,
  idOf,
  isDone,
  keyOf,
  lockOf,
  openFolders,
  readFiles,
  readModel,
  readUpdate,
  removeUnnamed,
  reservedBytes,
  storedBytes,
} from "./records.js";
import { explainFullDisk, requireSpace } from "./space.js";
import { recordAsked } from "./updates.js";

/** Files that are asked for their size at a time. */
const MAX_QUESTIONS = 6;

/** How often progress is told at most. */
const TELL_MS = 200;

/** The time over which the speed is measured. */
const SPEED_MS = 4000;

/** How often it is told at least: a speed does not stand there when nothing comes. */
const BEAT_MS = 1000;

/**
 * @typedef {FetchOptions & {
 *   hashing: import("./hasher.js").Hashing,
 *   isFresh?: boolean,
 *   after?: Promise<void>,
 *   onProgress?: (event: FetchEvent) => void,
 * }} PullOptions `isFresh`: ask the source whether it still has
 *   what is kept. `after`: fetch nothing before this, only ask
 */

/** What a server says that it has. @typedef {{record: FileRecord, remote: RemoteFile}} AskedFile */

export class Pull {
  #model;
  #options;
  #ending = new AbortController();
  #channel = new BroadcastChannel(NEWS_CHANNEL);
  /** @type {FetchEvent["state"]} */
  #state = "asking";
  /** @type {PulledFile[]} */
  #all = [];
  #toldMs = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #telling;
  /** Recent (time, bytes fetched here). @type {[number, number][]} */
  #speeds = [];
  #fetchedBytes = 0;
  /** Whether all bytes are there: what is checked then is whole files. */
  #isFetched = false;
  /** Each ends with its file's commit record, or with its failure. @type {Promise<void>[]} */
  #commits = [];

  /**
   * Begins at once.
   *
   * @param {KeptModelRef} model
   * @param {PullOptions} options
   */
  constructor(model, options) {
    this.#model = model;
    this.#options = options;
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    /** By the model's list; each can be read from then on. @type {Promise<PulledFile[]>} */
    this.files = this.#open();
    /** Once all is there and checked. @type {Promise<void>} */
    this.done = this.files.then(() => options.after).then(() => this.#run()).finally(() => {
      clearTimeout(this.#telling);
      this.#channel.close();
    });
    this.files.catch(() => {}); // so does `done`
    this.done.catch(() => {}); // whoever asks sees it
  }

  get source() {
    return this.#model.source;
  }

  /** Stop; what is kept stays. @param {unknown} reason */
  abort(reason) {
    this.#ending.abort(reason);
  }

  /** @returns {Promise<PulledFile[]>} */
  async #open() {
    const { signal } = this.#ending;
    const { source } = this.#model;
    const folders = await openFolders();
    const release = await holdLock(`leadout-store model ${await keyOf(source)}`, { signal });
    try {
      const kept = this.#options.isFresh ? null : await openKept(folders, this.#model);
      this.#all = kept ?? (await this.#openAsked(folders));
    } catch (error) {
      throw await explainFullDisk(folders, source, error);
    } finally {
      release();
    }
    this.#tell(true);
    return this.#all;
  }

  /**
   * @param {Folders} folders
   * @returns {Promise<PulledFile[]>}
   */
  async #openAsked(folders) {
    const { source, name } = this.#model;
    this.#tell(true);
    // What was asked for last comes first: that is what may be continued.
    const states = [await readUpdate(folders, source), await readModel(folders, source)];
    const known = states.filter((state) => state !== null);
    const asked = await this.#ask(folders, known);
    // From here on nobody removes what these records are about to name.
    const release = await holdLock(RECORDS_LOCK, { signal: this.#ending.signal });
    try {
      const files = await this.#openFiles(folders, asked);
      await this.#estimateSpace(folders, [...new Set(files)]);
      for (const { record } of asked) {
        await writeRecord(folders.files, `${record.id}.json`, record);
      }
      const model = { version: STORE_VERSION, source, name, files: asked.map(({ record }) => toEntry(record)) };
      await recordAsked(folders, model);
      if (known.length > 0) await removeUnnamed(folders);
      return files;
    } finally {
      release();
      this.#post({ type: "changed" });
    }
  }

  /**
   * Ask the servers what they have.
   *
   * @param {Folders} folders
   * @param {ModelRecord[]} known
   * @returns {Promise<AskedFile[]>}
   */
  async #ask(folders, known) {
    const records = await readFiles(folders);
    const listed = this.#model.files;
    const asked = /** @type {AskedFile[]} */ (Array(listed.length));
    const next = listed.entries();
    const ask = async () => {
      for (const [i, { name, url = "", size, sha256, token }] of next) {
        const remote = new RemoteFile(url, { size, token, isHashed: Boolean(sha256), retryMs: this.#options.retryMs });
        const ids = known.map(({ files }) => files.find((file) => file.name === name)?.id);
        const before = ids.flatMap((id) => records.find((record) => record.id === id) ?? []);
        const facts = { name, url, size: size ?? null, sha256: sha256 ?? null };
        asked[i] = { record: await this.#identify(folders, facts, remote, { records, before }), remote };
      }
    };
    await Promise.all(Array.from({ length: MAX_QUESTIONS }, ask));
    return asked;
  }

  /**
   * @param {Folders} folders
   * @param {AskedFile[]} asked
   * @returns {Promise<PulledFile[]>} the same one for each entry that has the same content
   */
  async #openFiles(folders, asked) {
    /** @type {Map<string, PulledFile>} */
    const byId = new Map();
    for (const { record, remote } of asked) {
      if (byId.has(record.id)) continue;
      const onCheck = () => this.#tell();
      const options = { remote, isDone: await isDone(folders, record.id), onCheck };
      byId.set(record.id, new PulledFile(folders, record, options));
    }
    return asked.map(({ record }) => /** @type {PulledFile} */ (byId.get(record.id)));
  }

  /**
   * Find out which file an address has, and what it is called in the store.
   *
   * @param {Folders} folders
   * @param {{name: string, url: string, size: number | null, sha256: string | null}} facts
   * @param {RemoteFile} remote
   * @param {{records: FileRecord[], before: FileRecord[]}} kept files of the store; `before` is what this
   *   one was when the model was pulled, the last time first
   * @returns {Promise<FileRecord>}
   */
  async #identify(folders, facts, remote, { records, before }) {
    const { name, url, size, sha256 } = facts;
    const version = STORE_VERSION;
    if (sha256 && size !== null) {
      remote.identity = { size, etag: null, modified: null };
      return { version, id: idOf(sha256), name, size, sha256, etag: null, modified: null, url };
    }
    // Asked for with a byte that is not there yet: what is kept is not fetched again, not even this.
    const offset = before.length > 0 ? await firstMissing(folders, before[0]) : 0;
    const { identity, head } = await this.#askFor(remote, offset);
    await head?.body?.cancel();
    const { etag, modified } = identity;
    const found = records.find((record) => {
      if (record.size !== identity.size || (sha256 && record.sha256 !== sha256)) return false;
      if (etag !== null || record.etag !== null) {
        // An ETag says nothing about other servers' files, and a weak one nothing about another address.
        const isStrong = etag !== null && !etag.startsWith("W/") && originOf(record.url) === originOf(url);
        return record.etag === etag && (isStrong || record.url === url);
      }
      return record.url === url && modified !== null && record.modified === modified;
    });
    // Where a server says nothing that tells two states of a file apart, what is there whole counts,
    // and what another tab is fetching this moment. A part is begun anew: it might be of another state.
    const isMute = etag === null && modified === null;
    const alike = before.filter((last) => isMute && last.size === identity.size && last.url === url);
    const isUsable = await Promise.all(
      alike.map(async ({ id }) => (await isDone(folders, id)) || (await isHeld(lockOf(id)))),
    );
    const usable = alike.find((_, i) => isUsable[i]);
    const id = sha256
      ? idOf(sha256)
      : (found?.id ??
        usable?.id ??
        (await keyOf([url, identity.size, etag, modified, etag ?? modified ?? crypto.randomUUID()].join("\n"))));
    return { version, id, name, size: identity.size, sha256, etag, modified, url };
  }

  /**
   * @param {RemoteFile} remote
   * @param {number} offset
   */
  async #askFor(remote, offset) {
    const { signal } = this.#ending;
    try {
      return await remote.identify(signal, { offset, length: 1 });
    } catch (error) {
      // A file that is shorter now has no such byte.
      const isShorter = error instanceof LeadoutError && error.detail.status === 416 && offset > 0;
      if (!isShorter) throw error;
      return remote.identify(signal, { offset: 0, length: 1 });
    }
  }

  /**
   * Ask the browser whether it has the room, before a byte is fetched. Some answer with a figure that
   * says nothing (Chromium: always 10 GiB more), so that ChunkFile reserves it as well.
   *
   * @param {Folders} folders
   * @param {PulledFile[]} files
   */
  async #estimateSpace(folders, files) {
    let needed = 0;
    for (const file of files) {
      if (file.isDone) continue;
      file.storedBytes = await storedBytes(folders, file.record.id);
      needed += file.record.size - (await reservedBytes(folders, file.record.id));
    }
    if (needed > 0) await requireSpace(needed);
  }

  async #run() {
    const { signal } = this.#ending;
    const folders = await openFolders();
    /** @type {Map<PulledFile, () => void>} */
    const releases = new Map();
    // Everybody takes locks in the same order, so that no two wait for each other.
    const missing = [...new Set(this.#all)].filter(({ isDone }) => !isDone);
    if (missing.length === 0) {
      this.#setState("done");
      return;
    }
    const inOrder = missing.toSorted((a, b) => (a.record.id < b.record.id ? -1 : 1));
    try {
      this.#setState("waiting");
      for (const file of inOrder) {
        const release = await holdLock(lockOf(file.record.id), { signal });
        if (await isDone(folders, file.record.id)) {
          release(); // another tab has fetched it; who reads it takes its lock, too
          file.setDone();
        } else {
          releases.set(file, release);
        }
      }
      this.#setState("checking");
      const own = missing.filter((file) => releases.has(file));
      for (const file of own) await file.open(this.#options.hashing, signal);
      this.#setState("fetching");
      await this.#fetch(own);
      this.#isFetched = true;
      if (own.some(({ isDone }) => !isDone)) this.#setState("checking");
      await Promise.all(this.#commits);
      this.#setState("done");
      this.#post({ type: "changed" });
    } catch (error) {
      const failure = await explainFullDisk(folders, this.source, signal.aborted ? signal.reason : error);
      const isChanged = error instanceof LeadoutError && error.detail.changed === true;
      for (const file of missing) {
        if (file.isDone) continue;
        if (isChanged && error.detail.source === file.remote.name) file.drop();
        file.fail(failure);
      }
      this.#post({ type: "changed" });
      throw failure;
    } finally {
      await Promise.allSettled(this.#commits);
      for (const [file, release] of releases) {
        file.closeChunks();
        release();
      }
    }
  }

  /** @param {PulledFile[]} files */
  async #fetch(files) {
    const commit = (/** @type {PulledFile} */ file) => {
      const committing = file.commit();
      committing.catch((error) => this.#ending.abort(error));
      this.#commits.push(committing);
    };
    const fetching = new Fetching(files, this.#options, (file, chunk) => {
      const pulled = /** @type {PulledFile} */ (file);
      this.#fetchedBytes += pulled.take(chunk);
      this.#tell();
      if (pulled.storedBytes === pulled.record.size) commit(pulled);
    });
    for (const file of files) {
      file.fetching = fetching;
      if (file.chunks?.isComplete) commit(file);
    }
    const beat = setInterval(() => this.#tell(), BEAT_MS);
    await fetching.run(this.#ending.signal).finally(() => clearInterval(beat));
  }

  // ---- what is told -------------------------------------------------------------------------

  /** @param {FetchEvent["state"]} state */
  #setState(state) {
    this.#state = state;
    this.#tell(true);
  }

  /** @param {boolean} [isUrgent] */
  #tell(isUrgent = false) {
    const now = performance.now();
    const waitMs = isUrgent ? 0 : TELL_MS - (now - this.#toldMs);
    if (waitMs > 0) {
      // Not now, but what is told last shall be true.
      this.#telling ??= setTimeout(() => this.#tell(true), waitMs);
      return;
    }
    clearTimeout(this.#telling);
    this.#telling = undefined;
    this.#toldMs = now;
    this.#speeds = this.#speeds.filter(([time]) => now - time < SPEED_MS);
    this.#speeds.push([now, this.#fetchedBytes]);
    const [[time, bytes]] = this.#speeds;
    const { source, name, files } = this.#model;
    const sum = (/** @type {(file: PulledFile) => number} */ of) =>
      this.#all.reduce((total, file) => total + of(file), 0);
    this.#options.onProgress?.({
      source,
      name,
      host: hostOf(files.at(-1)?.url),
      state: this.#state,
      stored_bytes: sum((file) => file.storedBytes),
      total_bytes: sum((file) => file.record.size),
      checked_bytes: sum((file) => (this.#isFetched ? file.hashedBytes : file.verifiedBytes)),
      bytes_per_s: now > time ? (1000 * (this.#fetchedBytes - bytes)) / (now - time) : 0,
    });
    for (const { chunks, isDone, record, storedBytes } of this.#all) {
      if (chunks !== null && !isDone) this.#post({ type: "progress", id: record.id, stored_bytes: storedBytes });
    }
  }

  /** @param {StoreNews} news of another tab */
  #hear(news) {
    if (news.type !== "progress") return;
    for (const file of this.#all) {
      if (file.record.id !== news.id || file.isDone || file.chunks !== null) continue;
      file.storedBytes = news.stored_bytes;
      this.#tell();
    }
  }

  /** @param {StoreNews} news */
  #post(news) {
    this.#channel.postMessage(news);
  }
}

/**
 * @param {FileRecord} record
 * @returns {ModelRecord["files"][number]}
 */
function toEntry({ name, id, size, url }) {
  return { name, id, size, url };
}

/** @param {string} [url] */
function hostOf(url) {
  return url ? new URL(url, location.href).host : "";
}

/** @param {string} url */
function originOf(url) {
  return new URL(url, location.href).origin;
}

/**
 * @param {Folders} folders
 * @param {FileRecord} record
 * @returns {Promise<number>} the first byte that is not there; 0 if all is
 */
async function firstMissing(folders, { id, size }) {
  if (await isDone(folders, id)) return 0;
  try {
    const table = await (await folders.files.getFileHandle(`${id}.chunks`)).getFile();
    const entries = new Uint8Array(await table.arrayBuffer());
    for (let chunk = 0; chunk * CHUNK_BYTES < size; chunk++) {
      if (entries[chunk * ENTRY_BYTES] !== 1) return chunk * CHUNK_BYTES;
    }
  } catch {
    // there is nothing of it yet
  }
  return 0;
}
