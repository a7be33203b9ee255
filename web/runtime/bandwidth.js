/**
 * How fast a device reads its memory. Loaded only when somebody asks.
 *
 * @module bandwidth
 */

import { LeadoutError, withErrorScopes } from "./errors.js";
import { checkTimestamps, FINE_TICK_NS, lengths, makePipeline, PassTimer, runsOf, timeEmptyPasses } from "./timestamps.js";

/** @import {Runs} from "./timestamps.js" */

/** WebGPU's GPUBufferUsage.STORAGE; Node has no such global. */
const STORAGE = 0x80;

/** Bytes read for the device's bandwidth, by preference; and how often. */
const BANDWIDTH_BYTES = [1 << 30, 256 << 20, 64 << 20, 16 << 20];
const SOFTWARE_BANDWIDTH_BYTES = [16 << 20];
const BANDWIDTH_RUNS = 6;
const BANDWIDTH_WORKGROUPS = 8192;

// Every thread keeps eight loads in flight; neighbouring threads read neighbouring 16 bytes.
const READ_WGSL = `
@group(0) @binding(0) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> sums: array<u32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let stride = groups.x * 256u;
  var sum = vec4<u32>(0u);
  for (var i = id.x; i + 7u * stride < arrayLength(&source); i += 8u * stride) {
    let a = source[i] ^ source[i + stride];
    let b = source[i + 2u * stride] ^ source[i + 3u * stride];
    let c = source[i + 4u * stride] ^ source[i + 5u * stride];
    let d = source[i + 6u * stride] ^ source[i + 7u * stride];
    sum ^= (a ^ b) ^ (c ^ d);
  }
  if ((sum.x ^ sum.y ^ sum.z ^ sum.w) == 1u) { sums[0] = 1u; }
}`;

/**
 * Measure how fast the device reads: a large buffer, once through, by as many threads as pay.
 *
 * @param {GPUDevice} device
 * @param {boolean} isSoftware
 * @returns {Promise<{gb_per_s: Runs, read_bytes: number}>}
 * @throws {LeadoutError} DeviceError: no timestamps
 */
export async function measureBandwidth(device, isSoftware) {
  checkTimestamps(device);
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
  const wanted = isSoftware ? SOFTWARE_BANDWIDTH_BYTES : BANDWIDTH_BYTES;
  for (const bytes of wanted.filter((size) => size <= limit)) {
    const { value: source, error } = withErrorScopes(device, () =>
      device.createBuffer({ size: bytes, usage: STORAGE }),
    );
    if ((await error) !== null) continue; // there is no such memory left: a smaller one will do
    const sums = device.createBuffer({ size: 4, usage: STORAGE });
    const timer = new PassTimer(device);
    try {
      const pipeline = await makePipeline(device, READ_WGSL);
      const group = device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: [source, sums].map((buffer, binding) => ({ binding, resource: { buffer } })),
      });
      // A whole number of strides of eight loads, so that all of it is read.
      const workgroups = Math.min(BANDWIDTH_WORKGROUPS, bytes / 16 / 256 / 8);
      const { tickNs } = await timeEmptyPasses(device, timer);
      const repeats = tickNs > FINE_TICK_NS ? 8 : 1;
      const recording = (/** @type {GPUComputePassEncoder} */ pass) => {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        for (let i = 0; i < repeats; i++) pass.dispatchWorkgroups(workgroups);
      };
      const timed = [];
      for (let run = 0; run < (isSoftware ? 2 : BANDWIDTH_RUNS); run++) {
        timed.push(lengths(await timer.time([recording, recording]))[1]);
      }
      return { gb_per_s: runsOf(timed.map((ns) => (repeats * bytes) / ns)), read_bytes: bytes };
    } finally {
      timer.destroy();
      source.destroy();
      sums.destroy();
    }
  }
  throw new LeadoutError("OutOfMemoryError", "the device has no memory left to read from", {});
}
