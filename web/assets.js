/**
 * The files of the engine that are no modules of ours: which there are, and where.
 *
 * @module assets
 */

/**
 * The files by their use, as addresses. `packages` are archives of compiled Python, `wheel` is the same as sources, which a site has, `sha256` is hash-wasm's (null where
 * `hash_worker` has it in itself), `lock` is what Pyodide's own lock file says of its version, `version` is Leadout's.
 * @typedef {{version: string, pyodide: string, pyodide_module: string, pyodide_wasm: string, stdlib: string,
 *   lock: Record<string, unknown>, packages: string[], wheel?: string, tokenizers: string, jinja: string, xgrammar: string, markdown: string, purify: string,
 *   sha256: string | null, kernels_index: string, kernels_sources: string, template_worker: string,
 *   hash_worker: string}} Assets
 */

/** The same, relative to the file that they stand in: the build's assets.json. @typedef {Assets} AssetNames */

/**
 * Where a copy of Leadout has its files (see places.js). `assets` is what they are, or the address of the assets.json
 * that says so, and `version` that of the modules, null where they cannot be of another one; `knownModels` the list of
 * short names, or its address; `site` the folder with models/ that the copy lies in, null where it is no site.
 * @typedef {{worker: string, puller: string, assets: Assets | string,
 *   knownModels: string | {models: import("./hub/known_models.js").KnownModel[]}, site: string | null,
 *   version: string | null}} Places
 */

/**
 * @param {AssetNames} names
 * @param {string | URL} base of the file that they stand in
 * @returns {Assets}
 */
export function resolveAssets(names, base) {
  const resolve = (/** @type {unknown} */ value) => (typeof value === "string" ? new URL(value, base).href : value);
  const { version, ...files } = names;
  const entries = Object.entries(files).map(([key, value]) => [
    key,
    Array.isArray(value) ? value.map(resolve) : resolve(value),
  ]);
  return { version, ...Object.fromEntries(entries) };
}
