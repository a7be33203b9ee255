/**
 * Invisible characters that change how a text reads. They are made visible, so that an answer, a name or a piece of code
 * cannot hide anything.
 *
 * @module hidden_characters
 */

/**
 * Control characters except tab and line break; direction marks and overrides; zero-width spaces; soft hyphens;
 * annotation characters; tags; variation selectors that are not for emoji. Joiners are not in the list, because emoji
 * and several scripts need them.
 */
const HIDDEN =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}\u{e0100}-\u{e01ef}]/gu;

/**
 * @param {string} text
 * @returns {string} the text with each such character as, for example, ⟦U+202E⟧, which is also what is copied
 */
export function showHidden(text) {
  return text.replace(/\r\n?/g, "\n").replace(HIDDEN, (character) => {
    const code = /** @type {number} */ (character.codePointAt(0)).toString(16).toUpperCase();
    return `⟦U+${code.padStart(4, "0")}⟧`;
  });
}
