"""<leadout-models> on a page of its own: the store is real, the server of models is the test's."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from pages import WITH_ADAPTER, WITH_RECORDS
from playwright.sync_api import Browser, Page, expect
from store_tab import Tab, serve_store_site
from test_accessible import axe, check_page
from test_store import MODEL_BYTES, listed

from flaky_server import FlakyFile, FlakyServer, flaky_server

#: A name that would be read from its end, and how it is shown.
HOSTILE, SHOWN = "a\u202efugg", "a⟦U+202E⟧fugg"

#: Puts the element into the page before its class is there; `told` has its events.
PUT = """async () => {
  document.documentElement.lang = "en";
  window.told = [];
  for (const name of ["models", "model-open", "fetch", "error"]) {
    document.addEventListener(`leadout-${name}`, ({ type, detail }) => {
      const error = detail.error?.name;
      window.told.push([type, JSON.parse(JSON.stringify({ ...detail, error }))]);
    });
  }
  const list = document.createElement("leadout-models");
  list.hub = () => (window.told.push(["hub", null]), { token: "secret" });
  document.body.append(list);
  await import("/define.js");
}"""


#: Records the row's facts and its height whenever a download gets on.
WATCH = """() => {
  const list = document.querySelector("leadout-models");
  window.shown = [];
  list.addEventListener("leadout-fetch", ({ detail }) => {
    const row = list.shadowRoot.querySelector("li");
    const facts = row.querySelector("[part=facts]").textContent;
    if (detail.state === "fetching") shown.push([facts, row.offsetHeight]);
  });
}"""


@pytest.fixture(scope="module")
def server() -> Iterator[FlakyServer]:
    with flaky_server(seed=7) as server:
        yield server


@pytest.fixture(scope="module")
def site(server: FlakyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve_store_site(server, tmp_path_factory.mktemp("site"), {}) as url:
        yield url


@pytest.fixture
def page(chromium: Browser, site: str) -> Iterator[Page]:
    """A page with the element, in a profile with an empty store."""
    with chromium.new_context() as context:
        context.add_init_script(WITH_RECORDS + WITH_ADAPTER + axe())
        page = context.new_page()
        page.goto(site + "blank.html")
        page.evaluate(PUT)
        yield page
        assert page.evaluate("violations") == []


@pytest.fixture
def file(server: FlakyServer) -> FlakyFile:
    server.files["model.gguf"] = FlakyFile(random.Random(7).randbytes(MODEL_BYTES))
    return server.files["model.gguf"]


@pytest.fixture
def url(server: FlakyServer, file: FlakyFile) -> str:
    return f"{server.url}model.gguf"


def told(page: Page, name: str) -> list[dict[str, Any]]:
    """Return the details of the events of a name, oldest first."""
    return [detail for kind, detail in page.evaluate("told") if kind == name]


def call(page: Page, expression: str) -> None:
    """Begin something of the element (`list`), and do not wait for its end."""
    page.evaluate(f"() => {{ (list => {expression})(document.querySelector('leadout-models')); }}")


def test_a_model_is_fetched_paused_opened_and_deleted_by_keyboard(
    page: Page, file: FlakyFile, url: str
) -> None:
    models = page.locator("leadout-models")
    page.set_viewport_size({"width": 320, "height": 800})
    expect(models.locator("[part=hint]")).to_be_hidden()
    models.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(models.locator("[part=hint]")).to_be_visible()
    expect(models).to_have_attribute("open", "")
    file.max_bytes = 2_500_000
    page.evaluate(WATCH)
    call(page, f"list.pull({json.dumps(url)})")
    # Nothing comes for some seconds: there is no speed. The row stays as high as it was.
    expect(models).to_contain_text(f"2 MB of 5 MB, from {url.split('/')[2]}", timeout=10_000)
    shown = page.evaluate("shown")
    assert any("MB/s" in facts for facts, _ in shown)
    assert len({height for _, height in shown}) == 1, shown
    expect(models.locator(".comma")).to_be_hidden()
    assert told(page, "hub") == [None]
    expect(models.get_by_role("progressbar")).to_have_js_property("max", MODEL_BYTES)
    assert [event["source"] for event in told(page, "leadout-fetch")][-1] == url
    check_page(page)
    page.keyboard.press("Tab")
    expect(models.get_by_role("button", name="Pause model")).to_be_focused()
    page.keyboard.press("Enter")
    expect(models).to_contain_text("of 5 MB, paused")
    expect(models.get_by_role("button", name="Resume model")).to_be_focused()
    file.is_down = True
    page.keyboard.press("Enter")
    expect(models.get_by_role("alert")).to_contain_text("there is no connection")
    expect(models.get_by_role("button", name="Resume model")).to_be_focused()
    assert told(page, "leadout-error")[-1]["error"] == "SourceError"
    check_page(page)
    file.is_down, file.max_bytes = False, None
    page.keyboard.press("Enter")
    expect(models).to_contain_text("1 model, 5 MB")
    expect(models.get_by_role("button", name="Open model")).to_be_focused()
    expect(models.get_by_role("alert")).to_have_count(0)
    page.keyboard.press("Enter")
    (opened,) = told(page, "leadout-model-open")
    assert (opened["source"], opened["is_complete"]) == (url, True)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(models.get_by_role("button", name="Really delete model")).to_be_focused()
    assert Tab(page).list() != []
    page.keyboard.press("Enter")
    expect(models).to_contain_text("Kept in this browser: nothing yet")
    expect(models.locator("summary")).to_be_focused()
    assert Tab(page).list() == told(page, "leadout-models")[-1]["models"] == []


def test_what_others_keep_is_shown_with_its_hidden_characters(
    page: Page, file: FlakyFile, url: str
) -> None:
    tab = Tab(page)
    assert tab.pull({**listed(url, file.data), "name": HOSTILE, "source": url})["name"] == "done"
    models = page.locator("leadout-models")
    expect(models.locator("summary")).to_have_text("Kept in this browser: 1 model, 5 MB")
    models.locator("summary").click()
    expect(models.locator("[part=name]")).to_have_text(SHOWN)
    expect(models.get_by_role("button", name=f"Delete {SHOWN}")).to_be_visible()
    call(page, f"list.delete({json.dumps(url)})")
    expect(models.locator("[part=model]")).to_have_count(0)
    assert tab.list() == []


def test_where_nothing_has_come_it_is_tried_again_and_not_resumed(
    page: Page, server: FlakyServer, file: FlakyFile, url: str
) -> None:
    models = page.locator("leadout-models")
    models.locator("summary").click()
    del server.files["model.gguf"]
    call(page, f"list.pull({json.dumps(url)})")
    expect(models.get_by_role("alert")).to_be_visible()
    again = models.get_by_role("button", name="Try again")
    expect(again).to_be_visible()
    server.files["model.gguf"] = file
    again.click()
    expect(models).to_contain_text("1 model, 5 MB")
    expect(models.get_by_role("button", name="Open model")).to_be_visible()


def test_an_element_that_leaves_pauses_its_downloads(page: Page, file: FlakyFile, url: str) -> None:
    file.max_bytes = 2_500_000
    call(page, f"list.pull({json.dumps(url)})")
    expect(page.locator("leadout-models [part=facts]")).to_contain_text(" of 5 MB, ")
    call(page, "document.querySelector('main, body').prepend(list)")  # it only moves
    tab = Tab(page)
    assert [model["is_fetching"] for model in tab.list()] == [True]
    call(page, "list.remove()")
    tab.wait_for(lambda: not tab.list()[0]["is_fetching"])


def test_a_model_stays_open_to_use_while_its_update_comes(
    page: Page, server: FlakyServer, file: FlakyFile, url: str
) -> None:
    models = page.locator("leadout-models")
    assert Tab(page).pull(url)["name"] == "done"
    new = server.files["model.gguf"] = FlakyFile(file.data[:3_000_001], etag='"two"')
    new.max_bytes = 2_500_000
    call(page, f"list.pull({json.dumps(url)})")
    expect(models).to_contain_text("Update: 2 MB of 3 MB")
    expect(models.get_by_role("button", name="Open model")).to_be_visible()
    expect(models.get_by_role("progressbar")).to_have_js_property("max", 3_000_001)
    models.get_by_role("button", name="Pause model").click()
    expect(models).to_contain_text("5 MB. Update: 2 MB of 3 MB, paused, from ")
    expect(models.locator("summary")).to_have_text("Kept in this browser: 1 model, 7 MB")
    expect(models.get_by_role("button", name="Open model")).to_be_visible()
    expect(models.get_by_role("button", name="Delete model")).to_be_visible()
    new.max_bytes = None
    models.get_by_role("button", name="Resume model").click()
    expect(models.locator("summary")).to_have_text("Kept in this browser: 1 model, 3 MB")
    expect(models.get_by_role("progressbar")).to_be_hidden()
