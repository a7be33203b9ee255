"""The page as a test sees it: a site, a browser, a worker that is not there, and the widget.

The fake worker is web/testing.js behind the address of web/worker.js: the browser fetches the
site's own page, client and widget, and only the worker's script is answered by the test.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import Locator, Page
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from leadout_build.serving.connections import server_config
from leadout_build.serving.server import create_app
from leadout_build.store.model_store import Store

#: What the site says it serves; the fake worker never fetches it.
LISTED_MODELS = [
    {
        "name": "gemma3-270m",
        "default": True,
        "bytes": 253_000_000,
        "files": [{"name": "model.gguf", "bytes": 253_000_000, "sha256": None}],
    },
    {
        "name": "gemma3-1b-it",
        "default": False,
        "bytes": 806_000_000,
        "files": [{"name": "model.gguf", "bytes": 806_000_000, "sha256": None}],
    },
]

#: The same, with a model before them that has a drafter.
LISTED_WITH_DRAFTER = [
    {
        "name": "target",
        "default": True,
        "bytes": 2_600_000_000,
        "files": [{"name": "t.gguf", "bytes": 2_600_000_000, "sha256": None}],
        "drafter": {
            "name": "target-assistant",
            "bytes": 155_000_000,
            "files": [{"name": "d.gguf", "bytes": 155_000_000, "sha256": None}],
        },
    },
    *({**model, "default": False, "drafter": None} for model in LISTED_MODELS),
]

#: What ships in the box, as the site lists it; with it the page is a desk.
LISTED_NANO = {
    "name": "nano",
    "default": True,
    "bytes": 12_650_000,
    "files": [{"name": "nano.gguf", "bytes": 12_650_000, "sha256": None}],
    "drafter": {
        "name": "nano-assistant",
        "bytes": 1_670_000,
        "files": [{"name": "nano-assistant.gguf", "bytes": 1_670_000, "sha256": None}],
    },
}

#: Takes the place of web/worker.js. Options are JSON, but for `text`, a JavaScript expression.
FAKE_WORKER = """
import { createFakeBackend } from "./testing.js";
const received = new BroadcastChannel("received");
const crash = () => setTimeout(() => { throw new Error("the fake worker crashed"); });
const options = Object.assign(%(options)s, { text: %(text)s });
const receive = createFakeBackend((message) => postMessage(message), options, crash);
addEventListener("message", ({ data }) => {
  received.postMessage(JSON.parse(JSON.stringify(data)));
  receive(data);
});
"""

#: Stands for an adapter, so that these tests need no GPU and no software renderer.
WITH_ADAPTER = """
Object.defineProperty(Navigator.prototype, "gpu", {
  configurable: true, get: () => ({ requestAdapter: async () => ({}) }),
});
"""
WITHOUT_ADAPTER = WITH_ADAPTER.replace("({})", "null")
WITHOUT_WEBGPU = """
Object.defineProperty(Navigator.prototype, "gpu", { configurable: true, get: () => undefined });
"""

#: Keeps what the fake worker received, and what a strict policy refused; importApp gives a
#: module of web/, whatever its folder's name on this site.
WITH_RECORDS = """
window.importApp = async (path) => {
  const entry = await (await fetch("/leadout.js")).text();
  return import(`/${entry.match(/app-[^/]+/)[0]}/${path}`);
};
window.received = [];
window.violations = [];
new BroadcastChannel("received").onmessage = ({ data }) => window.received.push(data);
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


class Chat:
    """The widget on a page, by what a person finds there."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.element: Locator = page.locator("leadout-chat")
        self.text_area: Locator = page.get_by_role("textbox", name="Text", exact=True)
        self.send: Locator = page.locator("[part=send]")
        self.stop: Locator = page.locator("[part=stop]")
        self.status: Locator = page.locator("[part=status]")
        self.notice: Locator = page.locator("[part=notice]")
        self.loading: Locator = page.locator("[part=loading]")

    def wait_for_state(self, state: str, timeout_ms: float = 10_000) -> None:
        """Wait until `data-state` is this."""
        self.page.wait_for_selector(f'leadout-chat[data-state="{state}"]', timeout=timeout_ms)

    def value(self, expression: str) -> Any:
        """Return what an expression over the element (`chat`) gives."""
        return self.element.evaluate(f"chat => {expression}")

    def wait_until(self, expression: str) -> None:
        """Wait until an expression over the element (`chat`) is true.

        Playwright's own wait_for_function evaluates strings in the page, which the site's
        policy forbids.
        """
        deadline = time.monotonic() + 10
        while not self.value(expression):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.02)

    def figure(self, name: str) -> str:
        """Return one of the figures as it is shown."""
        return self.page.locator(f'[data-figure="{name}"]').inner_text()

    def write(self, text: str) -> None:
        """Fill the text area and have the model go on, by mouse."""
        self.text_area.fill(text)
        self.send.click()

    def wait_for_loads(self, count: int) -> list[dict[str, Any]]:
        """Wait until the fake worker was asked for so many loads, and return the requests."""
        self.wait_until(f"received.filter((message) => message.type === 'load').length === {count}")
        return self.received("load")

    def received(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages of a type that the fake worker received."""
        return [
            message for message in self.page.evaluate("window.received") if message["type"] == kind
        ]


OpenPage = Callable[..., Chat]


class run_in_thread:  # noqa: N801 - reads as the verb it is
    """Serve an application on a free port while the context is open; gives the URL."""

    def __init__(self, app: ASGIApp) -> None:
        self._server = uvicorn.Server(server_config(app, port=0))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < deadline, "the test's server did not start"
            time.sleep(0.01)
        host, port = self._server.servers[0].sockets[0].getsockname()[:2]
        return f"http://{host}:{port}/"

    def __exit__(self, *_error: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)


def site_app(site: Path, allow_origins: Sequence[str] = ()) -> ASGIApp:
    """Return what serves a folder as `leadout serve` does, without a store."""
    return create_app(site, Store(site / "no-store"), allow_origins=allow_origins)


def serve_in_thread(site: Path, allow_origins: Sequence[str] = ()) -> run_in_thread:
    """Serve a folder as `leadout serve` does, without a store."""
    return run_in_thread(site_app(site, allow_origins))


def static_host(site: Path) -> run_in_thread:
    """Serve a folder as any static host does: no header of ours."""
    pages = Mount("/", StaticFiles(directory=site, html=True))
    return run_in_thread(Starlette(routes=[pages]))  # which answers 404, where StaticFiles raises
