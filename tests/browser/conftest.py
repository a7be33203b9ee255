"""Fixtures of the browser tests: a site, a browser, and pages over the fake worker."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from pages import (
    FAKE_WORKER,
    LISTED_MODELS,
    WITH_ADAPTER,
    WITH_RECORDS,
    Chat,
    OpenPage,
    serve_in_thread,
)
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from leadout_build import ROOT
from leadout_build.serving.browser import launch_options


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A Chromium; WebGPU is not needed here."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options(software=True))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def plain_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a site of static/ and web/ as they lie there, with the server's own headers."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "static", site, dirs_exist_ok=True)
    ignore = shutil.ignore_patterns("node_modules")
    shutil.copytree(ROOT / "web", site / "app-0", ignore=ignore)
    vendor = {"markdown": "dist/browser/markdown-it.esm.min.mjs", "purify": "dist/purify.es.mjs"}
    modules = ROOT / "web/node_modules"
    (site / "vendor-0").mkdir()
    for name, folder in (("markdown", "markdown-it"), ("purify", "dompurify")):
        shutil.copyfile(modules / folder / vendor[name], site / "vendor-0" / f"{name}.js")
    assets = {name: f"../vendor-0/{name}.js" for name in vendor}
    (site / "app-0" / "assets.json").write_text(json.dumps(assets))
    (site / "leadout.js").write_text('export * from "./app-0/index.js";\n')
    (site / "define.js").write_text('export * from "./app-0/widget/leadout-chat-define.js";\n')
    with serve_in_thread(site) as url:
        yield url


@pytest.fixture
def open_page(chromium: Browser, plain_site: str) -> Iterator[OpenPage]:
    """A factory of pages over the fake worker; afterwards no page had an error nobody expected."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_one(
        *,
        text: str = '" Paris."',
        path: str = "",
        init: str = WITH_ADAPTER,
        models: list[dict[str, Any]] | None = None,
        wait_for: str | None = "ready",
        context_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> Chat:
        """Open a page.

        Args:
            text: what the fake model writes, a JavaScript expression (a string, or a function
                of the request).
            path: of the page on the site.
            init: what runs before the page's own scripts.
            models: what the site lists; default LISTED_MODELS.
            wait_for: the widget's state to wait for, or None.
            context_options: for Playwright's `new_context`.
            options: FakeOptions of web/testing.js.
        """
        context = chromium.new_context(**(context_options or {}))
        contexts.append(context)
        context.set_default_timeout(10_000)
        context.add_init_script(WITH_RECORDS + init)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        worker = FAKE_WORKER % {"options": json.dumps(options), "text": text}
        page.route(
            "**/worker.js",
            lambda route: route.fulfill(body=worker, content_type="text/javascript"),
        )
        listed = {"models": LISTED_MODELS if models is None else models}
        page.route("**/models/index.json", lambda route: route.fulfill(json=listed))
        page.goto(plain_site + path)
        chat = Chat(page)
        if wait_for:
            chat.wait_for_state(wait_for)
        return chat

    yield open_one
    violations = [
        violation
        for context in contexts
        for page in context.pages
        for violation in page.evaluate("window.violations")
    ]
    for context in contexts:
        context.close()
    assert errors == []
    assert violations == []
