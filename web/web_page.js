/**
 * Tells web pages from the files that were asked for.
 *
 * Servers of single-page applications, Vite's too, answer with their start page where there is no such file.
 *
 * @module web_page
 */

/**
 * @param {Response} response
 * @returns {boolean} whether it says that it is a web page
 */
export function isWebPage(response) {
  return /^text\/html\b/i.test(response.headers.get("Content-Type") ?? "");
}
