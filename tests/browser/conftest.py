"""Fixtures of the browser tests: a site, a browser, and pages over the fake worker."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pages import (
    FAKE_WORKER,
    LISTED_MODELS,
    WITH_ADAPTER,
    WITH_RECORDS,
    Chat,
    OpenPage,
    run_in_thread,
    site_app,
)
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from stand_ins import StandIns

from leadout_build import ROOT
from leadout_build.serving.browser import launch_options


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A Chromium; WebGPU is not needed here."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options(software=True))
        yield browser
        browser.close()


#: Folders as the build names them, so that a browser keeps their files from test to test.
APP, VENDOR = "app-00000000", "vendor-00000000"


@dataclass(frozen=True)
class PlainSite:
    """A site of static/ and web/ as they lie there, with the server's own headers.

    Attributes:
        url: of its page.
        stand_ins: what it answers instead of its own files, to some.
    """

    url: str
    stand_ins: StandIns


@pytest.fixture(scope="module")
def plain_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainSite]:
    """The site of pages over the fake worker."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "static", site, dirs_exist_ok=True)
    ignore = shutil.ignore_patterns("node_modules")
    shutil.copytree(ROOT / "web", site / APP, ignore=ignore)
    vendor = {"markdown": "dist/browser/markdown-it.esm.min.mjs", "purify": "dist/purify.es.mjs"}
    modules = ROOT / "web/node_modules"
    (site / VENDOR).mkdir()
    for name, folder in (("markdown", "markdown-it"), ("purify", "dompurify")):
        shutil.copyfile(modules / folder / vendor[name], site / VENDOR / f"{name}.js")
    assets = {name: f"../{VENDOR}/{name}.js" for name in vendor}
    (site / APP / "assets.json").write_text(json.dumps(assets))
    (site / "leadout.js").write_text(f'export * from "./{APP}/index.js";\n')
    (site / "define.js").write_text(f'export * from "./{APP}/widget/leadout-chat-define.js";\n')
    (site / "python.js").write_text(f'export * from "./{APP}/own_pyodide.js";\n')
    stand_ins = StandIns(site_app(site))
    with run_in_thread(stand_ins) as url:
        yield PlainSite(url, stand_ins)


@pytest.fixture(scope="module")
def kept_context(chromium: Browser) -> Iterator[BrowserContext]:
    """A context for the first page of each test that wants nothing special of it.

    It keeps files of the site, and what is compiled of them, which is a good part of what opening
    a page takes. What a test leaves is deleted after it.
    """
    with chromium.new_context() as context:
        context.add_init_script(WITH_RECORDS + WITH_ADAPTER)
        yield context


def close_pages(context: BrowserContext, url: str) -> None:
    """Close a context's pages, and delete all that they have written."""
    page = context.new_page()
    page.goto(url + "icon.svg")
    for other in context.pages:
        if other != page:
            other.close()
    origin = {"origin": url.rstrip("/"), "storageTypes": "all"}
    context.new_cdp_session(page).send("Storage.clearDataForOrigin", origin)
    context.unroute_all()
    context.clear_permissions()
    context.clear_cookies()
    page.close()


@pytest.fixture
def open_page(
    chromium: Browser, plain_site: PlainSite, kept_context: BrowserContext
) -> Iterator[OpenPage]:
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
        is_usual = not context_options and init == WITH_ADAPTER
        if is_usual and kept_context not in contexts:
            context = kept_context
        else:
            context = chromium.new_context(**(context_options or {}))
            context.add_init_script(WITH_RECORDS + init)
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        worker = FAKE_WORKER % {"options": json.dumps(options), "text": text}
        listed = {"models": LISTED_MODELS if models is None else models}
        answers = {
            "/worker.js": (worker, "text/javascript"),
            "/models/index.json": (json.dumps(listed), "application/json"),
        }
        plain_site.stand_ins.give(context, plain_site.url, answers)
        page.goto(plain_site.url + path)
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
        if context == kept_context:
            close_pages(context, plain_site.url)
        else:
            context.close()
    assert errors == []
    assert violations == []
