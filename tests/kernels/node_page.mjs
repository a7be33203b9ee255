/**
 * harness.js in Node, on Dawn: page_hosts.py starts it with the tests' server and the folder to find the
 * package "webgpu" from. Lines of [expression, argument] come on stdin, {value} or {error} leave on stdout.
 */
import { createRequire, register } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";

const [origin, webFolder] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));

// "/web/…" is the server's; here the same files lie on the disk.
const root = pathToFileURL(join(webFolder, "/")).href;
register(
  `data:text/javascript,${encodeURIComponent(`export function resolve(name, context, next) {
    return next(name.startsWith("/web/") ? ${JSON.stringify(root)} + name.slice(5) : name, context);
  }`)}`,
);

const require = createRequire(join(webFolder, "index.js"));
const { create, globals } = await import(pathToFileURL(require.resolve("webgpu")).href);
Object.assign(globalThis, globals);
const gpu = create(["disable-dawn-features=timestamp_quantization"]);
globalThis.keptGpu = gpu; // once it is collected, Dawn is gone
if (!globalThis.navigator) globalThis.navigator = {};
Object.defineProperty(globalThis.navigator, "gpu", { value: gpu });
globalThis.location = new URL(origin);

/** What browsers have and Node 20 has not. */
async function bytes() {
  return new Uint8Array(await this.arrayBuffer());
}
Response.prototype.bytes ??= bytes;
Blob.prototype.bytes ??= bytes;

const nodeFetch = globalThis.fetch;
globalThis.fetch = (url, options) => nodeFetch(new URL(url, origin), options);

const post = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");
const mistake = (error) => post({ mistake: String(error?.stack ?? error) });
process.on("unhandledRejection", mistake);
process.on("uncaughtException", mistake);
console.log = console.error;

await import(pathToFileURL(join(here, "harness.js")).href);
for await (const line of createInterface({ input: process.stdin })) {
  const [expression, argument] = JSON.parse(line);
  try {
    const found = (0, eval)(`(${expression})`);
    const value = await (typeof found === "function" ? found(argument) : found);
    post({ value: value ?? null });
  } catch (error) {
    post({ error: String(error?.stack ?? error) });
  }
}
process.exit(0);
