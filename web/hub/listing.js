/**
 * What a hub says of a repository: its files, their sizes and hashes, through the HTTP API.
 *
 *     GET /api/models/<owner>/<name>[/revision/<revision>]?blobs=true
 *     GET /<owner>/<name>/resolve/<commit>/<file>      the content, perhaps at another host
 *
 * @module listing
 */

import { readJson } from "../client/bounded_json.js";
import { LeadoutError } from "../client/errors.js";
import { isRepo } from "./names.js";

/** Where models are looked up unless somebody says otherwise. */
export const PUBLIC_HUB = "https://huggingface.co";

/** How often a hub that is busy or broken is asked again, and the first wait; it doubles. */
const MAX_RETRIES = 3;
const RETRY_MS = 500;

/** The longest that a hub's Retry-After is waited for. */
const MAX_WAIT_MS = 10_000;

/** For a whole answer to come. */
const ANSWER_MS = 60_000;

/** Statuses that may pass by themselves. */
const PASSING_STATUSES = new Set([408, 429, 500, 502, 503, 504]);

/**
 * `token` goes to the hub's own host alone: browsers drop it where a request is led to another host.
 * @typedef {object} HubOptions
 * @property {string} [host] the hub's address; default: the public one
 * @property {string | null} [token] an access token; kept in memory alone
 * @property {typeof fetch} [fetch]
 * @property {AbortSignal | null} [signal]
 * @property {number} [retryMs]
 */

/**
 * @typedef {object} ListedFile
 * @property {string} path in the repository
 * @property {number} size bytes
 * @property {string | null} sha256 of the content; null for small files, which git keeps
 */

/**
 * @typedef {object} Listing
 * @property {string} host
 * @property {string} repo as the hub writes it now
 * @property {string} revision the commit that the sizes and hashes belong to
 * @property {boolean} isGated terms have to be accepted first
 * @property {ListedFile[]} files
 */

/**
 * List a repository's files.
 *
 * @param {string} repo "owner/name"
 * @param {string | null} revision
 * @param {HubOptions} [options]
 * @returns {Promise<Listing>}
 * @throws {LeadoutError} ModelNotFoundError: no such repository or revision; SourceError: the hub
 *   cannot be reached, refuses, or says nonsense
 */
export async function listRepository(repo, revision, options = {}) {
  const host = hostOf(options);
  const at = revision === null ? "" : `/revision/${encodeURIComponent(revision)}`;
  const response = await askHub(new URL(`/api/models/${repo}${at}?blobs=true`, host), options);
  if (!response.ok) {
    throw await refusalOf(response, host, repo, { revision, token: options.token });
  }
  const info = await readJson(response).catch((error) => {
    throw error.name === "SourceError" ? nonsense(host, repo, "no JSON, or far too much") : error;
  });
  if (!/^[0-9a-f]{40}$/.test(info?.sha) || !Array.isArray(info.siblings)) {
    throw nonsense(host, repo, "no commit with a list of files");
  }
  return {
    host,
    repo: isRepo(info.id) ? info.id : repo,
    revision: info.sha,
    isGated: Boolean(info.gated),
    files: info.siblings.map((/** @type {any} */ entry) => toFile(entry, host, repo)),
  };
}

/**
 * @param {Listing} listing
 * @param {string} path
 * @returns {string} where the file's content is asked for
 */
export function fileUrl({ host, repo, revision }, path) {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return new URL(`/${repo}/resolve/${revision}/${encoded}`, host).href;
}

/**
 * Find out whether a gated repository lets this token read a file.
 *
 * @param {Listing} listing
 * @param {string} path
 * @param {HubOptions} options
 * @throws {LeadoutError} SourceError, which says what to do
 */
export async function requireAccess(listing, path, options) {
  const response = await askHub(new URL(fileUrl(listing, path)), options, { Range: "bytes=0-0" });
  await response.body?.cancel();
  if (!response.ok) {
    throw await refusalOf(response, listing.host, listing.repo, { isListed: true });
  }
}

/**
 * @param {HubOptions} options
 * @returns {string} the hub's origin
 * @throws {LeadoutError} RequestError
 */
export function hostOf({ host = PUBLIC_HUB }) {
  const url = URL.canParse(host) ? new URL(host) : null;
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new LeadoutError("RequestError", `"${host}" is not the address of a hub; wanted https://HOST.`, { host });
  }
  return url.origin;
}

/**
 * @param {URL} url of the hub's own host
 * @param {HubOptions} options
 * @param {Record<string, string>} [headers]
 * @returns {Promise<Response>}
 */
async function askHub(url, options, headers = {}) {
  const { token, signal, retryMs = RETRY_MS, fetch: ask = fetch } = options;
  const init = {
    headers: token ? { ...headers, Authorization: `Bearer ${token}` } : headers,
    credentials: /** @type {RequestCredentials} */ ("omit"),
    cache: /** @type {RequestCache} */ ("no-store"),
  };
  for (let retry = 0; ; retry++) {
    let response;
    try {
      const ends = [AbortSignal.timeout(ANSWER_MS), ...(signal ? [signal] : [])];
      response = await ask(url.href, { ...init, signal: AbortSignal.any(ends) });
    } catch (error) {
      signal?.throwIfAborted();
      if (/** @type {any} */ (error)?.name === "TimeoutError") {
        throw new LeadoutError(
          "SourceError",
          `${url.host} did not answer for ${ANSWER_MS / 1000} s; try again later.`,
          { host: url.origin },
        );
      }
      throw new LeadoutError(
        "SourceError",
        `${url.host} cannot be reached: there is no connection, the hub does not allow this page to ` +
          `read it (CORS), or this page's Content-Security-Policy forbids the address.`,
        { host: url.origin, cause: String(error) },
      );
    }
    const waitMs = retryAfterMs(response) ?? retryMs * 2 ** retry;
    if (!PASSING_STATUSES.has(response.status) || retry === MAX_RETRIES || waitMs > MAX_WAIT_MS) {
      return response;
    }
    await response.body?.cancel();
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    signal?.throwIfAborted();
  }
}

/** @param {Response} response */
function retryAfterMs(response) {
  const text = response.headers.get("Retry-After");
  return text !== null && /^\d{1,6}$/.test(text) ? Number(text) * 1000 : null;
}

/**
 * @param {Response} response
 * @param {string} host
 * @param {string} repo
 * @param {{revision?: string | null, token?: string | null, isListed?: boolean}} asked
 * @returns {Promise<LeadoutError>}
 */
async function refusalOf(response, host, repo, { revision = null, token, isListed = false }) {
  const { status } = response;
  const code = response.headers.get("X-Error-Code");
  const name = new URL(host).host;
  const detail = { host, repo, status };
  await response.body?.cancel().catch(() => {});
  if (code === "GatedRepo" || (isListed && (status === 401 || status === 403))) {
    return new LeadoutError(
      "SourceError",
      `${repo} asks to accept its terms first. Do so on its page at ${name}, then give an access ` +
        "token of your account.",
      { ...detail, isGated: true },
    );
  }
  if (code === "RevisionNotFound" || (status === 404 && revision !== null)) {
    return new LeadoutError("ModelNotFoundError", `${repo} has no revision "${revision}" at ${name}.`, detail);
  }
  // For what may be private, a hub says 401 rather than 404.
  if (status === 401 || status === 404) {
    return new LeadoutError(
      "ModelNotFoundError",
      `${name} has no model ${repo}, or ` +
        (token ? "this access token may not see it." : "it is private: then give an access token."),
      detail,
    );
  }
  if (status === 403) {
    return new LeadoutError("SourceError", `${name} refuses ${repo} with this access token.`, detail);
  }
  const wait = retryAfterMs(response);
  const when = wait === null ? "later" : `in ${wait / 1000} seconds`;
  return new LeadoutError("SourceError", `${name} answered ${status} for ${repo}; try again ${when}.`, detail);
}

/**
 * @param {any} entry
 * @param {string} host
 * @param {string} repo
 * @returns {ListedFile}
 */
function toFile(entry, host, repo) {
  const path = entry?.rfilename;
  const size = entry?.lfs?.size ?? entry?.size;
  // Half a character has no place in an address.
  const isName = typeof path === "string" && !/\p{Surrogate}/u.test(path);
  if (!isName || !Number.isSafeInteger(size) || size < 0) {
    throw nonsense(host, repo, "a file without a name or a size");
  }
  const sha256 = entry.lfs?.sha256;
  return { path, size, sha256: /^[0-9a-f]{64}$/.test(sha256) ? sha256 : null };
}

/**
 * @param {string} host
 * @param {string} repo
 * @param {string} found
 */
function nonsense(host, repo, found) {
  return new LeadoutError(
    "SourceError",
    `${new URL(host).host} is not a hub: what it answered for ${repo} is ${found}.`,
    { host, repo },
  );
}
