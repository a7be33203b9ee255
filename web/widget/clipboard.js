/**
 * Copies text, and shows on the button whether that worked.
 *
 * @module clipboard
 */

const SAID_MS = 1500;

/**
 * @param {HTMLElement} button the button that was clicked; it shows the result
 * @param {string} text
 */
export async function copyText(button, text) {
  const before = (button.dataset.label ??= button.textContent ?? "");
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // No permission, or a page without HTTPS.
    button.textContent = "Not allowed";
  }
  setTimeout(() => {
    button.textContent = before;
  }, SAID_MS);
}
