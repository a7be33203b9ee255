/**
 * Compiles archives of Python sources with Pyodide's own Python; see compiled.py, which starts it:
 *
 *     node compile_python.mjs PYODIDE_FOLDER STDLIB_ZIP < JOBS
 *
 * JOBS is a JSON list of {sources, compiled, folder, left_out, keeps_docstrings}: two paths, and what
 * `Archive` in compiled.py says.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [pyodideFolder, stdLibURL] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(join(pyodideFolder, "pyodide.mjs")).href);
const pyodide = await loadPyodide({
  indexURL: pyodideFolder,
  stdLibURL,
  env: { PYTHONHASHSEED: "0" }, // the same sources give the same bytes
});
pyodide.runPython(readFileSync(new URL("compile_python.py", import.meta.url), "utf8"));
const compileArchive = pyodide.globals.get("compile_archive");
for (const { sources, compiled, folder, left_out, keeps_docstrings } of JSON.parse(readFileSync(0, "utf8"))) {
  pyodide.FS.writeFile("/tmp/sources.zip", readFileSync(sources));
  try {
    compileArchive(folder, left_out, keeps_docstrings);
  } catch (error) {
    console.error(error.message.trim()); // only the message, because Node would also print the source of Pyodide
    process.exit(1);
  }
  writeFileSync(compiled, pyodide.FS.readFile("/tmp/compiled.zip"));
}
