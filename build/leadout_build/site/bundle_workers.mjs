/**
 * Bundles each worker of the npm package into one file. It also bundles the module for other people's Pyodide, into the
 * folder above OUT_FOLDER. package.py starts it:
 *
 *     node bundle_workers.mjs WEB_FOLDER OUT_FOLDER
 */
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [web, outdir] = process.argv.slice(2).map((path) => resolve(path));
const { build } = createRequire(join(web, "package.json"))("esbuild");

/**
 * Bundled with its library. Bundlers would turn a file of 1 kB into a data: URL, and under a strict policy browsers do not
 * start a worker from such a URL.
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
  minifyWhitespace: true, // names stay, for readable stack traces
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
  minifyIdentifiers: true, // most of the code is also in worker.js, where names stay
  outdir: join(outdir, ".."),
  plugins: [
    {
      name: "places", // the package's own version
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
