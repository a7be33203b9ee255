"""Fixtures of the browser tests: a site, a browser, and pages over the fake worker."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from browsers import Browsers
from built_examples import build_examples
from kept_page import KeptPage
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
from playwright.sync_api import Browser, BrowserContext
from stand_ins import StandIns
from store_tab import Tab

import parallel
from leadout_build import ROOT

#: Of this folder, while tests in it run.
BROWSERS = pytest.StashKey[Browsers]()


@pytest.fixture(scope="module")
def browsers(request: pytest.FixtureRequest) -> Browsers:
    """What all browsers come from.

    It ends as soon as the next test is one of another folder, which may want asyncio.
    """
    folder = request.node.getparent(pytest.Directory)
    if BROWSERS not in folder.stash:
        folder.stash[BROWSERS] = Browsers()

        def end() -> None:
            browsers = folder.stash[BROWSERS]
            del folder.stash[BROWSERS]
            browsers.end()

        folder.addfinalizer(end)
    return folder.stash[BROWSERS]


@pytest.fixture(scope="module")
def chromium(browsers: Browsers) -> Browser:
    """The shared Chromium. Who wants WebGPU gets it on the CPU."""
    return browsers.software


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


@pytest.fixture(scope="session")
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
    (site / "define.js").write_text(f'export * from "./{APP}/widget/define.js";\n')
    (site / "python.js").write_text(f'export * from "./{APP}/own_pyodide.js";\n')
    stand_ins = StandIns(site_app(site))
    with run_in_thread(stand_ins) as url:
        yield PlainSite(url, stand_ins)


@pytest.fixture
def kept_page(browsers: Browsers, plain_site: PlainSite) -> KeptPage:
    """The page that tests share, one after the other."""
    return browsers.kept_page(plain_site.url)


@pytest.fixture
def open_page(chromium: Browser, plain_site: PlainSite, kept_page: KeptPage) -> Iterator[OpenPage]:
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
            context_options: for Playwright's `new_context`; with any, even none, the page is a new
                one, which a test may change as it likes.
            options: FakeOptions of web/testing.js.
        """
        is_usual = context_options is None and init == WITH_ADAPTER
        if is_usual and kept_page.context not in contexts:
            context, page = kept_page.context, kept_page.take(errors)
        else:
            context = chromium.new_context(**(context_options or {}))
            context.add_init_script(WITH_RECORDS + init)
            page = context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
        contexts.append(context)
        context.set_default_timeout(10_000)
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
        if context == kept_page.context:
            kept_page.clear()
        else:
            context.close()
    assert errors == []
    assert violations == []


@pytest.fixture(scope="session")
def examples(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """web/examples/, built with the packed package: the project's folder."""
    with parallel.shared_folder(tmp_path_factory) as folder:
        project = folder / "examples/project"
        return project if project.exists() else build_examples(packed, project.parent)


@pytest.fixture
def profile(chromium: Browser) -> Iterator[BrowserContext]:
    """A profile of its own, with an empty store."""
    context = chromium.new_context()
    context.add_init_script(WITH_RECORDS + WITH_ADAPTER)
    yield context
    context.close()


@pytest.fixture
def open_tab(profile: BrowserContext, site: str) -> Callable[[], Tab]:
    """Opens tabs on a file's `site` of `serve_store_site`."""

    def open_one() -> Tab:
        page = profile.new_page()
        page.goto(site + "blank.html")
        return Tab(page)

    return open_one


@pytest.fixture
def tab(open_tab: Callable[[], Tab]) -> Tab:
    return open_tab()
