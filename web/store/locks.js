/**
 * Web Locks that are held for as long as their holder likes.
 *
 * @module locks
 */

/**
 * @param {string} name
 * @param {LockOptions} [options]
 * @returns {Promise<() => void>} once it is held: lets go of it
 */
export async function holdLock(name, options = {}) {
  return /** @type {() => void} */ (await request(name, options));
}

/**
 * @param {string} name
 * @returns {Promise<(() => void) | null>} lets go of it; null: somebody else holds it
 */
export function tryLock(name) {
  return request(name, { ifAvailable: true });
}

/**
 * @param {string} name
 * @param {LockOptions} options
 * @returns {Promise<(() => void) | null>} null: it is not to be had
 */
function request(name, options) {
  return new Promise((resolve, reject) => {
    const hold = (/** @type {Lock | null} */ lock) => {
      if (lock === null) return resolve(null);
      return new Promise((release) => {
        resolve(() => release(undefined));
      });
    };
    navigator.locks.request(name, options, hold).catch(reject);
  });
}

/**
 * @param {string} name
 * @returns {Promise<boolean>} whether somebody holds it for itself alone
 */
export async function isHeld(name) {
  const { held = [] } = await navigator.locks.query();
  return held.some((lock) => lock.name === name && lock.mode === "exclusive");
}
