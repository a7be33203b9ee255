/**
 * Starts Python in a worker, or in Node: Pyodide, and archives of compiled packages on its path.
 *
 * @module python
 */

/** @import {Assets} from "./assets.js" */

/** Where packages lie in Pyodide's file system; PACKAGES_FOLDER in compiled.py (keep in step). */
const PACKAGES_FOLDER = "/lib";

/**
 * @param {Assets} assets
 * @returns {Promise<any>} Pyodide
 */
export async function startPyodide({ pyodide, pyodide_module, pyodide_wasm, stdlib, lock }) {
  // Pyodide would ask for its larger half only once the smaller one has arrived.
  const larger = import(pyodide_module);
  larger.catch(() => {}); // seen below, unless the smaller one fails first
  const { loadPyodide } = await import(pyodide);
  const lockFileContents = JSON.stringify(lock);
  const folder = new URL("./", pyodide_wasm);
  if (folder.protocol === "file:") {
    // Node: on the disk, and Pyodide wants the folder's path.
    return loadPyodide({ indexURL: decodeURIComponent(folder.pathname), lockFileContents });
  }
  return loadPyodide({
    // It fetches indexURL + "pyodide.asm.wasm". A bundler may have given that file another name; what stands behind #
    // is not sent.
    indexURL: `${pyodide_wasm}#/`,
    stdLibURL: stdlib,
    lockFileContents,
    createPyodideModule: (await larger).default,
  });
}

/**
 * Put packages on Python's path. Adding them again does no harm.
 *
 * @param {any} pyodide
 * @param {{name: string, bytes: Uint8Array}[]} packages archives, by the names of their files
 */
export function addPackages(pyodide, packages) {
  const sys = pyodide.pyimport("sys");
  for (const { name, bytes } of packages) {
    const path = `${PACKAGES_FOLDER}/${name}`;
    pyodide.FS.writeFile(path, bytes);
    if (!sys.path.includes(path)) sys.path.append(path);
  }
  sys.destroy();
}
