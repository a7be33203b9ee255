"""The finance desk on the built site: files, table, chart, a checked brief; over a fake engine.

Its Python is the real one, in its own worker; a static host serves it, without a header of ours.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from attacks import TEXTS, census, parts, watch
from pages import FAKE_WORKER, LISTED_MODELS, LISTED_NANO, WITH_ADAPTER, WITH_RECORDS, static_host
from playwright.sync_api import Browser, BrowserContext, Page, expect
from test_accessible import FAULTS, PHONE, axe

FILES = Path(__file__).parents[1] / "market_files"

INFO = {"has_chat_template": True, "context_length": 2048}

#: Python has to start, on a machine that other work shares.
PATIENCE_MS = 60_000

#: What the fake model writes: right numbers, a wrong one, a false claim, one that nobody can check.
BRIEF = (
    "BTC stands at 46962.23, up 6.91% today. ETH trades at 9999.99. "
    "SOL gained most this week. The mood is cheerful."
)


@dataclass
class Desk:
    """The page, and what was asked of the network."""

    page: Page
    requests: list[str] = field(default_factory=list)

    def wait_for_python(self) -> None:
        self.page.wait_for_selector("#requests[data-count]")

    def add(self, *files: Any) -> None:
        """Choose files, and wait until they are read."""
        given = [
            upload(one.name, one.read_bytes()) if isinstance(one, Path) else one for one in files
        ]
        files_list = self.page.locator("#files")
        changes = int(files_list.get_attribute("data-changes") or 0)
        self.page.set_input_files("#file", given)
        expect(files_list).to_have_attribute("data-changes", str(changes + 1), timeout=PATIENCE_MS)

    def assets(self) -> list[str]:
        return self.page.locator("#table tbody th").all_inner_texts()

    def messages(self) -> list[dict[str, str]]:
        """Return what the model was asked last."""
        asked = [one for one in self.value("received") if one["type"] == "generate"]
        messages: list[dict[str, str]] = asked[-1]["request"]["messages"]
        return messages

    def value(self, expression: str) -> Any:
        return self.page.evaluate(expression)


def upload(name: str, data: str | bytes) -> dict[str, Any]:
    content = data.encode() if isinstance(data, str) else data
    return {"name": name, "mimeType": "text/csv", "buffer": content}


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    with static_host(site) as address:
        yield address


@pytest.fixture
def open_desk(chromium: Browser, url: str) -> Iterator[Any]:
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_one(
        model: dict[str, Any] = LISTED_NANO,
        init: str = "",
        *,
        is_waited_for: bool = True,
        **options: Any,
    ) -> Desk:
        context = chromium.new_context(service_workers="block", **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(WITH_RECORDS + WITH_ADAPTER + init)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        desk = Desk(page)
        context.on("request", lambda request: desk.requests.append(request.url))
        worker = FAKE_WORKER % {"options": json.dumps({"info": INFO}), "text": json.dumps(BRIEF)}
        page.route(
            "**/app-*/worker.js",
            lambda route: route.fulfill(body=worker, content_type="text/javascript"),
        )
        listed = {"models": [{**model, "default": True}]}
        page.route("**/models/index.json", lambda route: route.fulfill(json=listed))
        page.goto(f"{url}desk/index.html")
        if is_waited_for:
            desk.wait_for_python()
        return desk

    yield open_one
    violations = [page.evaluate("violations") for context in contexts for page in context.pages]
    for context in contexts:
        context.close()
    assert errors == []
    assert [one for many in violations for one in many] == []


def long_history() -> str:
    rng, price, rows = random.Random(5), 100.0, ["Date,Close,Volume"]
    for day in range(1, 261):
        price *= 1 + rng.uniform(-0.04, 0.043)
        rows.append(f"{1704067200 + 86400 * day},{price:.4f},{rng.uniform(1e6, 2e6):.0f}")
    return "\n".join(rows)


def test_files_that_are_given_while_python_starts_are_not_joined_by_the_sample(open_desk) -> None:
    desk = open_desk(is_waited_for=False)
    desk.add(FILES / "ETH-USD.csv")
    desk.wait_for_python()
    assert desk.assets() == ["ETH"]


def check_faults(desk: Desk) -> None:
    """Assert that axe-core finds no serious fault, and that there is nothing to scroll sideways."""
    assert desk.value(FAULTS) == []
    width, room = desk.value(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert width <= room


def test_files_become_a_table_a_chart_and_a_checked_brief(open_desk: Any) -> None:
    desk = open_desk(init=axe(), viewport={"width": 1280, "height": 900}, color_scheme="light")
    page = desk.page
    expect(page.locator("#files")).to_contain_text("whose date is not known")
    assert desk.assets() == ["BTC", "ETH", "SOL", "DOGE", "ADA"]
    page.wait_for_selector('leadout-chat[data-state="ready"]')
    num_requests = len(desk.requests)

    names = ("btc-usd-max.csv", "ETH-USD.csv", "sol-market-chart.json")
    desk.add(*(FILES / name for name in names))
    assert desk.assets() == ["BTC", "ETH", "SOL"]
    desk.add(upload("LONG.csv", long_history()))
    row = page.locator("#table tbody tr").nth(3)
    expect(row.locator("td")).to_have_count(page.locator("#table thead th").count() - 1)
    expect(page.locator("#table thead")).to_contain_text("RSI 14")
    page.get_by_role("button", name="LONG", exact=True).click()
    expect(page.locator("#chart-title")).to_have_text("Price of LONG")
    expect(page.locator("#chart canvas")).to_be_visible()
    expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile("Line chart.*lowest"))
    expect(page.locator("#chart .u-legend")).to_contain_text("MA 200")
    expect(page.locator(".spark canvas")).to_have_count(4)

    page.get_by_role("button", name="Write a brief").click()
    brief = page.locator("#brief")
    expect(brief.locator(".counts")).to_contain_text("1 sentence was not checked")
    messages = desk.value(
        "received.filter(({ type }) => type === 'generate').at(-1).request.messages"
    )
    assert messages[1]["content"].startswith(
        "asset,price,1d,7d,30d,vol,rsi,50d,200d\nBTC,46962.23,"
    )
    assert messages[1]["content"].endswith("\n\nWrite a brief.")
    expect(page.locator("#brief-left-out")).to_contain_text("Volatility")
    link = brief.get_by_role("link", name="46962.23")
    link.focus()
    lit = page.locator("td.lit")
    expect(lit).to_have_text("46,962.23")
    page.keyboard.press("Enter")
    expect(lit).to_be_focused()
    page.keyboard.press("Escape")
    expect(link).to_be_focused()
    brief.get_by_role("link", name="6.91%").hover()
    expect(page.locator("td.lit").first).to_be_visible()
    assert brief.locator("mark").all_inner_texts() == ["9999.99"]
    faults = brief.locator(".faults li").all_inner_texts()
    assert faults[0] == "9999.99 is not in the table."
    assert faults[1] == "SOL's change by week is not the highest: that is BTC's, at +6.32%."
    expect(brief.locator(".unchecked")).to_have_text("The mood is cheerful.")

    page.get_by_role("textbox", name="Message").fill("What is the price of BTC?")
    page.locator("[part=send]").click()
    expect(page.locator("#answer")).to_contain_text("9999.99 is not in the table.")

    check_faults(desk)

    # Nothing was asked of anybody, as the page says and as the browser's own list has it.
    expect(page.locator("#requests")).to_contain_text("0 requests since the page was ready")
    assert [one for one in desk.requests[num_requests:] if not one.startswith("blob:")] == []
    assert desk.value("fetch('../build.json').then(() => 1)") == 1
    expect(page.locator("#requests")).to_contain_text("1 request since the page was ready")
    expect(page.locator("#policy")).to_contain_text("this site https://huggingface.co")

    # A table that changes takes the links along.
    page.get_by_role("button", name="Remove ETH-USD.csv").click()
    expect(page.locator("#brief-state")).to_contain_text("table has changed")
    expect(brief.locator("a")).to_have_count(0)


def test_bad_files_are_named_and_nothing_is_lost(open_desk: Any) -> None:
    desk = open_desk()
    page = desk.page
    desk.add(FILES / "btc-usd-max.csv", upload("page.csv", "<!doctype html>"), upload("x.csv", ""))
    problems = page.locator("#problems li").all_inner_texts()
    assert problems[0].startswith("page.csv, line 1: it is a web page")
    assert problems[1].startswith("x.csv is empty")
    assert desk.assets() == ["BTC"]

    desk.add(upload("eth.csv", "Date,Close\n01/02/2024,5\n01/03/2024,6\n"))
    page.get_by_role("button", name="DD/MM/YYYY").click()
    expect(page.locator("#table tbody tr")).to_have_count(2)
    expect(page.locator("#files")).to_contain_text("2024-02-01 to 2024-03-01")

    desk.add(upload("btc-usd-old.csv", "Date,Close\n2020-01-01,7000\n"))
    expect(page.locator("#duplicates")).to_contain_text(
        "BTC is in 2 files. The one with the newest"
    )
    page.locator("#duplicates select").select_option(label="btc-usd-old.csv")
    expect(page.locator("#table tbody tr").first).to_contain_text("7,000.00")
    page.get_by_label("Asset of btc-usd-old.csv").fill("OLD")
    page.get_by_label("Asset of btc-usd-old.csv").press("Enter")
    expect(page.locator("#table tbody tr")).to_have_count(3)
    expect(page.locator("#duplicates")).to_be_empty()

    # A file that takes too long ends the worker: a new one has what was read before.
    ended = page.evaluate(
        """async () => {
          const { DeskPython } = await import(new URL("../desk_parts.js", location).href);
          const told = (promise) =>
            promise.then(() => "", ({ name, message }) => `${name}: ${message}`);
          const python = new DeskPython({ callMs: 2000 });
          await python.start();
          await python.read("a", "a.csv", new Blob(["Date,Close\\n2024-01-01,5\\n"]));
          const rows = "2024-01-01,1.234\\n".repeat(390_000);
          const slow = await told(python.read("b", "slow.csv", new Blob(["Date,Close\\n", rows])));
          const huge = { size: 200e6 };
          const large = await told(python.read("c", "large.csv", huge));
          return { slow, large, rows: (await python.table()).rows.length };
        }"""
    )
    assert ended["slow"] == (
        "MarketFileError: slow.csv took more than 2 s and was ended. The other files are still "
        "here. Leave out rows or columns."
    )
    assert ended["large"].startswith("MarketFileError: large.csv has 200 MB; files of up to 67 MB")
    assert ended["rows"] == 1


def test_hostile_names_and_cells_stay_text(open_desk: Any, tmp_path: Path) -> None:
    desk = open_desk()
    page = desk.page
    found, plain = watch(page), census(page)
    evil = "<img src=x onerror=alert(1)>\u202e.csv"
    desk.add(
        FILES / "coins-markets.json",
        upload(evil, "Date,Close\n2024-01-01,5\n2024-01-02,<script>alert(1)</script>\n"),
    )
    shown = desk.assets()
    assert shown[1:] == [
        *("<IMG SRC=X ONERROR=ALERT(1)>", "⟦U+202E⟧TXT", "<img src=x onerror=alert(1)>⟦U+202E⟧"),
    ]
    expect(page.locator("#files")).to_contain_text("'<script>alert(1)</script>' is not a number")
    page.get_by_role("textbox", name="Message").focus()
    page.locator("#paste").click()
    for num_rows, name in ((5, "=cmd()"), (6, " ".join(TEXTS))):
        page.get_by_label("Asset or name of the file").fill(name)
        page.get_by_label("CSV or JSON").fill("Date,Close\n2024-01-01,5\n")
        page.get_by_role("button", name="Add to the table").click()
        expect(page.locator("#table tbody tr")).to_have_count(num_rows)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    download.value.save_as(tmp_path / "table.csv")
    assert "'=cmd()" in (tmp_path / "table.csv").read_text("utf-8")
    # All texts as symbols and cells, and in names of files and of an asset.
    coins = [{"id": text, "symbol": text, "name": text, "current_price": 1.5} for text in TEXTS]
    wrong = [text for text in TEXTS if not re.search(r'[.,"\n]', text)]  # cells alone, no new ones
    cells = "\n".join(f"2024-01-02,{text}" for text in wrong)
    desk.add(
        upload("coins.json", json.dumps(coins)),
        upload("cells.csv", f"Date,Close\n2024-01-01,5\n{cells}\n"),
        upload("own.csv", "Date,Close\n2024-01-01,5\n"),
        *(upload(f"{part}.csv", "Date,Close\n2024-01-01,5\n") for part in parts(4000)),
    )
    assert len(desk.assets()) > len(TEXTS) / 2
    said = "'<script>alert(1)</script>' (the first one) is not a number"
    expect(page.locator("#files")).to_contain_text(said)
    page.get_by_label("Asset of own.csv").fill(" ".join(TEXTS))
    page.get_by_label("Asset of own.csv").press("Enter")
    expect(page.locator("#table tbody")).to_contain_text("(123)")
    assert census(page) == plain
    assert found == []


def test_the_page_on_a_phone_has_no_serious_fault_and_another_model_the_whole_table(
    open_desk: Any,
) -> None:
    desk = open_desk(LISTED_MODELS[0], axe(), color_scheme="dark", reduced_motion="reduce", **PHONE)
    page = desk.page
    page.get_by_role("button", name="Made-up histories").click()
    expect(page.locator("#chart canvas")).to_be_visible()
    page.wait_for_selector('leadout-chat[data-state="ready"]')
    page.get_by_role("button", name="Write a brief").click()
    expect(page.locator("#brief .faults li").first).to_be_visible()
    messages = desk.value(
        "received.filter(({ type }) => type === 'generate').at(-1).request.messages"
    )
    assert messages[1]["content"].startswith("asset,price,1d,7d,30d,volatility,rsi,ma50,50d")
    page.locator("#paste").click()
    page.locator("#brief a").first.focus()
    page.get_by_text("What is counted").click()
    check_faults(desk)
