/**
 * Copying, with a word that it was done.
 *
 * @module clipboard
 */

const SAID_MS = 1500;

/**
 * @param {HTMLElement} button that was clicked; it says what came of it
 * @param {string} text
 */
export async function copyText(button, text) {
  const before = (button.dataset.label ??= button.textContent ?? "");
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // No permission, or a page on a plain address.
    button.textContent = "Not allowed";
  }
  setTimeout(() => {
    button.textContent = before;
  }, SAID_MS);
}
