"""`from leadout import load` in the browser, on the real Nano, in a Pyodide of the page's own.

A static host serves the site, without a header of ours: the pages' own policy is what holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import Browsers
from pages import WITH_RECORDS, static_host
from playwright.sync_api import Page, expect

from leadout_build.serving.headless import BLANK, evaluate

PATIENCE_MS = 120_000

#: Starts a Pyodide as a page of somebody's own does, and puts Leadout into it.
OWN_PYODIDE = """async (script) => {
  const { app } = await (await fetch("/build.json")).json();
  const assets = await (await fetch(`/${app}/assets.json`)).json();
  const address = new URL(assets.pyodide, new URL(`/${app}/`, location.href)).href;
  const { loadPyodide } = await import(address);
  // marimo starts its own with this; a page with startPython does not.
  const indexURL = new URL("./", address).href;
  const pyodide = await loadPyodide({ indexURL, convertNullToNone: true });
  const { installLeadout } = await import("/python.js");
  await installLeadout(await installLeadout(pyodide)); // twice does no harm
  return pyodide.runPythonAsync(script);
}"""

SCRIPT = """
import json, math, traceback
from leadout import load
from leadout.errors import ModelNotFoundError, ProcessorError, LeadoutError

told = {}
phases = []
engine = await load("nano", on_phase=phases.append)
told["phases"], told["drafter"] = phases, engine.info["drafter"]["kind"]
prompt = "The market today:"
asked = {"max_tokens": 6, "ignore_eos": True}


def no_repeats(ids, logits):
    for id in ids[-6:]:
        logits[id] = -math.inf


def fails(ids, logits):
    raise KeyError("no such word")


async def ids_of(**fields):
    return (await engine.generate(prompt, **asked, **fields)).tokens


plain = await ids_of(drafter="none")
told["same"] = [
    plain == await ids_of(),
    plain == await ids_of(processors=[lambda ids, logits: None]),
    plain == await ids_of(drafter=lambda ids: [1, 2, 3]),
]
changed = await ids_of(processors=[no_repeats], drafter="none")
guesses = await engine.generate(
    prompt, **asked, processors=[no_repeats],
    drafter=lambda ids: changed[len(ids) - num_prompt :][:2] + [5],
) if (num_prompt := len(await engine.tokenize(prompt))) else None
told["processed"] = [
    changed != plain,
    changed == await ids_of(processors=[no_repeats]),
    changed == guesses.tokens,
    guesses.stats.accepted_tokens > 0,
]

logits = await engine.logits(prompt)
told["logits"] = [type(logits).__name__, len(logits), 4 * num_prompt * engine.vocab_size]

try:
    await engine.generate(prompt, processors=[fails])
except ProcessorError as error:
    told["failed"] = [error.message, "no such word" in "".join(traceback.format_exception(error))]

text = ""
async for piece in (stream := engine.stream([{"role": "user", "content": "Hello"}], max_tokens=40)):
    text += piece
    if len(text) > 5:
        break
told["left"] = [bool(text), plain == await ids_of()]
told["finish"] = stream.result.finish_reason
await engine.close()
try:
    await load("no-such-model")
except LeadoutError as error:
    told["unknown"] = type(error).__name__
json.dumps(told)
"""


@pytest.fixture
def opened(site: Path, browsers: Browsers) -> Iterator[Page]:
    """The example's page, just opened."""
    with static_host(site) as url, browsers.page(url + BLANK) as page:
        page.add_init_script(WITH_RECORDS)
        page.set_default_timeout(PATIENCE_MS)
        errors: list[str] = []
        requests: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(f"{url}examples/python/")
        yield page
        assert errors == []
        assert page.evaluate("window.violations") == []
        assert [one for one in requests if not one.startswith((url, "blob:", "data:"))] == []


def test_a_pyodide_of_ones_own_runs_the_model_with_functions_in_python(opened: Page) -> None:
    told: dict[str, Any] = json.loads(evaluate(opened, OWN_PYODIDE, SCRIPT))
    assert told["phases"][0] == "loading_weights"
    assert told["phases"][-1] == "ready"
    assert told["drafter"] == "mtp"
    assert told["same"] == [True, True, True]
    assert told["processed"] == [True, True, True, True]
    kind, num_bytes, wanted = told["logits"]
    assert (kind, num_bytes) == ("bytes", wanted)
    assert told["failed"] == ["The logits processor fails failed: KeyError: 'no such word'", True]
    assert told["left"] == [True, True]
    assert told["finish"] == "abort"
    assert told["unknown"] == "ModelNotFoundError"


def test_the_page_runs_a_script_shows_its_errors_and_stops(opened: Page) -> None:
    script, output = opened.get_by_label("Script"), opened.locator("#output")
    expect(script).to_have_value(
        (Path(__file__).parents[2] / "static/examples/python/stream.py").read_text("utf-8")
    )
    opened.get_by_label("Example").select_option("Draft in Python")
    expect(script).to_have_value(re.compile("def what_followed"))
    script.fill("from leadout import load\nprint('<b>', load.__name__, end='')")
    opened.get_by_role("button", name="Run").click()
    expect(opened.get_by_role("status")).to_have_text("Done.", timeout=PATIENCE_MS)
    expect(output).to_have_text("<b> load")
    assert output.locator("b").count() == 0
    script.fill("import asyncio\nprint('waits')\nawait asyncio.sleep(3600)")
    opened.get_by_role("button", name="Run").click()
    expect(output).to_contain_text("waits")
    opened.get_by_role("button", name="Stop").click()
    expect(opened.get_by_role("status")).to_have_text("Stopped.")
    script.fill("def broken(x):\n    return x / 0\n\nbroken(1)")
    script.press("Control+Enter")
    expect(opened.get_by_role("status")).to_have_text("The script failed.")
    expect(output).to_contain_text("ZeroDivisionError")
    expect(output).to_contain_text("line 2, in broken")
