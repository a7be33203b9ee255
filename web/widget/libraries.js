/**
 * The libraries that the widget shows Markdown with. They lie beside the app as assets.json says, and are fetched
 * once somebody chats.
 *
 * @module libraries
 */

/**
 * @typedef {object} Libraries
 * @property {any} MarkdownIt the class
 * @property {any} purify a DOMPurify of this document's window
 */

/** @returns {Promise<Libraries>} rejects where they cannot be had */
export async function loadLibraries() {
  const base = new URL("../", import.meta.url);
  const response = await fetch(new URL("assets.json", base));
  if (!response.ok) {
    throw new Error(`${response.url} answered ${response.status}`);
  }
  const assets = await response.json();
  const [{ default: MarkdownIt }, { default: purify }] = await Promise.all([
    import(/* @vite-ignore */ /* webpackIgnore: true */ new URL(assets.markdown, base).href),
    import(/* @vite-ignore */ /* webpackIgnore: true */ new URL(assets.purify, base).href),
  ]);
  // A DOMPurify of our own: hooks and settings of the page's do not reach it, nor ours the page's.
  return { MarkdownIt, purify: purify(window) };
}
