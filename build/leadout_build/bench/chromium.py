"""Runs the engine of the built site in a headless Chromium, for `leadout bench`.

Slow imports happen only when a runtime is opened.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadout_build import DIST
from leadout_build.bench.node import open_running_chromium
from leadout_build.bench.runtime import (
    Loaded,
    OnProgress,
    Runtime,
    Subject,
    raise_named,
    read_build,
    site_versions,
)
from leadout_build.store.model_store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Page, Worker

PROBE = Path(__file__).with_name("probe.mjs")

#: The time between two samples of the heap of Chromium's worker.
SAMPLE_MS = 50

#: Without this flag, Chromium rounds the device's timestamps to 65 us or more.
EXACT_CLOCK = "--disable-dawn-features=timestamp_quantization"

# The code that runs in the page. It holds the engine, and returns values that can be serialised.
_START = """({worker}) => {
  globalThis.bench = {
    worker: new Worker(new URL(worker, location.href), { type: "module", name: "leadout" }),
  };
}"""
# One worker serves every load, so no engine may end it. The client's API has no shapes: `changes`
# replaces fields of the "load" message that the client sends.
_LOAD = """async ({model, drafter, changes, options}) => {
  const events = [];
  const note = (event) => events.push({ ...event, at_ms: Date.now() });
  const worker = {
    postMessage: (message) => {
      if (message.type === "load") {
        message = { ...message, ...changes };
        message.options = { ...message.options, ...options };
      }
      bench.worker.postMessage(message);
    },
    addEventListener: (type, listener) => bench.worker.addEventListener(type, listener),
    terminate: () => {},
  };
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  bench.engine = await Leadout.load({
    model,
    drafter,
    worker,
    onPhase: (phase) => note({ type: "phase", phase }),
    onProgress: (progress) => {
      note({ type: "progress", ...progress });
      leadoutProgress(progress.loaded_bytes, progress.total_bytes);
    },
  });
  return { info: bench.engine.info, events };
}"""


def _settled(script: str) -> str:
    """Return a script that never rejects: it gives {value} or {error}."""
    return (
        f"((args) => ({script})(args).then((value) => ({{ value }}), (error) => "
        "({ error: { name: error.name, message: error.message, detail: error.detail } })))"
    )


# Starts to load. When `bench.isOver` is true, `bench.loading` has the result.
_BEGIN = f"""(args) => {{
  bench.isOver = false;
  bench.loading = {_settled(_LOAD)}(args).finally(() => {{ bench.isOver = true; }});
}}"""
_GENERATE = _settled("({request}) => bench.engine.generate(request)")
_GENERATE_TOGETHER = _settled(
    "({requests}) => Promise.all(requests.map((request) => bench.engine.generate(request)))"
)

# Sends messages that the client has no method for. The client's own ids are small, and it ignores
# answers to other ids.
_ASK = _settled("""(message) => new Promise((resolve, reject) => {
  const id = (bench.lastId = (bench.lastId ?? 1e9) + 1);
  bench.worker.addEventListener("message", function listen({ data }) {
    if (data.id !== id || !["result", "error"].includes(data.type)) return;
    bench.worker.removeEventListener("message", listen);
    if (data.type === "result") resolve(data.value);
    else reject(Object.assign(new Error(data.error.message), data.error));
  });
  bench.worker.postMessage({ ...message, id });
})""")


class ChromiumRuntime:
    """The built site in a headless Chromium; see `open_chromium`."""

    def __init__(
        self,
        page: Page,
        worker_path: str,
        subject: Subject,
        model: str,
        versions: dict[str, str],
    ) -> None:
        self.versions = versions
        self._page = page
        self._worker_path = worker_path
        self._subject = subject
        self._model = model
        self._worker: Worker | None = None
        self._on_progress: OnProgress = lambda loaded, total: None

    def load(
        self,
        on_progress: OnProgress,
        drafter: str,
        options: Mapping[str, object] | None = None,
    ) -> Loaded:
        """Load the subject; see `Runtime`."""
        self._on_progress = on_progress
        if self._worker is None:
            self._start()
        arguments: dict[str, object] = {"model": self._model, "drafter": drafter, "changes": {}}
        if self._subject.is_shape:
            changes = self._subject.load_message(drafter)
            empty = {"name": self._model, "files": []}
            arguments = {"model": empty, "drafter": "none", "changes": changes}
        arguments["options"] = dict(options or {})
        self._page.evaluate(_BEGIN, arguments)
        samples = []
        heap = WorkerHeap(self._page)
        # Sample the heap until the load is over. Then ask the page for the result.
        while not self._page.evaluate("bench.isOver"):
            if used_bytes := heap.used_bytes():
                samples.append((1000 * time.time(), used_bytes))
            self._page.wait_for_timeout(SAMPLE_MS)
        loaded = self._answer("() => bench.loading", {})
        return Loaded(loaded["info"], loaded["events"], samples)

    def generate(self, request: Mapping[str, object]) -> dict[str, Any]:
        """Run one request; see `Runtime`."""
        arguments: dict[str, object] = {"request": dict(request)}
        generated: dict[str, Any] = self._answer(_GENERATE, arguments)
        return generated

    def generate_together(self, requests: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
        """Run requests at once; see `Runtime`."""
        arguments: dict[str, object] = {"requests": [dict(request) for request in requests]}
        generated: list[dict[str, Any]] = self._answer(_GENERATE_TOGETHER, arguments)
        return generated

    def assume(self, ids: list[int]) -> None:
        """Take ids as prefilled; see `Runtime`."""
        self._answer(_ASK, {"type": "assume", "ids": ids})

    def profile(self, request: Mapping[str, object]) -> dict[str, Any]:
        """Profile a pass; see `Runtime`."""
        found: dict[str, Any] = self._answer(_ASK, {"type": "profile", "request": dict(request)})
        return found

    def submits(self) -> int:
        """Count submits; see `Runtime`."""
        return int(self._probe()["submits"])

    def _start(self) -> None:
        self._page.expose_function("leadoutProgress", self._report)
        with self._page.expect_worker() as started:
            self._page.evaluate(_START, {"worker": self._worker_path})
        self._worker = started.value
        self._worker.evaluate(PROBE.read_text("utf-8"))

    def _report(self, loaded_bytes: int, total_bytes: int) -> None:
        self._on_progress(loaded_bytes, total_bytes)

    def _probe(self) -> dict[str, Any]:
        assert self._worker is not None
        found: dict[str, Any] = self._worker.evaluate("() => leadoutProbe()")
        return found

    def _answer(self, script: str, arguments: dict[str, object]) -> Any:
        """Return the value of a settled script, or raise its error."""
        from leadout_build.serving.headless import evaluate

        answer = evaluate(self._page, script, arguments)
        if "error" in answer:
            raise_named(answer["error"])
        return answer["value"]


class WorkerHeap:
    """Reads the size of the JavaScript heap of the page's only worker, over the DevTools protocol.

    `performance.memory` exists only in windows, and does not include a worker's heap.
    """

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._target = ""
        self._used_bytes = 0
        self._session.on("Target.attachedToTarget", self._attached)
        self._session.on("Target.receivedMessageFromTarget", self._received)
        options = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": False}
        self._session.send("Target.setAutoAttach", options)

    def used_bytes(self) -> int:
        """Ask for the heap's size, and return the last answer, because the worker may be busy.

        It is 0 before the first answer. Memory of JavaScript's arrays and of Pyodide counts too.
        """
        if self._target:
            message = json.dumps({"id": 1, "method": "Runtime.getHeapUsage"})
            arguments = {"sessionId": self._target, "message": message}
            self._session.send("Target.sendMessageToTarget", arguments)
        return self._used_bytes

    def _attached(self, event: dict[str, Any]) -> None:
        if event["targetInfo"]["type"] == "worker":
            self._target = event["sessionId"]

    def _received(self, event: dict[str, Any]) -> None:
        found = json.loads(event["message"])
        if "result" in found:  # else it is an event, or the answer of a worker that is starting
            sizes = found["result"]
            self._used_bytes = int(sizes["usedSize"] + sizes["backingStorageSize"])


@contextmanager
def open_chromium(subject: Subject, site: Path = DIST) -> Iterator[Runtime]:
    """Serve the built site to a headless Chromium while the context lasts.

    If LEADOUT_CHROMIUM_PORT is set, it is the debugging port of a Chromium that is running already.
    That one is used instead.

    Args:
        subject: what to load.
        site: the built site.

    Raises:
        LeadoutError: there is no such model or site, or no browser that Playwright can control.
    """
    if port := os.environ.get("LEADOUT_CHROMIUM_PORT"):
        with open_running_chromium(subject, int(port), site) as running:
            yield running
        return
    from leadout_build.serving.headless import BLANK, headless_page, require_playwright, serving
    from leadout_build.serving.server import find_model

    require_playwright()
    model = None if subject.is_shape else subject.name
    name = subject.name if model is None else find_model(Store(), model)[0]
    versions = site_versions(site)
    worker_path = f"{read_build(site)['app']}/worker.js"
    with serving(site, model=model) as url, headless_page(url + BLANK, [EXACT_CLOCK]) as page:
        browser = page.context.browser
        assert browser is not None
        versions["chromium"] = browser.version
        yield ChromiumRuntime(page, worker_path, subject, name, versions)
