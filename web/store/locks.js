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
export function holdLock(name, options = {}) {
  return new Promise((resolve, reject) => {
    const hold = () =>
      new Promise((release) => {
        resolve(() => release(undefined));
      });
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
