/**
 * bench.html: choose a model, measure, show the figures.
 *
 * @module bench
 */

import { EFFORTS, measure } from "./bench_measures.js";
import { isSoftwareAdapter, Leadout } from "./leadout.js";
import { showResults } from "./bench_results.js";

/**
 * The models to measure. Nano is a real model. The others are shapes: their weights are made up on the device. `bytes`
 * is the device memory that the model needs; tests/unit/test_bench_page.py compares it with the engine's own plan.
 */
const CHOICES = [
  { name: "nano", label: "Nano, in the box", bytes: 25e6 },
  { name: "e2b", label: "Gemma 4 E2B", bytes: 3.1e9 },
  { name: "e4b", label: "Gemma 4 E4B", bytes: 5.1e9 },
  { name: "12b", label: "Gemma 4 12B", bytes: 9.5e9 },
  { name: "26b-a4b", label: "Gemma 4 26B-A4B", bytes: 16.8e9 },
  { name: "31b", label: "Gemma 4 31B", bytes: 21.3e9 },
];
/** A shape for tests that no model has: bench.html?tiny */
const TINY = { name: "tiny", label: "Tiny, for tests", bytes: 6.5e6 };

const element = (id) => document.getElementById(id);
const select = element("model");
const about = element("about");
const problem = element("problem");
const measureButton = element("measure");
const stopButton = element("stop");
const progress = element("progress");

const choices = new URLSearchParams(location.search).has("tiny") ? [TINY, ...CHOICES] : CHOICES;
for (const { name, label } of choices) select.append(new Option(label, name));

/** Stops the running measurement. @type {AbortController | null} */
let running = null;

/** @param {number} bytes */
function formatSize(bytes) {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

function chosen() {
  return choices.find(({ name }) => name === select.value);
}

function describeChoice() {
  const { name, label, bytes } = chosen();
  const need = `about ${formatSize(bytes)} of graphics memory`;
  about.textContent =
    name === "nano"
      ? `The small model of the first page, with its real weights. It takes ${need}.`
      : `Made-up weights in the shape of ${label} and its drafter: nothing is downloaded. They take ${need}.`;
}

/** @param {string} text @param {number} [done] */
function showStage(text, done) {
  element("stage").textContent = text;
  const bar = progress.querySelector("progress");
  if (done === undefined) bar.removeAttribute("value");
  else bar.value = done;
}

/** @param {string} text */
function showProblem(text) {
  problem.textContent = text;
  problem.hidden = false;
}

/** Return the name of the adapter, as far as it is known. */
async function adapterInfo() {
  const adapter = await navigator.gpu?.requestAdapter?.({ powerPreference: "high-performance" });
  const { vendor = "", architecture = "", description = "", isFallbackAdapter = false } = adapter?.info ?? {};
  return {
    adapter: { vendor, architecture, description },
    features: [...(adapter?.features ?? [])],
    is_software: isSoftwareAdapter({ architecture, isFallbackAdapter }),
    max_buffer_bytes: adapter?.limits?.maxBufferSize ?? null,
  };
}

async function run() {
  const choice = chosen();
  const isShape = choice.name !== "nano";
  running = new AbortController();
  const { signal } = running;
  measureButton.hidden = true;
  stopButton.hidden = false;
  stopButton.focus();
  select.disabled = true;
  problem.hidden = true;
  progress.hidden = false;
  element("results").hidden = true;
  let engine;
  try {
    showStage("Looking at the graphics adapter");
    const device = await adapterInfo();
    const effort = device.is_software ? EFFORTS.software : EFFORTS.full;
    if (device.is_software && choice.bytes > 1e9) {
      showProblem(
        `This browser uses no graphics card, only the CPU. ${choice.label} would take hours. Choose Nano, or turn ` +
          "on hardware acceleration in the browser's settings.",
      );
      return;
    }
    engine = await Leadout.load({
      model: isShape ? { name: choice.name, shape: choice.name } : choice.name,
      maxDraftTokens: Math.max(...effort.drafts),
      heal: false, // a recovery would be a pause in the measured time
      signal,
      onPhase: (phase) => showStage(PHASES[phase] ?? phase),
      onProgress: ({ loaded_bytes, total_bytes }) => {
        showStage(PHASES.loading_weights, total_bytes ? loaded_bytes / total_bytes : undefined);
      },
    });
    const measured = await measure(engine, { effort, isShape, signal, onStage: showStage });
    showResults({
      model: choice.name,
      is_shape: isShape,
      measured_at: new Date().toISOString(),
      browser: navigator.userAgent,
      ...device,
      info: engine.info,
      ...measured,
    });
  } catch (error) {
    if (signal.aborted) return;
    const isMemory = error.name === "OutOfMemoryError" || error.name === "DeviceLimitError";
    const advice = isMemory ? ` ${choice.label} takes about ${formatSize(choice.bytes)}: choose a smaller one.` : "";
    showProblem(error.message + advice);
  } finally {
    engine?.dispose();
    running = null;
    progress.hidden = true;
    stopButton.hidden = true;
    measureButton.hidden = false;
    select.disabled = false;
  }
}

const PHASES = {
  loading_runtime: "Loading Python",
  loading_package: "Loading Leadout",
  loading_weights: "Putting weights on the device",
  compiling_kernels: "Compiling kernels",
  warming_up: "Warming up",
  ready: "Ready",
};

select.addEventListener("change", describeChoice);
measureButton.addEventListener("click", run);
stopButton.addEventListener("click", () => running?.abort());
describeChoice();

const { supported, reason, advice } = await Leadout.isSupported();
if (!supported) {
  measureButton.disabled = true;
  showProblem(`${reason} ${advice}`);
}
