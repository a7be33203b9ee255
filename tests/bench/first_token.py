"""Where the time goes from opening a page to the first token, in a headless Chromium.

    .venv/bin/python tests/bench/first_token.py                 # Nano, a prompt of 512 tokens
    .venv/bin/python tests/bench/first_token.py --shape e2b     # made-up weights, no file
    .venv/bin/python tests/bench/first_token.py --page          # the page, to its brief's end

Every visit is a new browser; all of a run share one profile, so that the first visit is cold and
later ones find what it left in the caches (HTTP, compiled JavaScript, WebAssembly and kernels).
Each line is a moment in milliseconds since the page was opened: a phase that the client was told
of, or a mark that the worker set (`performance.mark`); with `--requests` also what the worker
fetched, and when.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, sync_playwright

from leadout_build import DIST
from leadout_build.serving.browser import launch_options
from leadout_build.serving.headless import BLANK, serving
from leadout_build.store.model_store import Store

PATIENCE_MS = 600_000

#: What a page does that uses the library: load, and ask once.
_LOAD_AND_ASK = """async ({ model, drafter, numTokens, maxTokens, vocabulary }) => {
  const moments = [];
  const note = (what) => moments.push([what, performance.now()]);
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  note("client imported");
  const engine = await Leadout.load({
    model, ...(drafter && { drafter }), onPhase: (phase) => note(`phase ${phase}`),
  });
  note("loaded");
  const prompt_ids = Array.from({ length: numTokens }, (_, i) => 3 + ((i * 7919) % vocabulary));
  let first = true;
  const generated = await engine.generate(
    { prompt_ids, max_tokens: maxTokens, ignore_eos: true },
    { onDelta: () => { if (first) note("first text"); first = false; } },
  );
  note("generated");
  const again = await engine.generate({ prompt_ids, max_tokens: maxTokens, ignore_eos: true });
  note("generated again");
  return { moments, info: engine.info, stats: [generated.stats, again.stats] };
}"""

#: A page knows no shapes: what it asks the worker for is changed on the way.
_CHANGE_LOAD = """((changes) => {
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function (message, ...rest) {
    const isLoad = message.type === "load";
    return postMessage.call(this, isLoad ? { ...message, ...changes } : message, ...rest);
  };
})(%s);"""

#: Watches <leadout-chat>, whose state is its phase.
_WATCH_PAGE = """(() => {
  window.moments = [];
  window.finished = new Promise((resolve) => { window.finish = resolve; });
  const note = (what) => moments.push([what, performance.now()]);
  document.addEventListener("DOMContentLoaded", () => {
    const chat = document.querySelector("leadout-chat");
    let last = "", isWriting = false;
    new MutationObserver(() => {
      const { state } = chat.dataset;
      if (state !== last) note(`state ${state}`);
      last = state;
    }).observe(chat, { attributes: true, attributeFilter: ["data-state"] });
    for (const type of ["leadout-delta", "leadout-finish"]) {
      chat.addEventListener(type, () => {
        if (type === "leadout-finish" || !isWriting) note(type);
        isWriting = true;
        if (type === "leadout-finish") finish(moments);
      });
    }
  });
})();"""

_TIMELINE = """() => ({
  origin: performance.timeOrigin,
  marks: performance.getEntriesByType("mark").map(({ name, startTime }) => [name, startTime]),
  requests: performance.getEntriesByType("resource").map(
    ({ name, startTime, responseEnd, transferSize }) =>
      [new URL(name).pathname, startTime, responseEnd, transferSize]),
})"""


def visit(context: BrowserContext, url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Open the page once; return its moments and what the worker fetched."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    if arguments.page:
        page.add_init_script(_WATCH_PAGE)
        page.goto(url)
        moments = page.evaluate("finished")
        seen: dict[str, Any] = {"moments": moments, "info": {}, "stats": []}
    else:
        if arguments.shape:
            part = {"name": arguments.shape, "shape": arguments.shape}
            with_drafter = arguments.drafter != "none"
            changes = {"model": part, "drafter": part if with_drafter else None}
            page.add_init_script(_CHANGE_LOAD % json.dumps(changes))
        page.goto(url + BLANK)
        model = {"name": arguments.shape, "files": []} if arguments.shape else arguments.model
        options = {
            "model": model,
            "drafter": None if arguments.shape else arguments.drafter,
            "numTokens": arguments.tokens,
            "maxTokens": arguments.max_tokens,
            "vocabulary": 1000,
        }
        seen = page.evaluate(_LOAD_AND_ASK, options)
    seen["requests"] = []
    page_origin = page.evaluate("performance.timeOrigin")
    for worker in page.workers:
        found = worker.evaluate(_TIMELINE)
        shift = found["origin"] - page_origin
        seen["moments"] += [[f"  {name}", at + shift] for name, at in found["marks"]]
        seen["requests"] += [
            [name, start + shift, end + shift, size] for name, start, end, size in found["requests"]
        ]
    page.close()
    return seen


def print_visit(number: int, seen: dict[str, Any], with_requests: bool) -> None:
    """Print a visit's moments in order."""
    print(f"\nvisit {number}{' (cold)' if number == 1 else ' (warm)'}")
    lines = [(at, f"{at:9.0f}  {what}") for what, at in seen["moments"]]
    if with_requests:
        lines += [
            (start, f"{start:9.0f}  fetch {name} until {end:.0f} ({size} bytes)")
            for name, start, end, size in seen["requests"]
        ]
    for _, line in sorted(lines):
        print(line)
    for stats in seen["stats"]:
        names = ("load_ms", "prefill_ms", "ttft_ms", "decode_ms", "decode_tokens", "cycles")
        print("  " + ", ".join(f"{name} {stats[name]:.0f}" for name in names))
    if seen["info"]:
        print(f"  self-test {seen['info']['self_test']}, cycles {seen['info'].get('cycle_ms')}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--shape", help="in a model's place: e2b, tiny, …")
    parser.add_argument("--drafter", default="auto", choices=["auto", "none", "mtp", "ngram"])
    parser.add_argument("--page", action="store_true", help="the page, until Nano's brief ends")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--max-tokens", type=int, default=8)
    parser.add_argument("--visits", type=int, default=2)
    parser.add_argument("--requests", action="store_true")
    parser.add_argument("--site", type=Path, default=DIST)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    options = launch_options()
    options["args"].append("--enable-precise-memory-info")
    visits = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        store = Store(Path(folder) / "store") if arguments.model == "nano" else None
        with serving(arguments.site, store=store) as url:
            for number in range(1, 1 + arguments.visits):
                context = playwright.chromium.launch_persistent_context(
                    str(Path(folder) / "profile"), **options
                )
                seen = visit(context, url, arguments)
                visits.append(seen)
                if not arguments.json:
                    print_visit(number, seen, arguments.requests)
                time.sleep(1)  # what is to be kept is written a little later
                context.close()
    if arguments.json:
        print(json.dumps(visits))


if __name__ == "__main__":
    main()
