/**
 * The service worker: keeps the page's own files, so that it opens without a connection. Models are
 * not its business: those are in web/store/.
 *
 * What has a hash in its address is taken from what is kept; everything else is asked for first, and taken
 * from there where nobody answers. Builds of the site are never mixed:
 *
 * 1. A build is kept in a cache of its own, which counts once it is whole: build.json goes in last, and only if
 *    the site still says the same of itself. Then older ones go.
 * 2. A page that came from a cache gets all else from the same cache.
 * 3. A page that came from the site gets something kept only if that is of the build which the site had then.
 */

const SCOPE = new URL("./", self.location.href);
const PREFIX = `leadout-app ${SCOPE.pathname} `;
const LIST = new URL("build.json", SCOPE).href;
const MODELS = "models/index.json";

/** Pages whose build is remembered; who goes on longer is asked for anew. */
const MAX_PAGES = 100;

/**
 * Where pages came from, by client: `isKept`: from the cache, else from the site; `cache`: of the same build, null where
 * there is none.
 * @type {Map<string, {isKept: boolean, cache: Promise<Cache | null>}>}
 */
const pages = new Map();

/** Under way, for whoever asks for it meanwhile. @type {Promise<void> | null} */
let refreshing = null;

/**
 * The documentation is kept, with its drawings; photographs of the screen are not.
 *
 * @param {string} path of a file of the site
 */
function isKept(path) {
  return !/^(models\/|nano\/|_headers$|offline\.js$)|\.(md|png)$/.test(path);
}

/** @param {string} path */
function hasHash(path) {
  return /^(app|vendor)-[0-9a-f]{8,}\//.test(path);
}

/** @returns {Promise<Cache | null>} the newest one that is whole */
async function findCache() {
  const names = (await caches.keys()).filter((name) => name.startsWith(PREFIX));
  for (const name of names.reverse()) {
    const cache = await caches.open(name);
    if (await cache.match(LIST)) return cache;
  }
  return null;
}

/** Keep what the site is now. */
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
    if (isOlder || other === "leadout-app") await caches.delete(other); // the latter is of the first releases
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
      const cache = refresh().then(findCache, () => null); // without a connection: another time
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
