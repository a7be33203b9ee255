/**
 * Continue prompts greedily with llama.cpp, on the CPU, through node-llama-cpp.
 *
 *     node make_llama_cpp.mjs MODEL.gguf PROMPTS.json OUT.json [NUM_TOKENS]
 *
 * PROMPTS.json is `[{"name", "prompt_ids"}]`; OUT.json is `{"versions", "continuations": {name:
 * ids}}`. The KV cache is float32 and attention is not fused, so that what is left between
 * llama.cpp and float32 arithmetic is its int8 activations. End tokens do not stop it.
 */

import fs from "node:fs/promises";
import process from "node:process";

import { getLlama, getModuleVersion, LlamaLogLevel } from "node-llama-cpp";

const [modelPath, promptsPath, outPath, numTokens = "32"] = process.argv.slice(2);
const prompts = JSON.parse(await fs.readFile(promptsPath, "utf8"));
const longest = Math.max(...prompts.map((prompt) => prompt.prompt_ids.length));

const llama = await getLlama({
  gpu: false,
  build: "never",
  maxThreads: 2,
  logLevel: LlamaLogLevel.warn,
});
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({
  contextSize: longest + Number(numTokens) + 8,
  batchSize: 512,
  threads: 2,
  flashAttention: false,
  experimentalKvCacheKeyType: "F32",
  experimentalKvCacheValueType: "F32",
});
const sequence = context.getSequence();

/** @type {Record<string, number[]>} */
const continuations = {};
for (const { name, prompt_ids: promptIds } of prompts) {
  await sequence.clearHistory();
  const ids = [];
  for await (const id of sequence.evaluate(promptIds, { temperature: 0, yieldEogToken: true })) {
    ids.push(id);
    if (ids.length === Number(numTokens)) {
      break;
    }
  }
  continuations[name] = ids;
  process.stderr.write(`${name}: ${ids.length} tokens\n`);
}

const versions = {
  "node-llama-cpp": await getModuleVersion(),
  "llama.cpp": llama.llamaCppRelease.release,
};
await fs.writeFile(outPath, JSON.stringify({ versions, continuations }));
await llama.dispose();
