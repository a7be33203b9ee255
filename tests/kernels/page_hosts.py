"""Where the tests' page runs: in a Chromium, or in Node on Dawn, where there is no browser.

LEADOUT_TEST_RUNTIME=node takes Node, with whatever adapter Dawn finds: that is how the kernels are
tested on a machine with a GPU and nothing else. Tests marked `browser_only` are left out there.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any, Protocol

from page_server import PageServer

from leadout_build import ROOT

#: The longest that one call into the page may take: software rendering is slow.
CALL_TIMEOUT_S = 300

#: Whether the page is in Node.
IS_NODE = os.environ.get("LEADOUT_TEST_RUNTIME") == "node"

NODE_PAGE = Path(__file__).with_name("node_page.mjs")


class PageHost(Protocol):
    """A place that runs harness.js.

    Attributes:
        mistakes: errors that nobody caught.
    """

    mistakes: list[str]

    def evaluate(self, expression: str, argument: object) -> Any:
        """Evaluate JavaScript, a function's with its argument; wait for what it promises."""

    def close(self) -> None:
        """End it."""


def open_host(server: PageServer) -> PageHost:
    """Start the place that LEADOUT_TEST_RUNTIME names."""
    return NodeHost(server) if IS_NODE else ChromiumHost(server)


class ChromiumHost:
    """A page in Chromium.

    It lives in a thread with an event loop of its own, so that tests with and without asyncio can
    use it.
    """

    def __init__(self, server: PageServer) -> None:
        self.mistakes: list[str] = []
        self._url = server.url("/tests/harness.html")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gpu page")
        self._thread.start()
        try:
            self._run(self._open())
        except BaseException:
            self._stop()
            raise

    def _run(self, coroutine: Any) -> Any:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return future.result(CALL_TIMEOUT_S)

    async def _open(self) -> None:
        from playwright.async_api import async_playwright

        from software_chromium import software_options

        self._playwright = await async_playwright().start()
        options = software_options("--expose-gc")  # harness.js collects garbage at will
        self._browser = await self._playwright.chromium.launch(**options)
        self._page = await self._browser.new_page()
        self._page.on("pageerror", lambda error: self.mistakes.append(str(error)))
        await self._page.goto(self._url)
        await self._page.wait_for_function("globalThis.harness !== undefined")

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def evaluate(self, expression: str, argument: object) -> Any:
        return self._run(self._page.evaluate(expression, argument))

    def close(self) -> None:
        async def close() -> None:
            await self._browser.close()
            await self._playwright.stop()

        self._run(close())
        self._stop()


class NodeHost:
    """harness.js in Node; node_page.mjs gives it what it needs of a page."""

    def __init__(self, server: PageServer) -> None:
        from leadout_build.bench.node import find_node, vulkan_environment

        self.mistakes: list[str] = []
        command = [find_node(), "--expose-gc", str(NODE_PAGE), server.url("/"), str(ROOT / "web")]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=vulkan_environment(os.environ),
        )

    def evaluate(self, expression: str, argument: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([expression, argument]) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            answer = json.loads(line)
            if "mistake" in answer:
                self.mistakes.append(answer["mistake"])
                continue
            if "error" in answer:
                raise RuntimeError(answer["error"])
            return answer.get("value")
        raise RuntimeError(f"Node ended with exit code {self._process.wait()}")

    def close(self) -> None:
        self._process.communicate()
