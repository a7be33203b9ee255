"""The Playwright driver and the Chromium that files of one worker share.

To start both and to open a first page takes two seconds of CPU time. Tests are kept apart by
contexts: each has a storage of its own, and ends with its test or file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kept_page import KeptPage
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from software_chromium import engine_options, software_options


class Browsers:
    """Browsers of one Playwright driver, which starts at once.

    Until `end`, the driver has an event loop running in this thread: asyncio refuses to run
    another one here.
    """

    def __init__(self) -> None:
        self._playwright: Playwright = sync_playwright().start()
        self._shared: dict[str, Browser] = {}
        self._kept_page: KeptPage | None = None

    def end(self) -> None:
        """End the driver, and all browsers with it."""
        for browser in self._shared.values():
            browser.close()
        self._playwright.stop()

    @property
    def software(self) -> Browser:
        """The shared Chromium, which computes on the CPU."""
        return self._share(software_options())

    @property
    def engine(self) -> Browser:
        """The shared Chromium for pages that load a real model; without a GPU, the same one."""
        return self._share(engine_options())

    def kept_page(self, url: str) -> KeptPage:
        """Return the tab that stays, for the site of pages over the fake worker.

        It is another one after a test that left it in a state in which it cannot be cleared.
        """
        kept, browser = self._kept_page, self.software
        if kept is None or not kept.is_clean or kept.context.browser != browser:
            self._kept_page = kept = KeptPage(browser.new_context(), url)
        return kept

    @contextmanager
    def page(self, url: str) -> Iterator[Page]:
        """Open a URL in a new context of `engine`, where a page may take its time."""
        with self.engine.new_context() as context:
            yield _open(context, url)

    @contextmanager
    def own_page(self, url: str, extra_args: Sequence[str] = ()) -> Iterator[Page]:
        """Open a URL in a Chromium of its own, for tests that harm or measure its processes."""
        options = engine_options()
        browser = self._launch({**options, "args": [*options["args"], *extra_args]})
        try:
            yield _open(browser, url)
        finally:
            browser.close()

    def _launch(self, options: dict[str, Any]) -> Browser:
        return self._playwright.chromium.launch(**options)

    def _share(self, options: dict[str, Any]) -> Browser:
        key = json.dumps(options)
        if key not in self._shared or not self._shared[key].is_connected():
            self._shared[key] = self._launch(options)
        return self._shared[key]


def _open(where: Browser | BrowserContext, url: str) -> Page:
    page = where.new_page()
    page.set_default_timeout(0)
    page.goto(url)
    return page
