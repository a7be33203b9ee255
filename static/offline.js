/**
 * The service worker: it keeps the site's files, so that pages open without a connection. It does not keep models;
 * web/store/ does that.
 *
 * A file with a hash in its URL is answered from the cache. All other files are requested from the site first, and from
 * the cache only if the site does not answer. Builds of the site are never mixed:
 *
 * 1. Each build has a cache of its own. A cache is used only when it is complete: build.json is added last, and only if
 *    the site still has the same build.json. Then older caches are deleted.
 * 2. A page from a cache gets all other files from the same cache.
 * 3. A page from the site gets a cached file only if the file is from the build that the site had at that time.
 */

const SCOPE = new URL("./", self.location.href);
const PREFIX = `leadout-app ${SCOPE.pathname} `;
const LIST = new URL("build.json", SCOPE).href;
const MODELS = "models/index.json";

/** The most pages for which the build is remembered. Files for older pages are requested from the site. */
const MAX_PAGES = 100;

/**
 * The origin of pages, by client. `isKept`: from the cache, else from the site. `cache`: the cache of its build, or
 * null.
 * @type {Map<string, {isKept: boolean, cache: Promise<Cache | null>}>}
 */
const pages = new Map();

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

/** @returns {Promise<Cache | null>} the newest complete cache */
async function findCache() {
  const names = (await caches.keys()).filter((name) => name.startsWith(PREFIX));
  for (const name of names.reverse()) {
    const cache = await caches.open(name);
    if (await cache.match(LIST)) return cache;
  }
  return null;
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
  const before = await findCache();
  if ((await (await before?.match(LIST))?.text()) === list) {
    return;
  }
  const name = `${PREFIX}${Date.now()}`;
  const cache = await caches.open(name);
  try {
    for (const path of Object.keys(JSON.parse(list).files).filter(isKept)) {
      const url = new URL(path, SCOPE).href;
      const known = hasHash(path) ? await before?.match(url) : undefined;
      await cache.put(url, known ?? (await fetchFile(url, hasHash(path) ? "default" : "no-cache")));
    }
    const models = new URL(MODELS, SCOPE).href;
    const listed = await before?.match(models);
    if (listed) await cache.put(models, listed);
    if ((await fetchText(LIST)) !== list) {
      throw new Error(`${LIST} was built anew meanwhile`);
    }
    await cache.put(LIST, new Response(list, { headers: { "content-type": "application/json" } }));
  } catch (error) {
    await caches.delete(name);
    throw error;
  }
  for (const other of await caches.keys()) {
    const isOlder = other.startsWith(PREFIX) && other !== name;
    if (isOlder || other === "leadout-app") await caches.delete(other); // the first releases used this name
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

/**
 * @param {FetchEvent} event
 * @param {string} path
 * @returns {Promise<Response>}
 */
async function answer(event, path) {
  const { request, clientId, resultingClientId } = event;
  const isPage = request.mode === "navigate";
  const url = new URL(path === "" || path.endsWith("/") ? `${path}index.html` : path, SCOPE).href;
  const page = isPage ? undefined : pages.get(clientId);
  const findKept = async () => (await (page ? page.cache : findCache()))?.match(url);
  if (hasHash(path) || (page?.isKept && path !== MODELS)) {
    const kept = await findKept();
    if (kept) return kept;
  }
  try {
    const response = await fetch(request);
    if (isPage) {
      const cache = refresh().then(findCache, () => null); // without a connection, a later visit does it
      event.waitUntil(cache);
      remember(resultingClientId, { isKept: false, cache });
    } else if (path === MODELS && response.ok) {
      await (await findCache())?.put(url, response.clone());
    }
    return response;
  } catch (error) {
    const kept = await findKept();
    if (!kept) throw error;
    if (isPage) remember(resultingClientId, { isKept: true, cache: findCache() });
    return kept;
  }
}

/** @param {string} client @param {{isKept: boolean, cache: Promise<Cache | null>}} page */
function remember(client, page) {
  pages.set(client, page);
  if (pages.size > MAX_PAGES) pages.delete(pages.keys().next().value);
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
  event.respondWith(answer(event, path));
});
