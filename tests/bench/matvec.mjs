/**
 * Microseconds per dispatch of matvec, wide / deep, side by side for several folders of kernels:
 *
 *     node tests/bench/matvec.mjs FOLDER_TO_RESOLVE_WEBGPU_FROM dist/app-…/kernels [OTHER_KERNELS …]
 *
 * Shapes are Gemma 4 E2B's. Each figure is the best of a few passes of 64 dependent dispatches, so
 * that a dispatch's own cost is in it, as in a model's step.
 */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [webFolder, ...folders] = process.argv.slice(2);
const require = createRequire(join(resolve(webFolder), "index.js"));
const { create, globals } = await import(pathToFileURL(require.resolve("webgpu")).href);
Object.assign(globalThis, globals);
const gpu = create([]);
const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
const { maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
const device = await adapter.requestDevice({
  requiredLimits: { maxStorageBufferBindingSize, maxBufferSize },
});
device.addEventListener("uncapturederror", ({ error }) => console.error(error.message));
console.log(`${adapter.info.vendor} ${adapter.info.architecture} ${adapter.info.description}`);

const DISPATCHES = 64;
const PASSES = 12;

/** Of pyapp/leadout/ops/linear.py. */
const OUTPUTS_PER_WORKGROUP = { wide: 16, deep: 2 };

/** K, N, layout, epilogue */
const SHAPES = [
  [1536, 2048, "q4_scale", "none"],
  [1536, 24576, "q4_scale", "gelu_mul"],
  [6144, 1536, "q4_scale", "none"],
  [12288, 1536, "q4_scale", "none"],
  [2048, 1536, "q4_scale", "none"],
  [1536, 262144, "q4_scale", "none"],
  [1536, 262144, "q8_super16", "none"],
];

const PLANES = {
  q4_scale: (/** @type {number} */ blocks) => [16 * blocks, 2 * blocks],
  q8_super16: (/** @type {number} */ blocks) => [32 * blocks, 2 * blocks, blocks / 2],
};

/** @param {number} bytes @param {number} [usage] */
function buffer(bytes, usage = GPUBufferUsage.STORAGE) {
  return device.createBuffer({ size: Math.ceil(bytes / 16) * 16, usage: usage | GPUBufferUsage.COPY_DST });
}

/** @param {string} folder @param {any[]} shape @param {number} rows @param {string} form */
async function measure(folder, [K, N, layout, epilogue], rows, form) {
  const name = `matvec.${layout}.${rows}.${form}.${epilogue}`;
  const code = await readFile(join(folder, `${name}.wgsl`), "utf-8");
  const module = device.createShaderModule({ code });
  const stride = epilogue === "none" ? N : N / 2;
  const pipeline = await device.createComputePipelineAsync({
    layout: "auto",
    compute: { module, entryPoint: "main" },
  });
  const buffers = PLANES[layout]((K / 32) * N).map((bytes) => buffer(bytes));
  buffers.push(buffer(4 * rows * K), buffer(4 * rows * stride));
  buffers.push(buffer(32, GPUBufferUsage.UNIFORM));
  // The struct of web/kernels/shared/shape.wgsl.
  device.queue.writeBuffer(buffers.at(-1), 0, new Uint32Array([K, N, stride, 0, 0, 0, 0, 0]));
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((resource, binding) => ({ binding, resource: { buffer: resource } })),
  });
  const groups = Math.ceil(N / OUTPUTS_PER_WORKGROUP[form]);
  const height = Math.ceil(groups / 65535);
  let best = Infinity;
  for (let pass = 0; pass < PASSES; pass++) {
    await device.queue.onSubmittedWorkDone();
    const started = performance.now();
    const encoder = device.createCommandEncoder();
    const compute = encoder.beginComputePass();
    compute.setPipeline(pipeline);
    compute.setBindGroup(0, group);
    for (let i = 0; i < DISPATCHES; i++) compute.dispatchWorkgroups(Math.ceil(groups / height), height);
    compute.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    best = Math.min(best, performance.now() - started);
  }
  for (const one of buffers) one.destroy();
  return (1000 * best) / DISPATCHES;
}

for (const shape of SHAPES) {
  for (const rows of [1, 2, 4, 8]) {
    const figures = [];
    for (const folder of folders) {
      const both = [];
      for (const form of ["wide", "deep"]) both.push((await measure(folder, shape, rows, form)).toFixed(1));
      figures.push(both.join(" / "));
    }
    console.log(`${shape.join(" ")}, ${rows} rows: ${figures.join("   |   ")} us`);
  }
}
process.exit(0);
