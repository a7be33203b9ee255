/**
 * Counts queue submits in the engine's thread: in a browser's worker, which evaluates this file, or in Node, where
 * node_runner.mjs imports it. In Node it also samples the heap. A worker cannot read the size of its own heap, so
 * chromium.py asks the browser for it.
 *
 * `leadoutProbe()` returns all samples, and ends the sampling, because that would cost time in the measurements after
 * loading. If the heap grows and shrinks during one synchronous task, no sample shows it.
 *
 * Samples should show the memory that is in use. V8 may keep garbage for a long time, and Dawn's binding makes a hundred
 * megabytes of it while Dawn compiles. So garbage is collected before a sample counts, except for the last few megabytes.
 */
(() => {
  const SAMPLE_MS = 20;
  const GARBAGE_BYTES = 16 << 20;
  const isNode = typeof process === "object";
  let submits = 0;
  /** [milliseconds since the epoch, bytes] @type {[number, number][]} */
  const samples = [];

  const { submit } = GPUQueue.prototype;
  GPUQueue.prototype.submit = function (buffers) {
    submits++;
    return submit.call(this, buffers);
  };

  /** The heap's size after the last collection, or less. */
  let keptBytes = Infinity;
  let collect = () => {};
  if (isNode) {
    Promise.all([import("node:v8"), import("node:vm")]).then(([v8, vm]) => {
      v8.setFlagsFromString("--expose-gc");
      collect = vm.runInNewContext("gc");
    });
  }

  function heapBytes() {
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  }

  function sample() {
    let bytes = heapBytes();
    if (bytes > keptBytes + GARBAGE_BYTES) {
      collect();
      keptBytes = bytes = heapBytes();
    }
    keptBytes = Math.min(keptBytes, bytes);
    samples.push([Date.now(), bytes]);
  }

  const timer = isNode ? setInterval(sample, SAMPLE_MS) : undefined;
  globalThis.leadoutProbe = () => {
    clearInterval(timer);
    return { submits, samples };
  };
})();
