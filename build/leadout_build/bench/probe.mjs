/**
 * Counts queue submits in the thread that holds the engine: a browser's worker (which has this file
 * evaluated in it) or Node (node_runner.mjs imports it). In Node it samples the heap, too; a worker
 * cannot see its own, chromium.py asks the browser for it.
 *
 * `leadoutProbe()` ends the sampling, which would cost time in what is measured after loading, and
 * returns all there is. A heap that grows and shrinks within one synchronous stretch is not seen.
 *
 * What counts is what is kept. V8 lets garbage lie for as long as it likes, and while Dawn compiles, its
 * binding makes a hundred megabytes: it is collected before it counts, but for the last few.
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

  /** What was there after the last collection, or less. */
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
