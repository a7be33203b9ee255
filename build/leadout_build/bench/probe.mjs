/**
 * Counts queue submits in the thread that holds the engine: a browser's worker (which has this file
 * evaluated in it) or Node (node_runner.mjs imports it). In Node it samples the heap, too; a worker
 * cannot see its own, chromium.py asks the browser for it.
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

  function sample() {
    const { heapUsed, external } = process.memoryUsage();
    samples.push([Date.now(), heapUsed + external]);
  }

  const timer = isNode ? setInterval(sample, SAMPLE_MS) : undefined;
  globalThis.leadoutProbe = () => {
    clearInterval(timer);
    return { submits, samples };
  };
})();
