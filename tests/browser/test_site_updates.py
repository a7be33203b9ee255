"""The service worker of the site, while the site is built anew: versions are never mixed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from pages import run_in_thread
from playwright.sync_api import Browser, BrowserContext, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from leadout_build import ROOT

TYPES = {"html": "text/html", "js": "text/javascript", "json": "application/json"}

#: Imports what it is told to, and says what that exports.
WORKER = """
onmessage = async ({ data }) => {
  postMessage(await import(data).then((module) => module.default, (error) => error.message));
};
"""

#: Has a worker import a path.
ASK_WORKER = """([worker, path]) => new Promise((resolve) => {
  const running = new Worker(worker, { type: "module" });
  running.onmessage = ({ data }) => resolve(data);
  running.onerror = () => resolve("no worker");
  running.postMessage(path);
})"""


def hashed(version: int, name: str) -> str:
    return f"app-{version}{'0' * 15}/{name}"


def build(version: int) -> dict[str, str]:
    """Return a site whose every file says its version; two have a hash in their address."""
    files = {
        "index.html": f'<title>html {version}</title><script src="page.js"></script>',
        "examples/index.html": f"<!doctype html><title>example {version}</title>",
        "page.js": f'document.title += ", page {version}";',
        "late.js": f"export default {version};",
        hashed(version, "part.js"): f"export default {version};",
        hashed(version, "worker.js"): WORKER,
    }
    listed = {"version": version, "files": dict.fromkeys(files, "")}
    offline = (ROOT / "static/offline.js").read_text("utf-8")
    return {**files, "build.json": json.dumps(listed), "offline.js": offline}


@dataclass
class Site:
    """A static host: what it has, what it fails for, and what it was asked."""

    url: str = ""
    files: dict[str, str] = field(default_factory=lambda: build(1))
    down: str | None = None
    asked: list[str] = field(default_factory=list)
    #: Built anew as soon as this was asked for.
    deploys: dict[str, dict[str, str]] = field(default_factory=dict)

    def answer(self, request: Request) -> Response:
        path = request.path_params["path"]
        path = path if path and not path.endswith("/") else f"{path}index.html"
        self.asked.append(path)
        if self.down is not None and self.down in path:
            return Response("", 503, {"connection": "close"})
        if path not in self.files:
            return Response("", 404)
        found = self.files[path]
        self.files = self.deploys.pop(path, self.files)
        return Response(found, media_type=TYPES[path.rpartition(".")[2]])


@pytest.fixture
def host() -> Iterator[Site]:
    site = Site()
    with run_in_thread(Starlette(routes=[Route("/{path:path}", site.answer)])) as url:
        site.url = url
        yield site


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context()
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, host: Site) -> Page:
    """A page of the first version, which is kept."""
    page = context.new_page()
    page.goto(host.url)
    page.evaluate(
        "navigator.serviceWorker.register('./offline.js').then(() => navigator.serviceWorker.ready)"
    )
    return page


def kept(page: Page) -> list[int]:
    """Return the versions of what is kept whole, once nothing is under way.

    It opens no cache: one that is deleted meanwhile would be made anew.
    """
    found: list[int] = page.evaluate(
        """async () => {
          const versions = [];
          for (const name of await caches.keys()) {
            if (!name.startsWith("leadout-app ")) continue;
            const list = await caches.match("/build.json", { cacheName: name });
            versions.push(list ? (await list.json()).version : -1);
          }
          return versions;
        }"""
    )
    return found


def wait_until_kept(page: Page, versions: list[int]) -> None:
    page.wait_for_timeout(50)
    for _ in range(100):
        if kept(page) == versions:
            return
        page.wait_for_timeout(50)
    assert kept(page) == versions


def offline(context: BrowserContext, page: Page, path: str = "") -> str:
    """Return the title of the page without a connection."""
    context.set_offline(True)
    page.goto(page.url.rsplit("/", 1)[0] + "/" + path)
    title = page.title()
    context.set_offline(False)
    return title


def test_a_new_version_takes_the_place_of_the_old_one(
    context: BrowserContext, page: Page, host: Site
) -> None:
    wait_until_kept(page, [1])
    assert offline(context, page) == "html 1, page 1"
    assert offline(context, page, "examples/") == "example 1"
    host.files = build(2)
    page.goto(host.url)
    assert page.title() == "html 2, page 2"  # at once, not with the next visit
    wait_until_kept(page, [1, 2])
    assert offline(context, page) == "html 2, page 2"
    host.files = build(3)
    page.goto(host.url)
    wait_until_kept(page, [2, 3])  # no page is of the first one


@pytest.mark.parametrize("broken", ["late.js", "build.json"])
def test_an_update_that_breaks_off_changes_nothing(
    context: BrowserContext, page: Page, host: Site, broken: str
) -> None:
    wait_until_kept(page, [1])
    host.files, host.down = build(2), broken
    page.goto(host.url)
    page.wait_for_timeout(300)
    wait_until_kept(page, [1])
    assert offline(context, page) == "html 1, page 1"
    host.down = None
    page.goto(host.url)
    wait_until_kept(page, [1, 2])


def test_a_site_that_is_built_anew_in_the_midst_of_an_update_is_not_kept(
    context: BrowserContext, page: Page, host: Site
) -> None:
    wait_until_kept(page, [1])
    host.files, host.deploys = build(2), {"late.js": build(3)}
    page.goto(host.url)
    page.wait_for_timeout(300)
    assert 2 not in kept(page)
    assert offline(context, page) in ("html 1, page 1", "html 3, page 3")
    page.goto(host.url)
    wait_until_kept(page, [1, 3])


def test_a_page_of_the_site_gets_nothing_of_an_older_version(
    context: BrowserContext, page: Page, host: Site
) -> None:
    wait_until_kept(page, [1])
    host.files, host.down = build(2), "build.json"  # nothing newer can be kept
    page.goto(host.url)
    assert page.title() == "html 2, page 2"
    context.set_offline(True)
    late = page.evaluate("import('./late.js').then((late) => late.default, () => 'failed')")
    assert late == "failed"
    context.set_offline(False)


def test_a_page_that_was_kept_goes_on_with_its_own_version(
    context: BrowserContext, page: Page, host: Site
) -> None:
    wait_until_kept(page, [1])
    assert offline(context, page) == "html 1, page 1"
    host.files = build(2)
    assert page.evaluate("import('./late.js').then((late) => late.default)") == 1
    other = context.new_page()
    other.goto(host.url)
    wait_until_kept(other, [1, 2])
    assert other.evaluate("import('./late.js').then((late) => late.default)") == 2


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("is_stopped", [False, True])
def test_an_older_page_and_its_workers_go_on_after_an_update(
    context: BrowserContext, page: Page, host: Site, is_kept: bool, is_stopped: bool
) -> None:
    wait_until_kept(page, [1])
    if is_kept:
        offline(context, page)
    else:
        page.goto(host.url)
    versions = [1]
    for version in (2, 3):
        host.files = build(version)
        other = context.new_page()
        other.goto(host.url)
        versions.append(version)
        wait_until_kept(other, versions)
    if is_stopped:
        session = context.new_cdp_session(other)
        session.send("ServiceWorker.enable")
        session.send("ServiceWorker.stopAllWorkers")
        page.evaluate("fetch('./build.json').then(() => null)")  # starts it
    context.set_offline(not is_kept)  # a page of the site asks the site first
    ask = [hashed(1, "worker.js"), f"/{hashed(1, 'part.js')}"]
    assert page.evaluate(ASK_WORKER, ask) == 1
    assert page.evaluate(ASK_WORKER, [ask[0], "/late.js"]) == 1
    assert page.evaluate("import('./late.js').then((late) => late.default)") == 1
