/**
 * Where the engine's files are taken from: this copy's own, or a folder that the page names.
 *
 * @module client/places
 */

/** @import {Places} from "../assets.js" */

import { PLACES } from "../places.js";
import { LeadoutError } from "./errors.js";
import { pageAddress } from "./page_address.js";

/**
 * @param {string | URL} [assets] the folder of the npm package that is called so, wherever it was copied to; relative to
 *   the page
 * @returns {Places}
 * @throws {LeadoutError} RequestError: that is no address
 */
export function placesOf(assets) {
  if (assets === undefined) {
    return PLACES;
  }
  const folder = URL.parse(String(assets), pageAddress());
  if (!folder || !/^https?:$/.test(folder.protocol)) {
    throw new LeadoutError("RequestError", `"${assets}" is not the address of a folder; wanted /path/ or https://…`, {
      parameter: "assets",
    });
  }
  folder.pathname = folder.pathname.replace(/\/*$/, "/");
  const at = (/** @type {string} */ name) => new URL(name, folder).href;
  return { ...PLACES, worker: at("worker.js"), puller: at("puller.js"), assets: at("assets.json") };
}
