/**
 * What the service worker and the tabs say to each other.
 *
 * 1. Tabs that serve ask for the lock LOCK. The one that holds it is the host; it also holds a lock whose name has its
 *    client's id. That tells the service worker which tab it is and, when it can be had, that the host is gone. (A lock's
 *    own clientId is another one in Chromium.) A tab hears its id from the service worker, under WHO_AM_I.
 * 2. For a request, the service worker takes a lock and sends the host a HostMessage with a port. When the host can have that
 *    lock, nobody waits for the answer: the service worker was stopped.
 * 3. The host answers on the port: a head, parts, an end. The service worker says there when the client has hung up.
 *
 * So the service worker keeps nothing between requests, and may be stopped at any time.
 *
 * @module adapters/server/wire
 */

/** @typedef {{leadout: "request", lock: string, method: string, path: string, body: string}} HostMessage */

/**
 * @typedef {{type: "head", status: number, contentType: string} | {type: "part", text: string} | {type: "end"}} PortMessage
 */

export const LOCK = "leadout-server";

/** Before the id of the host's client, in the name of its own lock. */
export const HOST_PREFIX = `${LOCK}:host:`;

/** Before an id, in the name of a request's lock. */
export const REQUEST_PREFIX = `${LOCK}:request:`;

/** Behind /v1/: what a tab is called by its service worker. */
export const WHO_AM_I = "leadout/client";

/** Where a host tells all tabs that it is one. */
export const CHANNEL = "leadout-server";

/** @returns {Promise<{lock: string, clientId: string} | null>} the tab that is the host now */
export async function findHost() {
  const { held = [] } = await navigator.locks.query();
  const lock = held.find(({ name }) => name?.startsWith(HOST_PREFIX))?.name;
  return lock === undefined ? null : { lock, clientId: lock.slice(HOST_PREFIX.length) };
}
