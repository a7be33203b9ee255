"""Runs the engine in Node, on Dawn, for `leadout bench` on machines without a browser.

It can also run the engine, through Node, in a browser that is running already. Neither way needs
Playwright or a server.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from leadout.errors import DeviceUnavailableError, LeadoutError
from leadout_build import DIST, ROOT
from leadout_build.bench.runtime import (
    Loaded,
    OnProgress,
    Subject,
    raise_named,
    read_build,
    site_versions,
)
from leadout_build.serving.browser import find_browser, has_gpu

NODE_RUNNER = Path(__file__).with_name("node_runner.mjs")
PAGE_RUNNER = Path(__file__).with_name("page_runner.mjs")
SWIFTSHADER_ICD = "vk_swiftshader_icd.json"

#: How long Node may take to end after its stdin is closed.
NODE_EXIT_S = 10


class RunnerRuntime:
    """The engine in a process of Node; messages of web/messages.js are exchanged, one per line.

    Attributes:
        subject: what `load` loads; it may be replaced between two loads.
    """

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
        self.subject = subject
        self._is_booted = False
        self._last_id = 0

    def load(
        self,
        on_progress: OnProgress,
        drafter: str,
        options: Mapping[str, object] | None = None,
    ) -> Loaded:
        """Load the subject; see `Runtime`."""
        events: list[dict[str, Any]] = []

        def on_event(event: dict[str, Any]) -> None:
            events.append(event)
            if event["type"] == "progress":
                on_progress(event["loaded_bytes"], event["total_bytes"])

        self._boot(on_event)
        info = self._ask(self.subject.load_message(drafter, options), on_event)
        return Loaded(info, events, self._ask({"type": "probe"})["samples"])

    def _boot(self, on_event: Callable[[dict[str, Any]], None] = lambda event: None) -> None:
        if not self._is_booted:
            self.versions |= self._ask({"type": "boot"}, on_event)
            self._is_booted = True

    def forecast(self, drafter: str, options: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Return `Forecast` of web/messages.js for the subject, probe included.

        Args:
            drafter: "none", "mtp" or "ngram".
            options: more of `LoadOptions`.
        """
        self._boot()
        message = {**self.subject.load_message(drafter, options), "type": "estimate"}
        found: dict[str, Any] = self._ask({**message, "probe": True})
        return found

    def run(self, source: str) -> Any:
        """Call a JavaScript function in the page, with the subject's reference; only in Chromium.

        Args:
            source: the function's source, async or not; its return value must be valid JSON.
        """
        self._boot()
        return self._ask({**self.subject.load_message("none"), "type": "run", "source": source})

    def generate(self, request: Mapping[str, object]) -> dict[str, Any]:
        """Run one request; see `Runtime`."""
        generated: dict[str, Any] = self._ask({"type": "generate", "request": dict(request)})
        return generated

    def generate_together(self, requests: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
        """Run requests at once; see `Runtime`."""
        ids = [self._send({"type": "generate", "request": dict(request)}) for request in requests]
        answers: dict[int, dict[str, Any]] = {}
        while len(answers) < len(ids):
            id_, answers[id_] = self._next_answer(lambda event: None)
        return [answers[id_] for id_ in ids]

    def assume(self, ids: list[int]) -> None:
        """Take ids as prefilled; see `Runtime`."""
        self._ask({"type": "assume", "ids": ids})

    def profile(self, request: Mapping[str, object]) -> dict[str, Any]:
        """Profile a pass; see `Runtime`."""
        found: dict[str, Any] = self._ask({"type": "profile", "request": dict(request)})
        return found

    def submits(self) -> int:
        """Count submits; see `Runtime`."""
        return int(self._ask({"type": "probe"})["submits"])

    def _ask(
        self,
        request: dict[str, object],
        on_event: Callable[[dict[str, Any]], None] = lambda event: None,
    ) -> Any:
        self._send(request)
        return self._next_answer(on_event)[1]

    def _send(self, request: dict[str, object]) -> int:
        """Send a request; return its number."""
        assert self._process.stdin is not None
        self._last_id += 1
        try:
            self._process.stdin.write(json.dumps({**request, "id": self._last_id}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        return self._last_id

    def _next_answer(self, on_event: Callable[[dict[str, Any]], None]) -> tuple[int, Any]:
        """Wait for a result; return it with the number of its request."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer["type"] in ("error", "device_lost"):
                raise_named(answer["error"])
            if answer["type"] == "result":
                return answer["id"], answer["value"]
            on_event(answer)
        raise self._ended()

    def _ended(self) -> LeadoutError:
        self._log.seek(0)
        said = [line for line in self._log.read().splitlines() if "Error" in line]
        reason = said[-1] if said else f"exit code {self._process.wait()}"
        return DeviceUnavailableError(f"Node ended: {reason}")


@contextmanager
def open_node(subject: Subject, site: Path = DIST) -> Iterator[RunnerRuntime]:
    """Run Node with the built site's code, until the context ends.

    Args:
        subject: what to load.
        site: the built site.

    Raises:
        LeadoutError: there is no such site, or no Node.
    """
    node = find_node()
    if not (ROOT / "web/node_modules").is_dir():
        raise DeviceUnavailableError(
            "--runtime node needs Leadout's repository after `make setup`: Node's WebGPU lies in "
            "web/node_modules there. Take --runtime chromium."
        )
    app = site.resolve() / read_build(site)["app"]
    command = [node, str(NODE_RUNNER), str(app), str(ROOT / "web")]
    with _runner(command, subject, site, vulkan_environment(os.environ)) as runtime:
        yield runtime


@contextmanager
def open_running_chromium(
    subject: Subject, port: int, site: Path = DIST
) -> Iterator[RunnerRuntime]:
    """Measure in a Chromium that is running already, without Playwright.

    Args:
        subject: what to load.
        port: Chromium's debugging port on this machine.
        site: the built site.

    Raises:
        LeadoutError: there is no such site, or no Node.
    """
    # Node 20 has WebSocket only with this flag.
    command = [find_node(), "--experimental-websocket", str(PAGE_RUNNER), str(port), str(site)]
    with _runner(command, subject, site, os.environ) as runtime:
        yield runtime


def find_node() -> str:
    """Return Node's path.

    Raises:
        DeviceUnavailableError: there is none.
    """
    node = shutil.which("node")
    if node is None:
        raise DeviceUnavailableError("There is no `node` on PATH; install Node.js 20 or later.")
    return node


@contextmanager
def _runner(
    command: list[str], subject: Subject, site: Path, environment: Mapping[str, str]
) -> Iterator[RunnerRuntime]:
    versions = site_versions(site)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
            env=environment,
        )
        try:
            yield RunnerRuntime(process, log, subject, versions)
        finally:
            process.communicate()  # closes stdin, which ends it
            process.wait(NODE_EXIT_S)


def vulkan_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that Dawn needs to find a Vulkan driver.

    If the environment names a driver, or this machine has a GPU, the environment stays as it is.
    Otherwise Chromium's SwiftShader is used, which computes on the CPU.
    """
    found = dict(environment)
    if "VK_DRIVER_FILES" in found or "VK_ICD_FILENAMES" in found or has_gpu():
        return found
    browser = find_browser()
    if browser is None:
        return found
    # The browser of a Linux distribution is a script in bin/; its files are in a folder in lib/.
    for folder in (browser.resolve().parent, browser.parent.parent / "lib" / browser.name):
        if (folder / SWIFTSHADER_ICD).is_file():
            found["VK_DRIVER_FILES"] = str(folder / SWIFTSHADER_ICD)
            paths = [found.get("LD_LIBRARY_PATH", ""), str(folder)]
            found["LD_LIBRARY_PATH"] = os.pathsep.join(path for path in paths if path)
            break
    return found
