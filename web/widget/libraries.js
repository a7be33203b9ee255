/**
 * The libraries that render Markdown in the widget. They are among the engine's files, and are fetched for the first
 * chat.
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
 * @param {string | URL} [folder] the folder with the engine's files; see LoadParams.assets
 * @returns {Promise<Libraries>} rejects if they cannot be loaded
 */
export async function loadLibraries(folder) {
  const { assets: place } = placesOf(folder);
  const { markdown, purify: sanitiser } = typeof place === "string" ? await fetchAssets(place) : place;
  const [{ default: MarkdownIt }, { default: purify }] = await Promise.all([
    import(/* @vite-ignore */ /* webpackIgnore: true */ markdown),
    import(/* @vite-ignore */ /* webpackIgnore: true */ sanitiser),
  ]);
  // Use our own DOMPurify, so that the page's hooks and settings do not affect it, and ours do not affect the page's.
  return { MarkdownIt, purify: purify(window) };
}

/** @param {string} url the URL of an assets.json */
async function fetchAssets(url) {
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`${response.url} answered ${response.status}`);
  }
  return resolveAssets(await response.json(), url);
}
