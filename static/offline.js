/**
 * The service worker: it keeps the site's files, so that pages open without a connection. It does not keep models;
 * web/store/ does that.
 *
 * A file with a hash in its URL is answered from the cache. All other files are requested from the site first, and from
 * the cache only if the site does not answer. Builds of the site are never mixed:
 *
 * 1. Each build has a cache of its own. A cache is used only when it is complete: build.json is added last, and only if
 *    the site still has the same build.json.
 * 2. A page from a cache gets all other files from the same cache.
 * 3. A page from the site gets a cached file only if the file is from the build that the site had at that time.
 * 4. A file with a hash is the same in all builds that have it, so any cache may answer.
 *
 * Pages of an older build stay open after an update, and their workers load files later. So the cache before the newest
 * stays, and so does every cache that an open page came from. What is known of pages is in a cache as well, because the
 * browser stops this worker whenever it is idle.
 */

const SCOPE = new URL("./", self.location.href);
const PREFIX = `leadout-app ${SCOPE.pathname} `;
const CLIENTS = `leadout-clients ${SCOPE.pathname}`;
const LIST = new URL("build.json", SCOPE).href;
const MODELS = "models/index.json";

/** How many caches stay whoever uses them: the newest, and the one before it. */
const MIN_BUILDS = 2;

/**
 * Where a page or a worker is from.
 *
 * @typedef {object} Origin
 * @property {boolean} isKept from a cache, else from the site
 * @property {Promise<string | null>} build the name of the cache with its build; null: there is none
 */

/** Of the clients that came since this service worker started. @type {Map<string, Origin>} */
const origins = new Map();

/** The running refresh, so that a second call waits for the same one. @type {Promise<void> | null} */
let refreshing = null;

/**
 * The documentation is kept with its drawings, but without its screenshots.
 *
 * @param {string} path the path of a file of the site
 */
function isKept(path) {
  return !/^(models\/|nano\/|_headers$|offline\.js$)|\.(md|png)$/.test(path);
}

/** @param {string} path */
function hasHash(path) {
  return /^(app|vendor)-[0-9a-f]{8,}\//.test(path);
}

/** @returns {Promise<string[]>} the names of the complete caches, the newest first */
async function findBuilds() {
  const complete = [];
  for (const name of await caches.keys()) {
    if (name.startsWith(PREFIX) && (await find(name, LIST))) complete.unshift(name);
  }
  return complete;
}

/** @param {string | null} build @param {string} url */
async function find(build, url) {
  return build === null ? undefined : caches.match(url, { cacheName: build });
}

/** @param {string} url of a file with a hash in its path */
async function findInAny(url) {
  for (const build of await findBuilds()) {
    const kept = await find(build, url);
    if (kept) return kept;
  }
  return undefined;
}

/** Keep the site's current build. */
function refresh() {
  refreshing ??= keepBuild().finally(() => {
    refreshing = null;
  });
  return refreshing;
}

async function keepBuild() {
  const list = await fetchText(LIST);
  const [before = null] = await findBuilds();
  if ((await (await find(before, LIST))?.text()) !== list) {
    await addBuild(list, before);
  }
  await deleteUnused();
}

/**
 * @param {string} list the site's build.json
 * @param {string | null} before the newest cache
 */
async function addBuild(list, before) {
  const name = `${PREFIX}${Date.now()}`;
  const cache = await caches.open(name);
  try {
    for (const path of Object.keys(JSON.parse(list).files).filter(isKept)) {
      const url = new URL(path, SCOPE).href;
      const known = hasHash(path) ? await findInAny(url) : undefined;
      await cache.put(url, known ?? (await fetchFile(url, hasHash(path) ? "default" : "no-cache")));
    }
    const models = new URL(MODELS, SCOPE).href;
    const listed = await find(before, models);
    if (listed) await cache.put(models, listed);
    if ((await fetchText(LIST)) !== list) {
      throw new Error(`${LIST} was built anew meanwhile`);
    }
    await cache.put(LIST, new Response(list, { headers: { "content-type": "application/json" } }));
  } catch (error) {
    await caches.delete(name);
    throw error;
  }
}

/** Forget the clients that are gone, and delete caches that nobody uses. */
async function deleteUnused() {
  const clients = await self.clients.matchAll({ includeUncontrolled: true, type: "all" });
  const open = clients.map(({ id }) => urlOf(id));
  const recent = [...origins.keys()].map(urlOf); // one that is just starting is not yet in `open`
  const stored = await caches.open(CLIENTS);
  const used = new Set();
  for (const { url } of await stored.keys()) {
    if (open.includes(url)) {
      used.add((await (await stored.match(url)).json()).build);
    } else if (!recent.includes(url)) {
      await stored.delete(url);
    }
  }
  const builds = await findBuilds();
  for (const name of await caches.keys()) {
    const isOlder = name.startsWith(PREFIX) && name < builds[0] && !builds.slice(0, MIN_BUILDS).includes(name);
    // The first releases used the short name.
    if ((isOlder && !used.has(name)) || name === "leadout-app") await caches.delete(name);
  }
}

/** @param {string} url @param {RequestCache} cache */
async function fetchFile(url, cache) {
  const response = await fetch(url, { cache });
  if (!response.ok) {
    throw new Error(`${url} answered ${response.status}`);
  }
  return response;
}

/** @param {string} url */
async function fetchText(url) {
  return (await fetchFile(url, "no-cache")).text();
}

/** @param {string} client @returns {string} under which its origin is kept */
function urlOf(client) {
  return new URL(`clients/${client}`, SCOPE).href;
}

/** @param {string} client @returns {Promise<Origin | undefined>} */
async function originOf(client) {
  const known = origins.get(client);
  if (known) return known;
  const stored = await (await caches.match(urlOf(client), { cacheName: CLIENTS }))?.json();
  return stored && { ...stored, build: Promise.resolve(stored.build) };
}

/** @param {string} client @param {Origin} origin */
async function remember(client, { isKept, build }) {
  origins.set(client, { isKept, build });
  const stored = Response.json({ isKept, build: await build });
  await (await caches.open(CLIENTS)).put(urlOf(client), stored);
}

/**
 * @param {FetchEvent} event of a page that is opened
 * @param {string} url
 */
async function answerPage(event, url) {
  try {
    const response = await fetch(event.request);
    const newest = refresh().then(async () => (await findBuilds())[0] ?? null);
    const build = newest.catch(() => null); // without a connection, a later visit does it
    event.waitUntil(remember(event.resultingClientId, { isKept: false, build }));
    return response;
  } catch (error) {
    const [build] = await findBuilds();
    const kept = build && (await find(build, url));
    if (!kept) throw error;
    await remember(event.resultingClientId, { isKept: true, build: Promise.resolve(build) });
    return kept;
  }
}

/**
 * @param {FetchEvent} event of what a page or a worker loads
 * @param {string} url
 * @param {string} path
 */
async function answerFile({ request, clientId, resultingClientId }, url, path) {
  const origin = await originOf(clientId);
  if (origin && resultingClientId) await remember(resultingClientId, origin); // a worker
  const findKept = async () => (hasHash(path) ? findInAny(url) : origin && find(await origin.build, url));
  if (hasHash(path) || (origin?.isKept && path !== MODELS)) {
    const kept = await findKept();
    if (kept) return kept;
  }
  try {
    const response = await fetch(request);
    if (path === MODELS && response.ok) await keepModels(url, response.clone());
    return response;
  } catch (error) {
    const kept = await findKept();
    if (!kept) throw error;
    return kept;
  }
}

/** @param {string} url @param {Response} response */
async function keepModels(url, response) {
  const [newest] = await findBuilds();
  if (newest) await (await caches.open(newest)).put(url, response);
}

self.addEventListener("install", (event) => event.waitUntil(refresh()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const isOurs = url.origin === SCOPE.origin && url.pathname.startsWith(SCOPE.pathname);
  if (!isOurs || request.method !== "GET" || request.headers.has("Range")) {
    return;
  }
  const path = url.pathname.slice(SCOPE.pathname.length);
  if (/^models\/./.test(path) && path !== MODELS) {
    return;
  }
  const file = path === "" || path.endsWith("/") ? `${path}index.html` : path;
  const { href } = new URL(file, SCOPE);
  event.respondWith(request.mode === "navigate" ? answerPage(event, href) : answerFile(event, href, path));
});
