"""Models by their names on a hub: what is listed, chosen, refused and read, in a real Chromium."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pages import serve_in_thread
from playwright.sync_api import Browser, Page

from fake_hub import COMMIT, REPO, TOKEN, FakeHub, serve_hub
from leadout_build import ROOT

#: Large enough for several ranges.
GGUF = bytes(range(256)) * 4096

Ask = Callable[..., Any]

_RESOLVE = """async ([name, options]) => {
  const { resolveModel } = await importApp("hub/resolve.js");
  return resolveModel(name, { retryMs: 5, ...options }).then(
    (model) => ({ model }),
    ({ name, message }) => ({ error: `${name}: ${message}` }),
  );
}"""

_READ = """async ([url, options, reads]) => {
  const { UrlSource } = await importApp("runtime/sources.js");
  const source = new UrlSource(url, { retryMs: 5, ...options });
  try {
    const size = await source.size();
    const sums = [];
    for (const [offset, length] of reads) {
      sums.push(btoa(String.fromCharCode(...(await source.read(offset, length)))));
    }
    return { size, sums };
  } catch ({ name, message }) {
    return { error: `${name}: ${message}` };
  } finally {
    source.close();
  }
}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeHub, str]]:
    """A hub, and the URL of a site whose policy lets its page ask it."""
    site = tmp_path_factory.mktemp("site")
    ignore = shutil.ignore_patterns("node_modules")
    shutil.copytree(ROOT / "static", site, dirs_exist_ok=True)
    shutil.copytree(ROOT / "web", site / "app-0", ignore=ignore)
    (site / "leadout.js").write_text('export * from "./app-0/index.js";\n')
    (site / "define.js").write_text('export * from "./app-0/widget/leadout-chat-define.js";\n')
    hub = FakeHub({})
    with serve_hub(hub), serve_in_thread(site, [hub.endpoint, hub.other_host]) as url:
        yield hub, url


@pytest.fixture
def hub(served: tuple[FakeHub, str]) -> FakeHub:
    """The hub, with one GGUF and nothing wrong."""
    hub, _ = served
    endpoint, other_host = hub.endpoint, hub.other_host
    hub.__init__({"tiny.gguf": GGUF})  # type: ignore[misc]
    hub.endpoint, hub.other_host = endpoint, other_host
    return hub


@pytest.fixture(scope="module")
def page(chromium: Browser, served: tuple[FakeHub, str]) -> Iterator[Page]:
    """A page of the site that loads nothing by itself."""
    page = chromium.new_page()
    page.goto(served[1] + "icon.svg")
    page.evaluate("() => { window.importApp = (path) => import(`/app-0/${path}`); }")
    yield page
    page.close()


@pytest.fixture
def resolve(hub: FakeHub, page: Page) -> Ask:
    """Look a name up at the hub; {"model"} or {"error"}."""

    def ask(name: str, **options: Any) -> Any:
        return page.evaluate(_RESOLVE, [name, {"host": hub.endpoint, "known": [], **options}])

    return ask


def test_the_only_gguf_is_found_with_its_size_hash_and_commit(hub: FakeHub, resolve: Ask) -> None:
    assert resolve(f"hf:{REPO}")["model"] == {
        "name": "tiny",
        "repo": REPO,
        "revision": COMMIT,
        "host": hub.endpoint,
        "files": [
            {
                "name": "tiny.gguf",
                "url": f"{hub.endpoint}/{REPO}/resolve/{COMMIT}/tiny.gguf",
                "size": len(GGUF),
                "sha256": hashlib.sha256(GGUF).hexdigest(),
            }
        ],
        "drafter": None,
    }


def test_a_file_is_read_in_ranges_from_where_the_hub_leads(hub: FakeHub, page: Page) -> None:
    url = f"{hub.endpoint}/{REPO}/resolve/{COMMIT}/tiny.gguf"
    hub.private = {REPO}
    hub.num_cuts = 1
    end = len(GGUF) - 16
    read = page.evaluate(_READ, [url, {"size": len(GGUF), "token": TOKEN}, [[0, 16], [end, 16]]])
    assert read["size"] == len(GGUF)
    assert len(set(read["sums"])) == 2
    others = [seen for seen in hub.seen if seen.path.startswith("/lfs/")]
    assert {seen.host for seen in others} == {hub.other_host.removeprefix("http://")}
    assert all(seen.range is not None for seen in others)
    # The token is the hub's alone.
    assert {seen.authorization for seen in others} == {None}
    assert {seen.authorization for seen in hub.seen if seen not in others} == {f"Bearer {TOKEN}"}
