// How fast native llama.cpp is, through node-llama-cpp, for a figure beside ours. Run where npm installed it:
//
//     node llama_bench.mjs FILE.gguf [vulkan|cpu] [PROMPT,PROMPT,…] [NEW_TOKENS]
//
// Prints a line a prompt: prefill and decoding behind it, each with the lowest and highest of the runs.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const found = join(process.cwd(), "node_modules/node-llama-cpp/dist/index.js");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(found).href);

const RUNS = 4; // the first warms up
const [, , file, gpu = "vulkan", prompts = "512,2048", newTokens = "128"] = process.argv;
const sizes = prompts.split(",").map(Number);

const llama = await getLlama({
  gpu: gpu === "cpu" ? false : gpu,
  build: "never",
  logLevel: LlamaLogLevel.error,
  progressLogs: false,
});
const model = await llama.loadModel({ modelPath: file, gpuLayers: "max" });
const context = await model.createContext({
  contextSize: Math.max(4096, Math.max(...sizes) + Number(newTokens) + 256),
  batchSize: 512,
  threads: 8,
  flashAttention: true,
});
const names = await llama.getGpuDeviceNames().catch(() => []);
console.log(`llama.cpp on ${llama.gpu || "CPU"} ${names.join()}, ${model.gpuLayers} layers on the GPU`);
const sequence = context.getSequence();

const spread = (values) => {
  const sorted = values.slice(1).sort((a, b) => a - b);
  const middle = sorted[sorted.length >> 1];
  return `${middle.toFixed(1)} (${sorted[0].toFixed(1)} to ${sorted.at(-1).toFixed(1)})`;
};

for (const size of sizes) {
  const prompt = Array.from({ length: size }, (_, i) => (i === 0 ? 2 : 300 + ((i * 7919) % 1500)));
  const prefill = [];
  const decode = [];
  for (let run = 0; run < (size > 8000 ? 3 : RUNS); run++) {
    await sequence.clearHistory();
    const begun = performance.now();
    await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(0, -1));
    prefill.push((size - 1) / ((performance.now() - begun) / 1e3));
    let count = 0;
    let first = 0;
    for await (const token of sequence.evaluate(prompt.slice(-1), { temperature: 0, yieldEogToken: true })) {
      void token;
      if (count === 0) first = performance.now();
      if (++count >= Number(newTokens)) break;
    }
    decode.push((count - 1) / ((performance.now() - first) / 1e3));
  }
  console.log(JSON.stringify({ llama: llama.gpu, prompt: size, prefill_tokens_per_s: spread(prefill), decode_tokens_per_s: spread(decode) }));
}
process.exit(0);
