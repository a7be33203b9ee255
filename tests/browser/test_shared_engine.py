"""Several <leadout-chat> on one page that share an engine, which is fake, and runs two at once."""

from __future__ import annotations

import pytest
from pages import Chat, OpenPage
from playwright.sync_api import Locator, expect

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
  document.addEventListener("leadout-delta", ({ target }) => deltas.push(target.id));
}
"""


class Two:
    """Two elements on a page."""

    def __init__(self, chat: Chat, parallel: int) -> None:
        self.page = chat.page
        self.page.evaluate(WITH_TWO, {"parallel": parallel})
        self.one, self.two = Element(self.page.locator("#one")), Element(self.page.locator("#two"))

    def deltas(self) -> list[str]:
        """Whose the pieces of text were, in the order in which they came."""
        return list(self.page.evaluate("deltas"))


class Element(Chat):
    """One of several elements."""

    def __init__(self, element: Locator) -> None:
        super().__init__(element.page)
        self.element = element
        for part in ("send", "stop", "status", "notice"):
            setattr(self, part, element.locator(f"[part={part}]"))
        self.text_area = element.get_by_role("textbox", name="Text", exact=True)


@pytest.fixture
def two(open_page: OpenPage) -> Two:
    return Two(open_page(path="examples/embed.html", wait_for="idle"), parallel=2)


def test_both_write_at_the_same_time(two: Two) -> None:
    two.one.write("a")
    two.two.write("b")
    two.two.wait_until("chat.state === 'generating'")
    assert two.one.value("chat.state") == "generating"
    for element, word in ((two.one, "a"), (two.two, "b")):
        element.wait_until("chat.state === 'ready'")
        assert element.value("chat.continuation") == f" {word}" * 40
    came = two.deltas()
    first_end = min(
        len(came) - 1 - came[::-1].index("one"), len(came) - 1 - came[::-1].index("two")
    )
    assert came[:first_end].count("one") > 20
    assert came[:first_end].count("two") > 20


def test_one_waits_for_the_other_where_one_request_runs_at_a_time(open_page: OpenPage) -> None:
    two = Two(open_page(path="examples/embed.html", wait_for="idle"), parallel=1)
    two.one.write("a")
    two.one.wait_until("chat.continuation !== ''")
    two.two.write("b")
    two.two.wait_until("chat.continuation !== '' && chat.state === 'ready'")
    assert two.deltas() == ["one"] * 40 + ["two"] * 40


def test_stop_stops_its_own_text_alone(two: Two) -> None:
    two.one.write("a")
    two.two.write("b")
    for element in (two.one, two.two):
        element.wait_until("chat.continuation !== ''")
    two.one.stop.click()
    two.one.wait_until("chat.state === 'ready'")
    assert two.two.value("chat.state") == "generating"
    two.two.wait_until("chat.state === 'ready'")
    assert two.two.value("chat.continuation") == " b" * 40
    stopped = two.one.value("chat.continuation")
    assert stopped == " a" * (len(stopped) // 2)
    assert len(stopped) // 2 < 40
    two.one.send.click()  # and its element goes on
    two.one.wait_until("chat.state === 'ready' && chat.text.length > 100")


def test_who_shares_an_engine_leaves_it_to_its_owner(two: Two) -> None:
    two.one.write("a")
    two.one.wait_until("chat.continuation !== ''")
    two.page.evaluate("document.getElementById('two').remove()")
    two.one.wait_until("chat.state === 'ready'")
    assert two.one.value("chat.continuation") == " a" * 40


def test_an_owner_that_leaves_is_told_of_by_who_shared_its_engine(two: Two) -> None:
    two.two.write("b")
    two.two.wait_until("chat.continuation !== ''")
    two.page.evaluate("document.getElementById('one').remove()")
    two.two.wait_until("chat.state === 'failed'")
    expect(two.two.notice).to_contain_text("unloaded by what shares it with this element")
    expect(two.two.notice).to_contain_text("Load it again")


def test_who_writes_after_the_owner_has_left_is_told_too(two: Two) -> None:
    two.page.evaluate(
        """async () => {
          document.getElementById("one").remove();
          await new Promise((resolve) => setTimeout(resolve, 50));
        }"""
    )
    two.two.write("b")
    two.two.wait_until("chat.state === 'failed'")
    expect(two.two.notice).to_contain_text("unloaded by what shares it with this element")
    assert two.two.value("chat.text") == "b"  # nothing is lost
