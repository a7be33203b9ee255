"""The real Nano on the built site: open the page, read its brief, ask, edit the table; the desk.

A static host serves it, without a header of ours: the pages' own policy is what holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browsers import Browsers
from pages import WITH_RECORDS, Chat, static_host
from playwright.sync_api import expect

from leadout_build.cli.market_table import parse_table
from leadout_build.serving.headless import BLANK
from leadout_build.store.nano_prompts import EXAMPLE_TABLE_CSV
from nano.check import check_answer, check_brief
from nano.questions import Question

#: For a load and a brief without a GPU, on a machine that other work shares.
PATIENCE_MS = 600_000

OTHER_TABLE = (
    "asset,price,1d,rsi\nABC,12.50,+2.10%,71.3\nXYZ,7.25,-0.40%,44.0\nQRS,3.10,+0.90%,55.2"
)

#: What somebody drops on the finance desk.
MARKET_FILES = [
    Path(__file__).parents[1] / "market_files" / name for name in ("btc-usd-max.csv", "ETH-USD.csv")
]

DROP = """(files) => {
  const dataTransfer = new DataTransfer();
  for (const [name, text] of files) dataTransfer.items.add(new File([text], name));
  const options = { dataTransfer, bubbles: true, cancelable: true };
  for (const type of ["dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(type, options));
  }
}"""


@dataclass
class Desk:
    """The page, and what it asked of the network."""

    chat: Chat
    url: str
    requests: list[str]

    def wait_for_answer(self) -> str:
        """Wait until the model has written, and return what."""
        self.chat.page.wait_for_selector(
            'leadout-chat[data-state="generating"]', timeout=PATIENCE_MS
        )
        self.chat.wait_for_state("ready", PATIENCE_MS)
        answer: str = self.chat.value("chat.continuation")
        return answer


@pytest.fixture(scope="module")
def desk(site: Path, browsers: Browsers) -> Iterator[Desk]:
    """The page, just opened."""
    with static_host(site) as url, browsers.page(url + BLANK) as page:
        page.add_init_script(WITH_RECORDS)
        errors: list[str] = []
        requests: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(url)
        yield Desk(Chat(page), url, requests)
        assert errors == []
        assert page.evaluate("window.violations") == []
        page.evaluate("fetch('https://elsewhere.example/').catch(() => null)")
        violations = page.evaluate("window.violations")
        assert violations == ["connect-src https://elsewhere.example/"]


def test_the_page_opens_with_a_true_brief_of_the_example(desk: Desk) -> None:
    brief = desk.wait_for_answer()
    verdict = check_brief(parse_table(EXAMPLE_TABLE_CSV), brief)
    assert verdict.is_right, verdict
    chat = desk.chat
    assert chat.figure("drafter") == "nano-assistant"
    assert float(chat.figure("tokens_per_cycle")) > 2
    assert "%" in chat.figure("accepted")
    expect(chat.status).to_contain_text("The text ended")
    assert any(request.endswith("/models/nano/nano.gguf") for request in desk.requests)
    assert [request for request in desk.requests if not request.startswith(desk.url)] == []


def test_a_questions_button_gets_a_right_answer(desk: Desk) -> None:
    desk.chat.page.get_by_role("button", name="Which asset fell most this week?").click()
    answer = desk.wait_for_answer()
    question = Question("extreme", column="7d", side="loss")
    assert check_answer(parse_table(EXAMPLE_TABLE_CSV), question, answer).is_right, answer


def test_the_same_question_with_and_without_the_drafter_gets_the_same_answer(desk: Desk) -> None:
    page = desk.chat.page
    before = desk.chat.value("chat.conversation")
    page.locator("[part=compare]").click()
    verdict = page.locator("[part=comparison] .verdict")
    expect(verdict).to_contain_text(re.compile(r"sooner\.|later\."), timeout=PATIENCE_MS)
    expect(verdict).to_contain_text("The same text, token for token")
    texts = page.locator("[part=comparison] .content").all_inner_texts()
    assert texts[0] == texts[1] == desk.chat.value("chat.continuation")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as JSON").click()
    card = json.loads(download.value.path().read_text("utf-8"))
    assert card["identical"]
    assert card["drafted"]["cycles"] < card["drafted"]["tokens"]
    assert card["without"]["tokens"] == card["drafted"]["tokens"] == card["identical_tokens"]
    # What somebody wrote is not on it.
    assert texts[0] not in json.dumps(card)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as picture").click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")
    assert desk.chat.value("chat.conversation") == before
    desk.chat.wait_for_state("ready")


def test_a_table_that_is_none_is_refused_before_anything_is_sent(desk: Desk) -> None:
    page = desk.chat.page
    messages = desk.chat.value("chat.messages")
    for table in ("What a day!", "asset,price\nBTC,1e999"):
        page.get_by_label("Market table").fill(table)
        page.get_by_role("button", name="Write a brief").click()
        expect(page.locator("#table-problem")).to_be_visible()
    assert desk.chat.value("chat.state") == "ready"
    assert desk.chat.value("chat.messages") == messages


def test_another_table_begins_another_conversation(desk: Desk) -> None:
    page = desk.chat.page
    page.get_by_label("Market table").fill(OTHER_TABLE)
    page.get_by_role("textbox", name="Message").fill("How many assets are up today?")
    desk.chat.send.click()
    answer = desk.wait_for_answer()
    question = Question("count", column="1d", side="up")
    assert check_answer(parse_table(OTHER_TABLE), question, answer).is_right, answer
    assert len(desk.chat.value("chat.messages")) == 2


def test_what_the_table_does_not_hold_is_said(desk: Desk) -> None:
    page = desk.chat.page
    page.get_by_role("textbox", name="Message").fill("What is the price of BTC?")
    desk.chat.send.click()
    answer = desk.wait_for_answer()
    verdict = check_answer(
        parse_table(OTHER_TABLE), Question("lookup", "BTC", None, "price"), answer
    )
    assert verdict.is_right, answer
    assert verdict.refusal == "no_asset"


def test_an_engine_says_what_the_ops_of_a_step_cost(desk: Desk) -> None:
    # bench.html shows it; here the whole way is real, from the page to the device's clock and back.
    desk.chat.wait_for_state("ready", PATIENCE_MS)
    found = desk.chat.value("chat.engine.profile({ context_tokens: 40 })")
    assert found["plan"] == "cycle-0"
    assert found["whole_us"]["median"] > 0
    assert found["bandwidth_gb_per_s"]["median"] > 0
    ops = found["ops"]
    assert sum(op["times"] for op in ops) == len(found["dispatches"])
    assert all(op["us"] >= 0 and op["bytes"] > 0 for op in ops)
    assert any(op["op"].startswith("layers.*.") and op["times"] > 1 for op in ops)


def test_the_finance_desk_writes_a_brief_of_dropped_files_with_links_to_their_cells(
    desk: Desk,
) -> None:
    page = desk.chat.page
    assert page.evaluate("window.violations") == []  # of the page until here
    page.goto(f"{desk.url}desk/")
    page.locator("#table tbody tr").nth(4).wait_for(timeout=PATIENCE_MS)  # the sample
    page.evaluate(DROP, [[path.name, path.read_text("utf-8")] for path in MARKET_FILES])
    expect(page.locator("#table tbody th")).to_have_text(["BTC", "ETH"], timeout=PATIENCE_MS)
    desk.chat.wait_for_state("ready", PATIENCE_MS)
    page.get_by_role("button", name="Write a brief").click()
    expect(page.locator("#brief-state")).to_have_text("Written and checked.", timeout=PATIENCE_MS)
    brief = page.locator("#brief")
    assert brief.locator("mark, .false").count() == 0, brief.inner_text()
    links = brief.locator("a.cell")
    for link in links.all():
        link.focus()
        cell = page.locator("td.lit").inner_text()
        assert cell.replace(",", "") == link.inner_text()
    said = brief.locator(".counts").inner_text()
    assert re.match(rf"{links.count()} numbers are where the table has them\. \d+ statements", said)
    assert links.count() >= 4
    own = (desk.url, f"blob:{desk.url}")
    assert [request for request in desk.requests if not request.startswith(own)] == []
