"""A page with one worker of the built site, which gets one hostile model after the other."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route

#: By then a hostile file must have its named error, on a machine that does nothing else.
PATIENCE_MS = 5_000
#: A small model is compiled on a CPU, and there the machine may have others' work to do.
LOAD_PATIENCE_MS = 120_000

# One channel to one worker: what comes after a hostile file is answered by the same worker.
_PREPARE = """async () => {
  const { app } = await (await fetch("build.json")).json();
  const at = (path) => new URL(`${app}/${path}`, location.href).href;
  const { Channel } = await import(at("client/channel.js"));
  window.open_ = () => {
    window.channel?.close(new Error("another worker is taken"));
    window.channel = new Channel(new Worker(at("worker.js"), { type: "module" }));
    return channel.request({ type: "boot" });
  };
  await open_();
}"""

#: Before the worker's own code: a clock that can be broken, and takes Python's interpreter with it.
_CLOCK = """
const now = performance.now.bind(performance);
performance.now = () => {
  if (globalThis.isClockBroken) throw new RangeError("the clock is broken");
  return now();
};
"""

_ASK = """async ({ request, files, patienceMs }) => {
  const bytes = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const repeated = ([text, times]) => Array(times).fill(bytes(text));
  const blob = (parts) => new Blob(parts.flatMap(repeated));
  if (request.depth) {
    let deep = [];
    for (let i = 0; i < request.depth; i++) deep = [deep];
    request.request.messages[0].deep = deep;
  }
  if (files) {
    const named = Object.entries(files).map(([name, parts]) => ({ name, file: blob(parts) }));
    request.model = { name: "hostile", files: named };
  }
  const start = performance.now();
  const hang = { name: "Hang", message: `no answer in ${patienceMs} ms` };
  const never = new Promise((_, reject) => setTimeout(reject, patienceMs, hang));
  const end = await Promise.race([channel.request(request), never]).then(
    (value) => ({ value }),
    ({ name, message }) => ({ error: name, message }),
  );
  return { ...end, ms: performance.now() - start, failure: channel.failure?.message ?? null };
}"""

#: What a file is made of: bytes, or bytes and how often they stand there.
Parts = bytes | Sequence[tuple[bytes, int]]


@dataclass(frozen=True)
class Answer:
    """How a request ended.

    Attributes:
        value: the result, or None.
        error: the error's name, or None.
        message: the error's.
        ms: how long it took.
        failure: why the worker can answer no more, or None.
    """

    value: Any
    error: str | None
    message: str
    ms: float
    failure: str | None


class HostilePage:
    """A page of the built site without the widget, and a worker that booted."""

    def __init__(self, page: Page) -> None:
        self.page = page

        def add_clock(route: Route) -> None:
            code = _CLOCK + route.fetch().text()
            route.fulfill(body=code, content_type="text/javascript")

        page.context.route("**/app-*/worker.js", add_clock)
        page.evaluate(_PREPARE)

    def reopen(self) -> None:
        """Take a new worker."""
        self.page.evaluate("open_()")

    def load(self, files: Mapping[str, Parts], patience_ms: float | None = None) -> Answer:
        """Load a model out of files by name."""
        return self._ask(
            {"type": "load", "drafter": None, "options": {}},
            {name: _encoded(parts) for name, parts in files.items()},
            patience_ms,
        )

    def chat(self, content: str, patience_ms: float | None = None) -> Answer:
        """Have the model answer one message."""
        messages = [{"role": "user", "content": content}]
        request = {"messages": messages, "max_tokens": 1}
        return self._ask({"type": "generate", "request": request}, None, patience_ms)

    def kill_python(self) -> None:
        """Have the worker's next look at the clock end Python's interpreter."""
        (worker,) = (w for w in self.page.workers if w.url.endswith("/worker.js"))
        worker.evaluate("globalThis.isClockBroken = true")

    def chat_deep(self, depth: int) -> Answer:
        """Have the model answer a message that holds lists in lists."""
        messages = [{"role": "user", "content": "a"}]
        request = {"type": "generate", "request": {"messages": messages}, "depth": depth}
        return self._ask(request, None, None)

    def tokenize(self, text: str, patience_ms: float | None = None) -> Answer:
        """Have the model's tokenizer encode a text."""
        return self._ask({"type": "tokenize", "text": text}, None, patience_ms)

    def _ask(
        self, request: dict[str, Any], files: Mapping[str, Any] | None, patience_ms: float | None
    ) -> Answer:
        # Of a busy machine this worker gets a part.
        share = max(1, os.getloadavg()[0] / (os.cpu_count() or 1))
        patience_ms = patience_ms or PATIENCE_MS * share
        argument = {"request": request, "files": files, "patienceMs": patience_ms}
        end = self.page.evaluate(_ASK, argument)
        return Answer(
            end.get("value"), end.get("error"), end.get("message", ""), end["ms"], end["failure"]
        )


def _encoded(parts: Parts) -> list[tuple[str, int]]:
    given = [(parts, 1)] if isinstance(parts, bytes) else parts
    return [(base64.b64encode(part).decode(), times) for part, times in given]


def peak_bytes() -> int:
    """Return the most memory that any renderer of this process's browsers ever had."""
    parents = {int(path.name): _status(path) for path in Path("/proc").glob("[0-9]*")}
    peaks = [0]
    for pid, status in parents.items():
        ancestor = pid
        while ancestor in parents and ancestor != os.getpid():
            ancestor = int(parents[ancestor].get("PPid", "0"))
        if ancestor != os.getpid() or "VmHWM" not in status:
            continue
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"--type=renderer" in command:
            peaks.append(1024 * int(status["VmHWM"].split()[0]))
    return max(peaks)


def _status(process: Path) -> dict[str, str]:
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return {}  # it has ended
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)
