"""The built site with a model loaded, as a test drives it: the client's API from Python."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from playwright.sync_api import CDPSession, Page

#: No answer for so long means that none will come.
PATIENCE_MS = 600_000

#: Between two looks at a load under way.
SAMPLE_MS = 50

# `outcome` makes a promise's end plain data; `load` starts a load whose steps can be watched.
_PREPARE = """async (patienceMs) => {
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  window.Leadout = Leadout;
  window.outcome = (promise) => {
    const never = new Promise((_, reject) => {
      setTimeout(() => reject(new Error(`no answer in ${patienceMs} ms`)), patienceMs);
    });
    return Promise.race([promise, never]).then(
      (value) => ({ value }),
      ({ name, message }) => ({ error: { name, message } }),
    );
  };
}"""

_START_LOAD = """(name) => {
  window.load = { phase: "", loaded: 0, total: 0, end: null };
  const loading = Leadout.load({
    model: name,
    onPhase: (phase) => { load.phase = phase; },
    onProgress: ({ loaded_bytes, total_bytes }) => {
      load.loaded = loaded_bytes;
      load.total = total_bytes;
    },
  });
  outcome(loading.then((engine) => { window.engine = engine; return engine.info; })).then(
    (end) => { load.end = end; },
  );
}"""

_SCORE = """async (ids) => {
  const kept = [];
  const toBase64 = (data) => new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.readAsDataURL(new Blob([data]));
  });
  const onLogits = (logits, start) => {
    kept.push(toBase64(logits).then((text) => keepLogits(start, text)));
  };
  const end = await outcome(engine.score(ids, { onLogits }));
  await Promise.all(kept);
  return end;
}"""


class PageError(Exception):
    """What a promise in the page was rejected with.

    Attributes:
        name: the error's name in JavaScript.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


@dataclass(frozen=True)
class LoadSample:
    """A look at a load under way.

    Attributes:
        phase: of the load.
        loaded_bytes: of the weights.
        page_heap_bytes: JavaScript objects and array buffers of the page.
        worker_heap_bytes: the worker's, Pyodide's memory included; 0 before there is a worker.
    """

    phase: str
    loaded_bytes: int
    page_heap_bytes: int
    worker_heap_bytes: int


class HeapMeter:
    """Heap sizes by the DevTools protocol: a worker has no `performance.memory`."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._worker_session: str | None = None
        self._answers: dict[int, dict[str, Any]] = {}
        self._num_sent = 0
        self._session.on("Target.attachedToTarget", self._attached)
        self._session.on("Target.receivedMessageFromTarget", self._received)
        # Not flattened, because Playwright's session can address no other.
        self._session.send(
            "Target.setAutoAttach",
            {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": False},
        )

    def page_bytes(self) -> int:
        """Return the page's heap."""
        return _heap_bytes(self._session.send("Runtime.getHeapUsage"))

    def worker_bytes(self) -> int:
        """Return the worker's heap, 0 before there is one. Waits until the worker has time."""
        if self._worker_session is None:
            return 0
        self._num_sent += 1
        message = {"id": self._num_sent, "method": "Runtime.getHeapUsage"}
        self._session.send(
            "Target.sendMessageToTarget",
            {"sessionId": self._worker_session, "message": json.dumps(message)},
        )
        waited_ms = 0
        while message["id"] not in self._answers:
            self._page.wait_for_timeout(10)
            waited_ms += 10
            assert waited_ms < PATIENCE_MS, "the worker did not tell its heap's size"
        return _heap_bytes(self._answers.pop(self._num_sent)["result"])

    def close(self) -> None:
        """Leave the page and its worker alone from now on."""
        self._session.detach()

    def _attached(self, event: dict[str, Any]) -> None:
        if event["targetInfo"]["type"] == "worker":
            self._worker_session = event["sessionId"]

    def _received(self, event: dict[str, Any]) -> None:
        answer = json.loads(event["message"])
        if "id" in answer:
            self._answers[answer["id"]] = answer


def _heap_bytes(usage: dict[str, Any]) -> int:
    return int(usage["usedSize"] + usage["backingStorageSize"])


class RealModel:
    """A page of the site with one engine in it.

    Attributes:
        page: without widget; `window.engine` is the loaded engine.
        info: `ModelInfo` of web/messages.js.
        load_samples: what was seen while it loaded.
    """

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.load_samples: list[LoadSample] = []
        self._keep_logits: Callable[[int, npt.NDArray[np.float32]], None] | None = None
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.expose_function("keepLogits", self._receive_logits)
        page.evaluate(_PREPARE, PATIENCE_MS)
        self.info: dict[str, Any] = self._load(name)

    def value(self, expression: str, argument: object = None) -> Any:
        """Return what a promise of the page resolves to.

        Args:
            expression: a JavaScript function of `argument` that returns a promise.
            argument: plain data.

        Raises:
            PageError: it was rejected, or nothing came.
        """
        return _value(
            self.page.evaluate(f"(argument) => outcome(({expression})(argument))", argument)
        )

    def generate(self, **request: Any) -> dict[str, Any]:
        """Run a request of web/messages.js that ignores the end of the sequence."""
        fields = {"ignore_eos": True, **request}
        generated: dict[str, Any] = self.value("(request) => engine.generate(request)", fields)
        return generated

    def score(
        self, ids: list[int], keep: Callable[[int, npt.NDArray[np.float32]], None]
    ) -> dict[str, Any]:
        """Score ids; `keep` gets the place of the first row and [rows, vocab_size] logits."""
        self._keep_logits = keep
        scored: dict[str, Any] = _value(self.page.evaluate(_SCORE, ids))
        return scored

    def _receive_logits(self, start: int, text: str) -> None:
        assert self._keep_logits is not None
        logits = np.frombuffer(base64.b64decode(text), np.float32)
        self._keep_logits(start, logits)

    def _load(self, name: str) -> dict[str, Any]:
        heap = HeapMeter(self.page)
        self.page.evaluate(_START_LOAD, name)
        while True:
            load = self.page.evaluate("load")
            if load["end"] is not None:
                break
            self.load_samples.append(
                LoadSample(load["phase"], load["loaded"], heap.page_bytes(), heap.worker_bytes())
            )
            self.page.wait_for_timeout(SAMPLE_MS)
        heap.close()
        info: dict[str, Any] = _value(load["end"])
        return info


def _value(end: dict[str, Any]) -> Any:
    if "error" in end:
        raise PageError(end["error"]["name"], end["error"]["message"])
    return end["value"]
