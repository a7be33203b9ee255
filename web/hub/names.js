/**
 * How a model on the hub is written: `hf:owner/name[@revision][:file]`, or without the "hf:".
 * Keep in step with build/leadout_build/hub_names.py; tests/vectors/hub has cases for both.
 *
 * @module names
 */

/**
 * @typedef {object} HubName
 * @property {string} repo "owner/name"
 * @property {string | null} revision a branch, a tag or a commit; null: the main branch
 * @property {string | null} file a .gguf's path in the repository, or its quantisation ("Q4_K_M")
 */

const PART = "[A-Za-z0-9][A-Za-z0-9._-]{0,95}";
const REPO = new RegExp(`^${PART}/${PART}$`);
const NAME = new RegExp(`^(?:hf:)?(${PART}/${PART})(?:@([\\w][\\w./-]{0,199}))?(?::([^\\x00-\\x1f\\x7f]{1,500}))?$`);

/**
 * @param {string} text
 * @returns {HubName | null} null where it is no such name: "x/y.gguf" is a path
 */
export function parseHubName(text) {
  const match = NAME.exec(text);
  if (!match || (/\.gguf$/i.test(match[1]) && !text.startsWith("hf:"))) {
    return null;
  }
  return { repo: match[1], revision: match[2] ?? null, file: match[3] ?? null };
}

/**
 * @param {unknown} text
 * @returns {boolean} whether it is a repository's "owner/name"
 */
export function isRepo(text) {
  return typeof text === "string" && REPO.test(text);
}
