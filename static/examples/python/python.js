/**
 * A page that runs a person's Python beside the engine. Pyodide is the one that Leadout brings; a page with a Pyodide of
 * its own calls installLeadout instead of startPython.
 */
import { startPython } from "../../python.js";

const script = document.getElementById("script");
const sample = document.getElementById("sample");
const run = document.getElementById("run");
const stop = document.getElementById("stop");
const state = document.getElementById("state");
const output = document.getElementById("output");

const ENDINGS = { done: "Done.", stopped: "Stopped.", failed: "The script failed." };

/** run_script.py in a Python with Leadout, from the first run on. @type {Promise<any> | null} */
let runner = null;

async function start() {
  const python = await startPython({
    onFetch: ({ name, stored_bytes, total_bytes }) => {
      state.textContent = `Fetching ${name}: ${Math.round((100 * stored_bytes) / (total_bytes || 1))} %`;
    },
  });
  const decoder = new TextDecoder();
  const write = (bytes) => {
    output.append(decoder.decode(bytes, { stream: true })); // text, never markup
    return bytes.length;
  };
  python.setStdout({ write });
  python.setStderr({ write });
  python.FS.writeFile("run_script.py", await fetchText("./run_script.py"));
  return python.pyimport("run_script");
}

async function runScript() {
  run.disabled = true;
  output.textContent = "";
  try {
    if (!runner) {
      state.textContent = "Starting Python…";
      runner = start();
    }
    const { run: runInPython } = await runner;
    state.textContent = "Running…";
    stop.disabled = false;
    state.textContent = ENDINGS[await runInPython(script.value)];
  } catch (error) {
    runner = null; // another run tries again
    state.textContent = "Python could not be started.";
    output.append(error.message);
  } finally {
    run.disabled = false;
    stop.disabled = true;
  }
}

/** @param {string} address of a file beside this page */
async function fetchText(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address} cannot be fetched (${response.status})`);
  return response.text();
}

async function showSample() {
  script.value = await fetchText(`./${sample.value}.py`);
}

run.addEventListener("click", runScript);
stop.addEventListener("click", async () => (await runner)?.stop());
sample.addEventListener("change", showSample);
script.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !run.disabled) {
    event.preventDefault();
    runScript();
  }
});
await showSample();
