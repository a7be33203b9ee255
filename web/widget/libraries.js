/**
 * The libraries that the widget shows Markdown with. They are among the engine's files, and are fetched once somebody
 * chats.
 *
 * @module libraries
 */

import { resolveAssets } from "../assets.js";
import { placesOf } from "../client/places.js";

/**
 * @typedef {object} Libraries
 * @property {any} MarkdownIt the class
 * @property {any} purify a DOMPurify of this document's window
 */

/**
 * @param {string | URL} [folder] with the engine's files; see LoadParams.assets
 * @returns {Promise<Libraries>} rejects where they cannot be had
 */
export async function loadLibraries(folder) {
  const { assets: place } = placesOf(folder);
  const { markdown, purify: sanitiser } = typeof place === "string" ? await fetchAssets(place) : place;
  const [{ default: MarkdownIt }, { default: purify }] = await Promise.all([
    import(/* @vite-ignore */ /* webpackIgnore: true */ markdown),
    import(/* @vite-ignore */ /* webpackIgnore: true */ sanitiser),
  ]);
  // A DOMPurify of our own: hooks and settings of the page's do not reach it, nor ours the page's.
  return { MarkdownIt, purify: purify(window) };
}

/** @param {string} url of an assets.json */
async function fetchAssets(url) {
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`${response.url} answered ${response.status}`);
  }
  return resolveAssets(await response.json(), url);
}
