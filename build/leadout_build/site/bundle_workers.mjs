/**
 * Makes one file of each worker of the npm package, and beside OUT_FOLDER of what other people's Pyodide takes; see
 * package.py, which starts it:
 *
 *     node bundle_workers.mjs WEB_FOLDER OUT_FOLDER
 */
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [web, outdir] = process.argv.slice(2).map((path) => resolve(path));
const { build } = createRequire(join(web, "package.json"))("esbuild");

/**
 * With its library in itself. A file of 1 kB would become a data: URL in bundlers, and browsers start no worker of that
 * under a strict policy.
 */
const HASH_WORKER = `
import hashwasm from "hash-wasm/dist/sha256.umd.min.js";
import "./store/hash_worker.js";
globalThis.hashwasm = hashwasm;
`;

const options = {
  absWorkingDir: web,
  bundle: true,
  format: "esm",
  target: "es2023",
  minifySyntax: true,
  minifyWhitespace: true, // names stay, for whoever reads a stack
  charset: "utf8",
  logLevel: "warning",
};
await build({
  ...options,
  entryPoints: ["worker.js", "template_worker.js", "store/puller.js"],
  entryNames: "[name]",
  outdir,
});
await build({
  ...options,
  entryPoints: ["own_pyodide.js"],
  minifyIdentifiers: true, // most of it is worker.js once more, where names stay
  outdir: join(outdir, ".."),
  plugins: [
    {
      name: "places", // the package's own
      setup: ({ onResolve }) => {
        onResolve({ filter: /^\.\.\/places\.js$/ }, () => ({ path: "./places.js", external: true }));
      },
    },
  ],
});
await build({
  ...options,
  stdin: { contents: HASH_WORKER, resolveDir: web, sourcefile: "hash_worker.js" },
  outfile: join(outdir, "hash_worker.js"),
});
