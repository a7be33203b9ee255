// Compiles WGSL with Dawn (npm package "webgpu") on its null backend, which needs no GPU.
//
// node validate_wgsl.mjs NODE_MODULES < modules > problems
//   modules:  [{name, code, features: string[]}]
//   problems: [{name, line, column, message}], 1-based; one for each module that is refused

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.argv[2], "package.json"));
const { create, globals } = await import(pathToFileURL(require.resolve("webgpu")).href);
Object.assign(globalThis, globals);

// Dawn ends when its GPU object is garbage-collected. The process exits below before that happens.
const gpu = create(["backend=null"]);

/**
 * Functions of features of the language. Dawn has all of these, and would not miss one that is not declared.
 * The lookbehind is for comments.
 */
const LANGUAGE_FUNCTIONS = {
  packed_4x8_integer_dot_product: /(?<!\/\/.*)\b(dot4[IU]8Packed|(un)?pack4x[IU]8(Clamp)?)\b/,
};

/** Devices by features. A device has only the features that a variant declares, and the default limits. */
const devices = new Map();
async function deviceWith(declared) {
  const features = declared.filter((feature) => !gpu.wgslLanguageFeatures.has(feature));
  const key = features.join();
  if (!devices.has(key)) {
    const adapter = await gpu.requestAdapter(); // an adapter gives one device only
    const unknown = features.filter((feature) => !adapter.features.has(feature));
    if (unknown.length) {
      throw new Error(`Dawn knows no feature ${unknown.join(", ")}`);
    }
    devices.set(key, await adapter.requestDevice({ requiredFeatures: features }));
  }
  return devices.get(key);
}

/** The first function of the language that the code uses without its feature, as Dawn tells errors. */
function undeclared(code, features) {
  for (const [feature, functions] of Object.entries(LANGUAGE_FUNCTIONS)) {
    const found = features.includes(feature) ? null : functions.exec(code);
    if (found === null) continue;
    const before = code.slice(0, found.index).split("\n");
    const message = `${found[0]} needs the feature ${feature}, which variants.toml does not name`;
    return { type: "error", lineNum: before.length, linePos: before.at(-1).length + 1, message };
  }
}

const problems = [];
for (const { name, code, features } of JSON.parse(readFileSync(0, "utf-8"))) {
  const device = await deviceWith(features);
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label: name, code });
  const { messages } = await module.getCompilationInfo();
  await device.popErrorScope();
  const error = messages.find(({ type }) => type === "error") ?? undeclared(code, features);
  if (error) {
    problems.push({
      name,
      line: error.lineNum,
      column: error.linePos,
      message: error.message,
    });
  }
}
process.stdout.write(JSON.stringify(problems), () => process.exit(0));
