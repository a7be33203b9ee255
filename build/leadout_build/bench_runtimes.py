"""Where `leadout bench` runs the engine: a headless Chromium, or Node on Dawn.

Both run the built site's own code, with bench_probe.mjs in the thread that holds the engine.
Nothing heavy is imported before a runtime is opened: the Node runtime also works where neither
Playwright nor a server is installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from leadout import errors
from leadout.errors import DeviceUnavailableError, LeadoutError, RequestError
from leadout_build import DIST, ROOT
from leadout_build.browser import find_browser, has_gpu
from leadout_build.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Page, Worker

#: Called with the bytes loaded and those in all.
OnProgress = Callable[[int, int], None]

PROBE = Path(__file__).with_name("bench_probe.mjs")
NODE_RUNNER = Path(__file__).with_name("node_runner.mjs")
SWIFTSHADER_ICD = "vk_swiftshader_icd.json"

#: How long Chromium's worker is left alone between two looks at its heap.
SAMPLE_MS = 50

#: How long Node may take to end once nobody talks to it any more.
NODE_EXIT_S = 10


@dataclass(frozen=True)
class Loaded:
    """A load, as it was seen.

    Attributes:
        info: `ModelInfo` of web/messages.js.
        events: its "phase" and "progress" messages, each with `at_ms`.
        samples: [at_ms, bytes] of the JavaScript heap from before the load until its end.
    """

    info: dict[str, Any]
    events: list[dict[str, Any]]
    samples: list[tuple[float, int]]


@dataclass(frozen=True)
class Subject:
    """What is measured: a model, or the shape of one without files.

    Attributes:
        name: the model's name in the store or its path, or the shape's name.
        files: the model's, file name → path; None for a shape.
        drafter_files: those of the drafter beside the model; None where there is none. A shape
            has one always.
    """

    name: str
    files: Mapping[str, Path] | None
    drafter_files: Mapping[str, Path] | None = None

    @property
    def is_shape(self) -> bool:
        """Whether weights are made up."""
        return self.files is None

    @property
    def has_drafter(self) -> bool:
        """Whether it can draft by MTP."""
        return self.is_shape or self.drafter_files is not None

    def load_message(self, drafter: str) -> dict[str, object]:
        """Return the "load" of web/messages.js, without its id.

        Args:
            drafter: "none", "mtp" or "ngram".
        """
        return {
            "type": "load",
            "model": self._ref(self.files),
            "drafter": self._ref(self.drafter_files) if drafter == "mtp" else None,
            "options": {"drafter": drafter},
        }

    def _ref(self, files: Mapping[str, Path] | None) -> dict[str, object]:
        """Return a `ModelRef` or a `ShapeRef`."""
        if self.is_shape:
            return {"name": self.name, "shape": self.name}
        assert files is not None, f"{self.name} has no drafter"
        refs = [{"name": file, "url": path.resolve().as_uri()} for file, path in files.items()]
        return {"name": self.name, "files": refs}


class Runtime(Protocol):
    """An engine somewhere; `versions` is complete once a model is loaded."""

    versions: dict[str, str]

    def load(self, on_progress: OnProgress, drafter: str) -> Loaded:
        """Load what the runtime was opened for, in place of what was loaded before.

        Args:
            on_progress: told of the weights' bytes.
            drafter: "none", "mtp" or "ngram".

        Raises:
            LeadoutError: one of its children, as in `Engine.load`.
        """

    def generate(self, request: Mapping[str, object]) -> dict[str, Any]:
        """Return `Generated` of web/messages.js for a `GenerateRequest`."""

    def submits(self) -> int:
        """Return how many queue submits there were since the start."""


def raise_named(error: Mapping[str, Any]) -> None:
    """Raise an `ErrorMessage` of web/messages.js as the class that it names."""
    kind = getattr(errors, str(error["name"]), LeadoutError)
    is_ours = isinstance(kind, type) and issubclass(kind, LeadoutError)
    raise (kind if is_ours else LeadoutError)(error["message"], **(error.get("detail") or {}))


def read_build(site: Path) -> dict[str, Any]:
    """Return a built site's build.json.

    Raises:
        RequestError: the site was not built.
    """
    try:
        facts: dict[str, Any] = json.loads((site / "build.json").read_text("utf-8"))
    except FileNotFoundError:
        raise RequestError(
            f"There is no built site in {site}. Run `leadout build` first."
        ) from None
    return facts


def site_versions(site: Path) -> dict[str, str]:
    """Return the versions of what a built site carries."""
    facts = read_build(site)
    lock = site / facts["vendor"] / "pyodide/pyodide-lock.json"
    python = json.loads(lock.read_text("utf-8"))["info"]["python"]
    return {"leadout": facts["version"], "pyodide_python": python}


# ---- Chromium -------------------------------------------------------------------------------

# The page's side. It keeps the engine, and gives answers that survive the way out.
_START = """({worker}) => {
  globalThis.bench = {
    worker: new Worker(new URL(worker, location.href), { type: "module", name: "leadout" }),
  };
}"""
# One worker serves every load, so no engine may end it. A page knows no shapes: `changes` has what
# takes the place of what the client asks the worker for.
_LOAD = """async ({model, drafter, changes}) => {
  const events = [];
  const note = (event) => events.push({ ...event, at_ms: Date.now() });
  const worker = {
    postMessage: (message) =>
      bench.worker.postMessage(message.type === "load" ? { ...message, ...changes } : message),
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


# Begins to load; the answer is for whoever asks once it is over.
_BEGIN = f"""(args) => {{
  bench.isOver = false;
  bench.loading = {_settled(_LOAD)}(args).finally(() => {{ bench.isOver = true; }});
}}"""
_GENERATE = _settled("({request}) => bench.engine.generate(request)")


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

    def load(self, on_progress: OnProgress, drafter: str) -> Loaded:
        """Load the subject; see `Runtime`."""
        self._on_progress = on_progress
        if self._worker is None:
            self._start()
        arguments: dict[str, object] = {"model": self._model, "drafter": drafter, "changes": {}}
        if self._subject.is_shape:
            changes = self._subject.load_message(drafter)
            empty = {"name": self._model, "files": []}
            arguments = {"model": empty, "drafter": "none", "changes": changes}
        self._page.evaluate(_BEGIN, arguments)
        samples = []
        heap = WorkerHeap(self._page)
        # The page says what became of the load once it is over; meanwhile the heap is watched.
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
        """Return what a settled script gave, or raise what it failed with."""
        from playwright.sync_api import Error as PlaywrightError

        try:
            answer = self._page.evaluate(script, arguments)
        except PlaywrightError as error:
            raise LeadoutError(f"Chromium: {error.message.splitlines()[0]}") from error
        if "error" in answer:
            raise_named(answer["error"])
        return answer["value"]


class WorkerHeap:
    """The JavaScript heap of the page's one worker, over the DevTools protocol.

    `performance.memory` is a window's, and knows nothing of a worker's heap.
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
        """Ask for the heap's size, and return the last answer: the worker may be busy.

        0 until there is one. What memory JavaScript's arrays and Pyodide's own take is counted in.
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
        if "result" in found:  # and not an event, or the answer of a worker that just starts
            sizes = found["result"]
            self._used_bytes = int(sizes["usedSize"] + sizes["backingStorageSize"])


@contextmanager
def open_chromium(subject: Subject, site: Path = DIST) -> Iterator[ChromiumRuntime]:
    """Serve the built site to a headless Chromium while the context lasts.

    Args:
        subject: what to load.
        site: the built site.

    Raises:
        LeadoutError: there is no such model, site or browser.
    """
    from leadout_build.headless import BLANK, headless_page, serving
    from leadout_build.serve import find_model

    model = None if subject.is_shape else subject.name
    name = subject.name if model is None else find_model(Store(), model)[0]
    versions = site_versions(site)
    worker_path = f"{read_build(site)['app']}/worker.js"
    with serving(site, model=model) as url, headless_page(url + BLANK) as page:
        browser = page.context.browser
        assert browser is not None
        versions["chromium"] = browser.version
        yield ChromiumRuntime(page, worker_path, subject, name, versions)


# ---- Node -----------------------------------------------------------------------------------


class NodeRuntime:
    """The engine in a process of Node; see `open_node`."""

    def __init__(
        self,
        process: subprocess.Popen[str],
        log: IO[str],
        subject: Subject,
        versions: dict[str, str],
    ) -> None:
        self.versions = versions
        self._process = process
        self._log = log
        self._subject = subject
        self._is_booted = False
        self._last_id = 0

    def load(self, on_progress: OnProgress, drafter: str) -> Loaded:
        """Load the subject; see `Runtime`."""
        events: list[dict[str, Any]] = []

        def on_event(event: dict[str, Any]) -> None:
            events.append(event)
            if event["type"] == "progress":
                on_progress(event["loaded_bytes"], event["total_bytes"])

        if not self._is_booted:
            self.versions |= self._ask({"type": "boot"}, on_event)
            self._is_booted = True
        info = self._ask(self._subject.load_message(drafter), on_event)
        return Loaded(info, events, self._ask({"type": "probe"})["samples"])

    def generate(self, request: Mapping[str, object]) -> dict[str, Any]:
        """Run one request; see `Runtime`."""
        generated: dict[str, Any] = self._ask({"type": "generate", "request": dict(request)})
        return generated

    def submits(self) -> int:
        """Count submits; see `Runtime`."""
        return int(self._ask({"type": "probe"})["submits"])

    def _ask(
        self,
        request: dict[str, object],
        on_event: Callable[[dict[str, Any]], None] = lambda event: None,
    ) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._last_id += 1
        try:
            self._process.stdin.write(json.dumps({**request, "id": self._last_id}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer["type"] in ("error", "device_lost"):
                raise_named(answer["error"])
            if answer["type"] == "result":
                return answer["value"]
            on_event(answer)
        raise self._ended()

    def _ended(self) -> LeadoutError:
        self._log.seek(0)
        said = [line for line in self._log.read().splitlines() if "Error" in line]
        reason = said[-1] if said else f"exit code {self._process.wait()}"
        return DeviceUnavailableError(f"Node ended: {reason}")


@contextmanager
def open_node(subject: Subject, site: Path = DIST) -> Iterator[NodeRuntime]:
    """Start Node with the built site's code while the context lasts.

    Args:
        subject: what to load.
        site: the built site.

    Raises:
        LeadoutError: there is no such site, or no Node.
    """
    node = shutil.which("node")
    if node is None:
        raise DeviceUnavailableError("There is no `node` on PATH; install Node.js 20 or later.")
    if not (ROOT / "web/node_modules").is_dir():
        raise DeviceUnavailableError(
            "--runtime node needs Leadout's repository after `make setup`: Node's WebGPU lies in "
            "web/node_modules there. Take --runtime chromium."
        )
    app = site.resolve() / read_build(site)["app"]
    versions = site_versions(site)
    command = [node, str(NODE_RUNNER), str(app), str(ROOT / "web")]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
            env=vulkan_environment(os.environ),
        )
        try:
            yield NodeRuntime(process, log, subject, versions)
        finally:
            process.communicate()  # closes stdin, which ends it
            process.wait(NODE_EXIT_S)


def vulkan_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that Dawn needs to find a Vulkan driver.

    A driver that the environment names, or a GPU of this machine, is used as it is; else the
    SwiftShader that a Chromium brings along renders on the CPU.
    """
    found = dict(environment)
    if "VK_DRIVER_FILES" in found or "VK_ICD_FILENAMES" in found or has_gpu():
        return found
    browser = find_browser()
    if browser is None:
        return found
    # A distribution's browser is a script in bin/ for a folder in lib/.
    for folder in (browser.resolve().parent, browser.parent.parent / "lib" / browser.name):
        if (folder / SWIFTSHADER_ICD).is_file():
            found["VK_DRIVER_FILES"] = str(folder / SWIFTSHADER_ICD)
            paths = [found.get("LD_LIBRARY_PATH", ""), str(folder)]
            found["LD_LIBRARY_PATH"] = os.pathsep.join(path for path in paths if path)
            break
    return found
