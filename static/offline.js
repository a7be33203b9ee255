/**
 * The service worker: keeps the page's own files, so that it opens without a connection. Models are
 * not its business: those are in web/store/.
 *
 * What has a hash in its address is taken from what is kept; everything else is asked for first, and taken
 * from there where nobody answers. When the site was built anew, what it is made of is fetched in one
 * go, and what it no longer has is dropped.
 */

const CACHE = "leadout-app";
const SCOPE = new URL("./", self.location.href);
const LIST = new URL("build.json", SCOPE).href;

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

/** Bring what is kept up to what the site is now. */
async function refresh() {
  const response = await fetch(LIST, { cache: "no-cache" });
  if (!response.ok) {
    throw new Error(`${LIST} answered ${response.status}`);
  }
  const cache = await caches.open(CACHE);
  const text = await response.clone().text();
  if ((await (await cache.match(LIST))?.text()) === text) {
    return;
  }
  const paths = Object.keys(JSON.parse(text).files).filter(isKept);
  const wanted = new Map(paths.map((path) => [new URL(path, SCOPE).href, path]));
  const kept = new Set((await cache.keys()).map(({ url }) => url));
  for (const [url, path] of wanted) {
    if (hasHash(path) && kept.has(url)) continue;
    const file = await fetch(url, { cache: hasHash(path) ? "default" : "no-cache" });
    if (!file.ok) {
      throw new Error(`${url} answered ${file.status}`);
    }
    await cache.put(url, file);
  }
  for (const url of kept) {
    if (!wanted.has(url)) await cache.delete(url);
  }
  // Last: with the list there, all that it names is there.
  await cache.put(LIST, response);
}

/**
 * @param {Request} request
 * @param {string} path
 */
async function answer(request, path) {
  const cache = await caches.open(CACHE);
  const url = new URL(path === "" || path.endsWith("/") ? `${path}index.html` : path, SCOPE).href;
  if (hasHash(path)) {
    const kept = await cache.match(url);
    if (kept) return kept;
  }
  try {
    const response = await fetch(request);
    if (path === "models/index.json" && response.ok) {
      await cache.put(url, response.clone());
    }
    return response;
  } catch (error) {
    const kept = await cache.match(url);
    if (kept) return kept;
    throw error;
  }
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
  if (/^models\/./.test(path) && path !== "models/index.json") {
    return;
  }
  event.respondWith(answer(request, path));
  if (request.mode === "navigate") {
    event.waitUntil(refresh().catch(() => {})); // without a connection: another time
  }
});
