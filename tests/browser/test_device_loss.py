"""Real losses in the midst of streams: GPU process, worker, a frozen tab. Ids must not change.

The GPU process is ended by Chromium itself; every device of every page is lost with it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from leadout_build.serving.headless import BLANK, headless_page, serving
from leadout_build.store.model_store import Store
from thoroughness import IS_THOROUGH

#: Chromium gives up on the GPU after a few such crashes, and on a page that may have caused them.
FLAGS = ("--disable-gpu-process-crash-limit", "--disable-domain-blocking-for-3d-apis")

#: Prefilled in a pass of 64 rows, or of 32 where most of it is so already: undisturbed texts find
#: it that way, and an engine that comes back does not.
PROMPT = "BTC fell by 3.2 % this week and ETH rose by 1.1 %, while SOL did not move."

MAX_TOKENS = 48

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
  let isFailing = failAt === null;
  const onDelta = (text, { tokens }) => {
    told += text;
    numTokens += tokens.length;
    if (!isFailing && numTokens >= failAt) {
      isFailing = true;
      fail();
    }
  };
  const { tokens, text, stats } = await engine.generate(request, { onDelta });
  return { tokens, text, stats, told, events, failure: engine.failure?.message };
}"""

#: Lets a minute pass.
_LATER = """() => {
  const now = performance.now.bind(performance);
  performance.now = () => now() + 61_000;
}"""


class Losing:
    """A page whose engine fails as a test wants it to."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.kind = ""
        self.loaded = ""
        self._undisturbed: dict[str, dict[str, Any]] = {}
        assert page.context.browser is not None
        self._browser = page.context.browser.new_browser_cdp_session()
        self._tab = page.context.new_cdp_session(page)
        page.expose_function("fail", self._fail)

    def load(self, drafter: str) -> None:
        """Have an engine with this drafter."""
        if drafter != self.loaded:
            assert self.page.evaluate(_LOAD, drafter) == "identical"
            self.loaded = drafter

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
            (worker,) = [one for one in self.page.workers if one.url.endswith("/worker.js")]
            worker.evaluate("setTimeout(() => { throw new Error('the test ended it'); })")
        else:
            self._tab.send("Page.setWebLifecycleState", {"state": "frozen"})
            self._tab.send("Page.setWebLifecycleState", {"state": "active"})


@pytest.fixture(scope="module")
def losing(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Losing]:
    """The site in a Chromium of its own, which is none the better for these tests."""
    store = Store(tmp_path_factory.mktemp("store"))
    with serving(site, store=store) as url, headless_page(url + BLANK, FLAGS) as page:
        yield Losing(page)


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
