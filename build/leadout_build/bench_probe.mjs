/**
 * Counts queue submits and samples the JavaScript heap, in the thread that holds the engine: a
 * browser's worker (which has this file evaluated in it) or Node (node_runner.mjs imports it).
 *
 * `leadoutProbe()` ends the sampling, which would cost time in what is measured after loading, and
 * returns all there is. A heap that grows and shrinks within one synchronous stretch is not seen.
 */
(() => {
  const SAMPLE_MS = 20;
  const isNode = typeof process === "object";
  let submits = 0;
  /** [milliseconds since the epoch, bytes] @type {[number, number][]} */
  const samples = [];

  const { submit } = GPUQueue.prototype;
  GPUQueue.prototype.submit = function (buffers) {
    submits++;
    return submit.call(this, buffers);
  };

  function heapBytes() {
    if (!isNode) return performance.memory.usedJSHeapSize;
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  }

  const timer = setInterval(() => samples.push([Date.now(), heapBytes()]), SAMPLE_MS);
  globalThis.leadoutProbe = () => {
    clearInterval(timer);
    return { submits, samples };
  };
})();
