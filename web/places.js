/**
 * Where this copy of Leadout has its files, relative to this module. Here that is the site. In the npm package the build
 * puts another module in this place: it names each file by itself, as bundlers want it (keep in step with
 * build/leadout_build/site/package.py).
 *
 * @module places
 */

/** @import {Places} from "./assets.js" */

/** @type {Places} */
export const PLACES = {
  worker: new URL("./worker.js", import.meta.url).href,
  puller: new URL("./store/puller.js", import.meta.url).href,
  assets: new URL("./assets.json", import.meta.url).href,
  knownModels: new URL("./hub/known_models.json", import.meta.url).href,
  site: new URL("../", import.meta.url).href,
  version: null,
};
