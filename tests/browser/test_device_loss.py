"""Real losses, in the midst of streams and of loads: GPU process, worker, a frozen tab.

Streams go on with the same ids; loads begin once again, with what the store has by then.

The GPU process is ended by Chromium itself; every device of every page is lost with it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import Browsers
from playwright.sync_api import Page

from flaky_server import FlakyFile, FlakyServer, flaky_server
from leadout_build.serving.headless import BLANK, serving
from leadout_build.store.built_in import built_in_models
from leadout_build.store.model_store import Store
from thoroughness import IS_THOROUGH

#: Chromium gives up on the GPU after a few such crashes, and on a page that may have caused them.
FLAGS = ("--disable-gpu-process-crash-limit", "--disable-domain-blocking-for-3d-apis")

#: Prefilled in a pass of 64 rows, or of 32 where most of it is so already: undisturbed texts find
#: it that way, and an engine that comes back does not.
PROMPT = "BTC fell by 3.2 % this week and ETH rose by 1.1 %, while SOL did not move."

MAX_TOKENS = 48

#: For a load without a GPU, on a machine that other work shares.
PATIENCE_MS = 300_000

REQUESTS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sampled": {"temperature": 0.9, "top_p": 0.95, "repetition_penalty": 1.1, "seed": 7},
}

#: What drafts, and of which load.
DRAFTING: dict[str, tuple[str, dict[str, Any]]] = {
    "mtp": ("auto", {"draft_tokens": 3}),
    "auto": ("auto", {}),
    "plain": ("auto", {"drafter": "none"}),
    "ngram": ("ngram", {"draft_tokens": 3}),
}

Case = tuple[str, str, str, int]

#: How it fails, sampling, drafting, and after how many tokens: what every commit checks.
CASES: list[Case] = [
    ("gpu", "sampled", "mtp", 10),
    ("worker", "greedy", "auto", 12),
]

NUM_LOSSES = 50


def cases() -> list[Case]:
    """Return what is checked; with all, real losses at random places, by drafter."""
    if not IS_THOROUGH:
        return CASES
    chosen = random.Random(1)
    others: list[Case] = [("frozen", "greedy", "plain", 12)]
    losses: list[Case] = [
        (
            "gpu",
            chosen.choice(list(REQUESTS)),
            "ngram" if number >= NUM_LOSSES // 2 else chosen.choice(["mtp", "auto", "plain"]),
            chosen.randint(1, MAX_TOKENS // 2),
        )
        for number in range(NUM_LOSSES)
    ]
    return CASES + others + losses


#: When a load is to fail, and how: what every commit checks, and with all, every phase.
FAILING_LOADS = [("gpu", "loading_weights"), ("worker", "warming_up")]
if IS_THOROUGH:
    FAILING_LOADS = [
        (kind, phase)
        for kind in ("gpu", "worker")
        for phase in (
            *("loading_runtime", "loading_package", "loading_weights"),
            *("compiling_kernels", "warming_up"),
        )
    ]

_LOAD = """async (drafter) => {
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  window.engine?.dispose();
  window.engine = await Leadout.load({ model: "nano", drafter });
  window.events = [];
  engine.addEventListener("healing", ({ detail: { state, reason } }) => {
    events.push([state, reason.name, performance.now()]);
  });
  return engine.info.self_test;
}"""

#: Runs a request, and has something fail once so many tokens are there.
_GENERATE = """async ({ request, failAt }) => {
  events.length = 0;
  let told = "";
  let numTokens = 0;
  let failing = failAt === null ? Promise.resolve() : undefined;
  const onDelta = (text, { tokens }) => {
    told += text;
    numTokens += tokens.length;
    if (numTokens >= failAt) failing ??= fail();
  };
  const { tokens, text, stats } = await engine.generate(request, { onDelta });
  await failing;
  return { tokens, text, stats, told, events, failure: engine.failure?.message };
}"""

#: Loads a model and has something fail when a phase begins, or so many bytes are in the store.
_LOAD_FAILING = """async ({ model, failAt, patienceMs }) => {
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  const healing = [];
  let failing;
  const failOnce = () => {
    failing ??= fail();
  };
  const loading = Leadout.load({
    model,
    onPhase: (phase) => phase === failAt && failOnce(),
    onFetch: ({ stored_bytes }) => stored_bytes >= failAt && failOnce(),
    onHealing: ({ state, reason }) => state !== "loading" && healing.push([state, reason.name]),
  });
  const patience = new Promise((_, reject) => setTimeout(reject, patienceMs, new Error("hangs")));
  const engine = await Promise.race([loading, patience]);
  const { tokens } = await engine.generate({ prompt: "BTC", max_tokens: 8 });
  await failing;
  const failure = engine.failure?.message;
  engine.dispose();
  return { healing, tokens, failure };
}"""

#: Lets a minute pass.
_LATER = """() => {
  const now = performance.now.bind(performance);
  performance.now = () => now() + 61_000;
}"""


class Losing:
    """A page whose engine fails as a test wants it to."""

    def __init__(self, page: Page, files: FlakyServer) -> None:
        self.page = page
        self.files = files
        self.kind = ""
        self.loaded = ""
        self._after_a_load: list[int] | None = None
        self._undisturbed: dict[str, dict[str, Any]] = {}
        assert page.context.browser is not None
        self._browser = page.context.browser.new_browser_cdp_session()
        self._tab = page.context.new_cdp_session(page)
        page.expose_function("fail", self._fail)

    def load(self, drafter: str) -> None:
        """Have an engine with this drafter, another one where a test left it failed."""
        if drafter != self.loaded or self.page.evaluate("Boolean(engine.failure)"):
            assert self.page.evaluate(_LOAD, drafter) == "identical"
            self.loaded = drafter

    @property
    def after_a_load(self) -> list[int]:
        """What Nano says after a load in which nothing fails."""
        if self._after_a_load is None:
            found = self.load_failing("nano", "", None)
            assert found["healing"] == []
            self._after_a_load = found["tokens"]
        return self._after_a_load

    def load_failing(self, model: str, kind: str, fail_at: str | int | None) -> dict[str, Any]:
        """Return what came of a load that fails in its midst, and of a request after it."""
        self.page.evaluate("window.engine?.dispose()")
        self.loaded = ""
        self.kind = kind
        options = {"model": model, "failAt": fail_at, "patienceMs": PATIENCE_MS}
        found: dict[str, Any] = self.page.evaluate(_LOAD_FAILING, options)
        return found

    def generate(self, request: dict[str, Any], fail_at: int | None = None) -> dict[str, Any]:
        """Return what came of a request, and of the healing in its midst."""
        options = {"request": request, "failAt": fail_at}
        found: dict[str, Any] = self.page.evaluate(_GENERATE, options)
        return found

    def undisturbed(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return what comes of a request when nothing fails."""
        key = f"{self.loaded} {request}"
        if key not in self._undisturbed:
            found = self._undisturbed[key] = self.generate(request)
            assert found["events"] == []
        return self._undisturbed[key]

    def _fail(self) -> None:
        if self.kind == "gpu":
            self._browser.send("Browser.crashGpuProcess")
        elif self.kind == "worker":
            # The newest: one that was ended a moment ago may still be listed.
            worker = [one for one in self.page.workers if one.url.endswith("/worker.js")][-1]
            worker.evaluate("setTimeout(() => { throw new Error('the test ended it'); })")
        else:
            self._tab.send("Page.setWebLifecycleState", {"state": "frozen"})
            self._tab.send("Page.setWebLifecycleState", {"state": "active"})


@pytest.fixture(scope="module")
def losing(
    site: Path, browsers: Browsers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Losing]:
    """The site in a Chromium of its own, which is none the better for these tests."""
    store = Store(tmp_path_factory.mktemp("store"))
    with (
        flaky_server() as files,
        serving(site, store=store, allow_origins=[files.url.removesuffix("/")]) as url,
        browsers.own_page(url + BLANK, FLAGS) as page,
    ):
        yield Losing(page, files)


@pytest.mark.parametrize(("kind", "sampling", "drafting", "fail_at"), cases())
def test_a_stream_goes_on_with_the_same_ids(losing, kind, sampling, drafting, fail_at) -> None:
    drafter, fields = DRAFTING[drafting]
    losing.load(drafter)
    losing.kind = kind
    request = {
        "prompt": PROMPT,
        "max_tokens": MAX_TOKENS,
        "ignore_eos": True,
        **REQUESTS[sampling],
        **fields,
    }
    undisturbed = losing.undisturbed(request)
    found = losing.generate(request, fail_at)
    assert found["failure"] is None
    assert found["tokens"] == undisturbed["tokens"]
    assert found["text"] == found["told"] == undisturbed["text"]
    states = [state for state, *_ in found["events"] if state != "loading"]
    if kind == "frozen":
        assert states == []
        return
    assert states == ["started", "done"]
    assert fail_at <= found["stats"]["resumed_tokens"] < MAX_TOKENS
    began, ended = (found["events"][i][2] for i in (0, -1))
    print(
        f"\n{kind}, {sampling}, {drafting}: lost after {found['stats']['resumed_tokens']} tokens, "
        f"back after {(ended - began) / 1000:.1f} s"
    )
    losing.page.evaluate(_LATER)


@pytest.mark.parametrize(("kind", "phase"), FAILING_LOADS)
def test_a_load_begins_again(losing: Losing, kind: str, phase: str) -> None:
    found = losing.load_failing("nano", kind, phase)
    name = {"gpu": "DeviceLostError", "worker": "WorkerError"}[kind]
    begun_again = [["started", name], ["done", name]]
    # The device is requested during the first phase: lost before that, nothing begins again.
    allowed = [begun_again, []] if (kind, phase) == ("gpu", "loading_runtime") else [begun_again]
    assert found["healing"] in allowed
    assert found["failure"] is None
    assert found["tokens"] == losing.after_a_load


@pytest.mark.parametrize("kind", ["worker", *(["gpu"] if IS_THOROUGH else [])])
def test_a_load_that_begins_again_fetches_nothing_twice_that_was_kept(
    losing: Losing, kind: str
) -> None:
    """Of a model that comes from afar; what was under way may come again."""
    (nano,) = (model for model in built_in_models() if model.name == "nano")
    data = nano.files["nano.gguf"].read_bytes()
    file = FlakyFile(data, etag=f'"{kind}"', delay_s=0.05)
    losing.files.files[f"{kind}.gguf"] = file
    kept = 0.4
    found = losing.load_failing(f"{losing.files.url}{kind}.gguf", kind, int(kept * len(data)))
    assert [state for state, _ in found["healing"]] == ["started", "done"]
    assert found["tokens"] == losing.after_a_load
    assert file.sent.min() >= 1
    print(f"\n{kind}: {(file.sent > 1).mean():.1%} fetched again")
    assert (file.sent > 1).mean() <= 1 - kept
