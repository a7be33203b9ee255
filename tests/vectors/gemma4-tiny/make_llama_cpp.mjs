/**
 * Continue prompts greedily with llama.cpp, on the CPU, through node-llama-cpp.
 *
 *     node make_llama_cpp.mjs IN.json OUT.json
 *
 * IN.json is `{name: {"gguf": PATH, "prompts": [{"prompt_ids", "num_tokens"}]}}`, as
 * make_gemma4_llama_cpp.py writes it; OUT.json is `{"versions", "continuations": {name: [{"ids",
 * "margins"}] or {"error"}}}`. The KV cache is float32 and attention is not fused, so that what is
 * left between llama.cpp and float32 arithmetic is its GELU, a table of halves. End tokens do not
 * stop it.
 */

import fs from "node:fs/promises";
import process from "node:process";

import { getLlama, getModuleVersion, LlamaLogLevel } from "node-llama-cpp";

const [inPath, outPath] = process.argv.slice(2);
const cases = JSON.parse(await fs.readFile(inPath, "utf8"));
/** @type {string[]} */
let log = [];
const llama = await getLlama({
  gpu: false,
  build: "never",
  maxThreads: 2,
  logLevel: LlamaLogLevel.warn,
  logger: (_level, message) => log.push(message.trim()),
});

/** @type {Record<string, unknown>} */
const continuations = {};
for (const [name, { gguf, prompts }] of Object.entries(cases)) {
  log = [];
  try {
    continuations[name] = await continued(gguf, prompts);
  } catch (error) {
    continuations[name] = { error: String(error), log };
  }
  process.stderr.write(`${name}\n`);
}

const versions = {
  "node-llama-cpp": await getModuleVersion(),
  "llama.cpp": llama.llamaCppRelease.release,
};
await fs.writeFile(outPath, JSON.stringify({ versions, continuations }));
await llama.dispose();

/**
 * Load a model, continue its prompts and unload it.
 *
 * @param {string} modelPath
 * @param {{prompt_ids: number[], num_tokens: number}[]} prompts
 */
async function continued(modelPath, prompts) {
  const model = await llama.loadModel({ modelPath });
  try {
    const context = await model.createContext({
      contextSize: 256,
      batchSize: 512,
      threads: 2,
      flashAttention: false,
      experimentalKvCacheKeyType: "F32",
      experimentalKvCacheValueType: "F32",
    });
    const sequence = context.getSequence();
    const results = [];
    for (const { prompt_ids: promptIds, num_tokens: numTokens } of prompts) {
      await sequence.clearHistory();
      const ids = [];
      const margins = [];
      for await (const { token, probabilities } of sequence.evaluateWithMetadata(
        promptIds,
        { probabilities: true },
        { temperature: 0, yieldEogToken: true },
      )) {
        ids.push(token);
        const [best, second] = probabilities.values();
        margins.push(Number(Math.log(best / second).toFixed(4)));
        if (ids.length === numTokens) {
          break;
        }
      }
      results.push({ ids, margins });
    }
    return results;
  } finally {
    await model.dispose();
  }
}
