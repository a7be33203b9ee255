/**
 * Hashes what hasher.js sends, in order.
 *
 * @module hash_worker
 */

/** @typedef {{init: () => void, update: (bytes: Uint8Array) => void, digest: () => string}} Sha256 */

/** @type {Promise<Sha256>} */
let hasher;

/** One message after the other, the first ones too, which come before the library is there. */
let queue = Promise.resolve();

addEventListener("message", ({ data }) => {
  if ("library" in data) {
    hasher = load(data.library);
    return;
  }
  queue = queue.then(async () => {
    const sha256 = await hasher;
    if (data.isEnd) {
      postMessage({ digest: sha256.digest() });
      return;
    }
    sha256.update(new Uint8Array(data.memory, 0, data.length));
    postMessage({ memory: data.memory }, { transfer: [data.memory] });
  });
  queue.catch((error) => reportError(error));
});

/**
 * @param {string | null} url null: it came with this module, as in the npm package
 * @returns {Promise<Sha256>}
 */
async function load(url) {
  if (url !== null) await import(url); // it is no module: it leaves its functions in the global scope
  const { hashwasm } = /** @type {any} */ (globalThis);
  const sha256 = await hashwasm.createSHA256();
  sha256.init();
  return sha256;
}
