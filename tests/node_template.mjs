// Renders chat templates with web/template/interpreter.js: one request on stdin. See
// node_template.py.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const request = JSON.parse(readFileSync(0, "utf8"));
const { makeRenderer } = await import(pathToFileURL(request.module).href);
const render = makeRenderer(await import(pathToFileURL(request.library).href));

const answers = request.renderings.map(({ source, names, max_chars }) => {
  try {
    return { text: render(source, names, max_chars, new Date(request.now)) };
  } catch (error) {
    return { error: error.message };
  }
});
process.stdout.write(JSON.stringify(answers));
