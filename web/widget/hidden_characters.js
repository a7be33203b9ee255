/**
 * Characters that change how a text reads without being seen: they are shown, so that nothing hides in an answer, a
 * name or a piece of code.
 *
 * @module hidden_characters
 */

/**
 * Controls but for tab and line break; marks and overrides of direction; spaces without width; soft hyphens; what
 * annotates; tags; selectors that are for no emoji. Joiners stay: emoji and several scripts are written with them.
 */
const HIDDEN =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}\u{e0100}-\u{e01ef}]/gu;

/**
 * @param {string} text
 * @returns {string} the same with ⟦U+202E⟧ for such a character; what is seen is what is copied
 */
export function showHidden(text) {
  return text.replace(/\r\n?/g, "\n").replace(HIDDEN, (character) => {
    const code = /** @type {number} */ (character.codePointAt(0)).toString(16).toUpperCase();
    return `⟦U+${code.padStart(4, "0")}⟧`;
  });
}
