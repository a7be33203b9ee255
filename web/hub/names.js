/**
 * How a model on the hub is written: `hf:owner/name[@revision][:file]`, or without the "hf:", or as the
 * public hub's address of the model's page or of one of its GGUFs, which people copy.
 * Keep in step with build/leadout_build/store/hub_names.py; tests/vectors/hub has cases for both.
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

const PAGE = new RegExp(
  `^https://huggingface\\.co/(${PART}/${PART})(?:/(?:tree|blob|resolve)/([\\w.-]{1,200})(?:/([^?#]{1,500}\\.gguf))?)?/?(?:[?#].*)?$`,
);

/**
 * @param {string} text
 * @returns {HubName | null} null where it is no such name: "x/y.gguf" is a path
 */
export function parseHubName(text) {
  const page = PAGE.exec(text);
  if (page) {
    const [, repo, revision, file] = page;
    return parseHubName(`hf:${repo}${revision ? `@${revision}` : ""}${file ? `:${decoded(file)}` : ""}`);
  }
  const match = NAME.exec(text);
  if (!match || (/\.gguf$/i.test(match[1]) && !text.startsWith("hf:"))) {
    return null;
  }
  return { repo: match[1], revision: match[2] ?? null, file: match[3] ?? null };
}

/** @param {string} path of an address */
function decoded(path) {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/**
 * @param {unknown} text
 * @returns {boolean} whether it is a repository's "owner/name"
 */
export function isRepo(text) {
  return typeof text === "string" && REPO.test(text);
}
