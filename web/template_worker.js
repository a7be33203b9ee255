/**
 * The worker that chat templates run in. A template comes with a model and is hostile input; whoever
 * started this ends it when it takes too long (see template/runner.js).
 *
 * Messages: first { library }, the URL of @huggingface/jinja, answered with { ready: true } or
 * { failed }; then { source, names, max_chars }, each answered with { text } or { error }.
 *
 * @module template_worker
 */

import { makeRenderer } from "./template/interpreter.js";

/** @type {ReturnType<typeof makeRenderer> | null} */
let render = null;

addEventListener("message", async ({ data }) => {
  if (render === null) {
    try {
      render = makeRenderer(await import(data.library));
      postMessage({ ready: true });
    } catch (error) {
      postMessage({ failed: String(error) });
    }
    return;
  }
  try {
    postMessage({ text: render(data.source, data.names, data.max_chars) });
  } catch (error) {
    const { name, message } = /** @type {Error} */ (error);
    postMessage({ error: name === "Error" ? message : `${name}: ${message}` });
  }
});
