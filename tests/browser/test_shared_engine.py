"""Several <leadout-chat> on one page that share an engine, which is fake, and runs two at once."""

from __future__ import annotations

import pytest
from pages import OpenPage
from playwright.sync_api import Page, expect

#: Puts two elements, `one` and `two`, in place of the page's own; the first one loads the model,
#: and the second one takes its engine. Each writes what its prompt says, word by word.
WITH_TWO = """
async ({ parallel }) => {
  const { FakeWorker } = await importApp("testing.js");
  const text = ({ prompt }) => ` ${prompt}`.repeat(40);
  const worker = new FakeWorker({ text, tokensPerSecond: 100 });
  const [one, two] = ["one", "two"].map((id) => {
    const chat = document.createElement("leadout-chat");
    chat.id = id;
    return chat;
  });
  document.querySelector("leadout-chat").replaceWith(one, two);
  one.loadOptions = { parallel, worker };
  one.model = { name: "fake", files: [] };
  await one.load();
  two.engine = one.engine;
  window.deltas = [];
  document.addEventListener("leadout-delta", ({ target }) => {
    deltas.push(target.id);
    window.onWritten?.(); // what a test does in the midst of it, however slow the machine is
  });
  window.write = async (...ids) => {
    const chats = ids.map((id) => document.getElementById(id));
    for (const chat of chats) chat.text = chat.id;
    const sent = chats.map((chat) => chat.send());
    const states = chats.map(({ state }) => state);
    await Promise.all(sent);
    return states;
  };
}
"""


WORDS = {"one": " one" * 40, "two": " two" * 40}


def open_two(open_page: OpenPage, parallel: int) -> Page:
    page = open_page(path="examples/embed.html", wait_for="idle").page
    page.evaluate(WITH_TWO, {"parallel": parallel})
    return page


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    return open_two(open_page, parallel=2)


def value(page: Page, of: str, name: str) -> str:
    """Return a property of an element."""
    found: str = page.locator(f"#{of}").evaluate("(chat, name) => chat[name]", name)
    return found


def test_both_write_at_the_same_time(page: Page) -> None:
    assert page.evaluate("write('one', 'two')") == ["generating", "generating"]
    for name, words in WORDS.items():
        assert value(page, name, "state") == "ready"
        assert value(page, name, "continuation") == words
    came: list[str] = page.evaluate("deltas")
    half = came[: len(came) // 2]
    assert half.count("one") > 10
    assert half.count("two") > 10


def test_one_waits_for_the_other_where_one_request_runs_at_a_time(open_page: OpenPage) -> None:
    page = open_two(open_page, parallel=1)
    assert page.evaluate("write('one', 'two')") == ["generating", "generating"]
    assert page.evaluate("deltas") == ["one"] * 40 + ["two"] * 40


def test_stop_stops_its_own_text_alone(page: Page) -> None:
    page.evaluate(
        """() => {
          window.onWritten = () => {
            if (!deltas.includes("one") || !deltas.includes("two")) return;
            window.onWritten = null;
            document.getElementById("one").shadowRoot.querySelector("[part=stop]").click();
          };
        }"""
    )
    page.evaluate("write('one', 'two')")
    assert value(page, "two", "continuation") == WORDS["two"]
    stopped = value(page, "one", "continuation")
    assert WORDS["one"].startswith(stopped)
    assert 0 < len(stopped) < len(WORDS["one"])
    page.evaluate("write('one')")  # and its element goes on
    assert value(page, "one", "continuation") == WORDS["one"]


#: Takes an element off the page once the other one has written something.
REMOVE = """(id) => {
  window.onWritten = () => document.getElementById(id)?.remove();
}"""


def test_who_shares_an_engine_leaves_it_to_its_owner(page: Page) -> None:
    page.evaluate(REMOVE, "two")
    page.evaluate("write('one')")
    assert value(page, "one", "state") == "ready"
    assert value(page, "one", "continuation") == WORDS["one"]


def test_an_owner_that_leaves_is_told_of_by_who_shared_its_engine(page: Page) -> None:
    page.evaluate(REMOVE, "one")
    page.evaluate("write('two')")
    assert value(page, "two", "state") == "failed"
    notice = page.locator("#two").locator("[part=notice]")
    expect(notice).to_contain_text("Other code that shares this model has unloaded it")
    expect(notice).to_contain_text("Load it again")


def test_who_writes_after_the_owner_has_left_is_told_too(page: Page) -> None:
    page.evaluate(
        """async () => {
          document.getElementById("one").remove();
          await new Promise((resolve) => setTimeout(resolve, 50));
        }"""
    )
    page.evaluate("write('two')")
    assert value(page, "two", "state") == "failed"
    notice = page.locator("#two").locator("[part=notice]")
    expect(notice).to_contain_text("Other code that shares this model has unloaded it")
    assert value(page, "two", "text") == "two"  # nothing is lost
