// Asks web/template/runner.js for several renderings at once, over a worker that answers each after a
// while; prints what came of them. See unit/test_template_js.py.
import { readFileSync } from "node:fs";
import { TemplateRunner } from "../web/template/runner.js";

const { sources, eachMs, maxMs } = JSON.parse(readFileSync(0, "utf8"));

class SlowWorker {
  onmessage = null;

  postMessage({ library, source }) {
    const data = library === undefined ? { text: source } : { ready: true };
    setTimeout(() => this.onmessage?.({ data }), library === undefined ? eachMs : 0);
  }

  terminate() {
    this.onmessage = null;
  }
}

const runner = new TemplateRunner(() => new SlowWorker(), "library");
const rendered = sources.map((source) =>
  runner.render({ source, names: {}, max_chars: 100, max_ms: maxMs }).catch((error) => error.name),
);
process.stdout.write(JSON.stringify(await Promise.all(rendered)));
