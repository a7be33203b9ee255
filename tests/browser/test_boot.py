"""Boot and load of the built site with Nano: parts go on beside one another, and fail by name."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import Browsers
from playwright.sync_api import Page, Route

from leadout_build.serving.headless import BLANK, serving
from leadout_build.store.model_store import Store

PATIENCE_MS = 300_000

#: Loads Nano and tells how that ended, and whether anything was told twice or hangs.
_LOAD = """async ({ patienceMs, abortAt }) => {
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  const phases = [];
  const abort = new AbortController();
  const onPhase = (phase) => {
    phases.push(phase);
    if (phase === abortAt) abort.abort();
  };
  const healing = [];
  const onHealing = ({ state, reason }) => {
    if (state !== "loading") healing.push([state, reason.name]);
  };
  const patience = new Promise((_, reject) => setTimeout(reject, patienceMs, new Error("hangs")));
  const loading = Leadout.load({ model: "nano", onPhase, onHealing, signal: abort.signal });
  const end = await Promise.race([loading, patience]).then(
    (engine) => {
      window.engine = engine;
      return { info: engine.info };
    },
    ({ name, message }) => ({ name, message }),
  );
  return { ...end, phases, healing };
}"""

#: Before the worker's own code: the device goes away in the midst of %(when)s.
_LOSING = """
let compiled = 0;
const { requestDevice } = GPUAdapter.prototype;
GPUAdapter.prototype.requestDevice = async function (descriptor) {
  const device = await requestDevice.call(this, descriptor);
  const compile = device.createComputePipelineAsync.bind(device);
  device.createComputePipelineAsync = (descriptor) => {
    if (++compiled === %(pipelines)d) device.destroy();
    return compile(descriptor);
  };
  if (%(pipelines)d === 0) device.destroy();
  return device;
};
"""


@pytest.fixture(scope="module")
def url(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the site is."""
    store = Store(tmp_path_factory.mktemp("store"))
    with serving(site, store=store) as url:
        yield url


@pytest.fixture
def page(browsers: Browsers, url: str) -> Iterator[Page]:
    """A page without the widget that knows nothing of others; afterwards it had no error."""
    errors: list[str] = []
    with browsers.page(url + BLANK) as page:
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
    assert errors == []


def load(page: Page, abort_at: str | None = None) -> dict[str, Any]:
    end: dict[str, Any] = page.evaluate(_LOAD, {"patienceMs": PATIENCE_MS, "abortAt": abort_at})
    return end


def test_parts_of_a_load_begin_while_python_boots(page: Page) -> None:
    end = load(page)
    assert end["phases"] == [
        *("loading_runtime", "loading_package", "loading_weights"),
        *("compiling_kernels", "warming_up", "ready"),
    ]
    assert end["info"]["self_test"] == "identical"
    # Others run templates and hash files.
    (worker,) = [one for one in page.workers if one.url.endswith("/worker.js")]
    fetched, python_runs = worker.evaluate(
        """() => [
          performance.getEntriesByType("resource").map(({ name, startTime }) => [name, startTime]),
          performance.getEntriesByName("leadout: Python runs")[0].startTime,
        ]"""
    )
    early = [name for name, start in fetched if start < python_runs]
    for wanted in ("index.json", "sources.json", "nano.gguf", "nano-assistant.gguf", "leadout-"):
        assert any(wanted in name for name in early), f"{wanted} was fetched late"
    names = [name for name, _ in fetched if "/models/" not in name]
    assert len(names) == len(set(names)), "something was fetched twice"
    # What is drafted with is compiled behind the first answer, and does not change it.
    generate = "(fields) => engine.generate({ prompt: 'BTC', max_tokens: 8, ...fields })"
    tokens = [
        page.evaluate(generate, fields)["tokens"]
        for fields in ({"drafter": "none"}, {}, {"draft_tokens": 3})
    ]
    assert tokens[0] == tokens[1] == tokens[2]


def test_a_file_that_the_site_lacks_is_named(page: Page) -> None:
    for file in ("assets.json", "leadout-*.zip", "kernels/index.json", "kernels/sources.json"):
        page.context.route(f"**/{file}", lambda route: route.fulfill(status=404))
        end = load(page)
        page.context.unroute(f"**/{file}")
        assert end["name"] == "SourceError", file
        assert file.rsplit("/", maxsplit=1)[-1].split("*", maxsplit=1)[0] in end["message"]
        assert "cannot be fetched (status 404)" in end["message"]


def test_a_model_that_is_gone_is_named(page: Page) -> None:
    page.context.route("**/models/nano-assistant/*", lambda route: route.fulfill(status=404))
    end = load(page)
    assert end["name"] == "SourceError"
    assert "nano-assistant.gguf cannot be fetched: the server answered 404" in end["message"]


def lose_devices(page: Page, pipelines: int) -> None:
    """Have devices go away when so many pipelines have been asked for."""

    def lose(route: Route) -> None:
        prelude = _LOSING % {"when": "a load", "pipelines": pipelines}
        body = prelude + route.fetch().text()
        route.fulfill(body=body, content_type="text/javascript")

    page.context.route("**/worker.js", lose)


@pytest.mark.parametrize("pipelines", [0, 12])
def test_a_device_lost_twice_at_any_moment_of_a_load_is_a_named_error(
    page: Page, pipelines: int
) -> None:
    lose_devices(page, pipelines)
    end = load(page)
    assert end["name"] == "DeviceLostError", end
    assert "load the model again" in end["message"]
    assert "Loading had begun again" in end["message"]
    assert end["healing"] == [["started", "DeviceLostError"]]


@pytest.mark.parametrize("phase", ["loading_runtime", "loading_package", "loading_weights"])
def test_an_abort_ends_all(page: Page, phase: str) -> None:
    end = load(page, abort_at=phase)
    assert end["name"] == "AbortError"
    assert end["phases"][-1] == phase
    deadline = time.monotonic() + 5
    while page.workers and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert page.workers == []


def test_pages_cache_what_has_a_hash_and_ask_for_the_rest(page: Page) -> None:
    kept = page.evaluate(
        """async () => {
          const { app, vendor } = await (await fetch("build.json")).json();
          const control = async (path) => (await fetch(path)).headers.get("Cache-Control");
          return Promise.all([
            control(`${app}/assets.json`),
            control(`${vendor}/pyodide/python_stdlib.zip`),
            control("leadout.js"),
          ]);
        }"""
    )
    assert ["immutable" in value for value in kept] == [True, True, False], json.dumps(kept)
