"""Conversations that the page keeps: listed, searched, renamed, deleted, in files, in two tabs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attacks import ATTACKS, watch
from pages import FAKE_WORKER, LISTED_MODELS, LISTED_NANO, WITH_ADAPTER, Chat, OpenPage
from playwright.sync_api import Page, expect

CHATS = {"has_chat_template": True}

#: Writes conversations where the page keeps them, as many tabs over years would have.
FILL = """
async (count) => {
  const opening = indexedDB.open("leadout-chats", 1);
  const database = await new Promise((resolve) => { opening.onsuccess = () => resolve(opening.result); });
  const transaction = database.transaction(["conversations", "messages"], "readwrite");
  for (let i = 0; i < count; i++) {
    const id = i.toString(16).padStart(32, "0");
    transaction.objectStore("conversations").put({
      id, title: `Number ${i}`, is_named: false, created_ms: i, changed_ms: i, leaf: `f${id.slice(1)}`, deleted_ms: null,
    });
    transaction.objectStore("messages").put({
      id: `f${id.slice(1)}`, conversation: id, parent: null, role: "user", content: `needle-${i} in it`, created_ms: i,
    });
  }
  await new Promise((resolve) => { transaction.oncomplete = resolve; });
}
"""  # noqa: E501 - JavaScript


def ask(chat: Chat, question: str, num_messages: int) -> None:
    message = chat.page.get_by_role("textbox", name="Message", exact=True)
    message.fill(question)
    message.press("Enter")
    chat.wait_until(f"chat.messages.length === {num_messages} && chat.state === 'ready'")


def choose(page: Page, title: str, action: str) -> None:
    row = page.locator("#chats-list li").filter(has_text=title)
    row.get_by_role("button", name="More for").click()
    row.get_by_role("button", name=action).click()


def contents(chat: Chat) -> list[str]:
    return [message["content"] for message in chat.value("chat.messages")]


def test_conversations_are_kept_listed_found_renamed_and_deleted(open_page: OpenPage) -> None:
    chat = open_page(info=CHATS, text='"An answer."')
    page = chat.page
    for question in ("What is a lemon?", "What is a plum?\nSay it"):
        page.get_by_role("button", name="New chat").click()
        ask(chat, question, 2)
    expect(page.locator("#chats-list .open")).to_have_text(["What is a plum?", "What is a lemon?"])
    page.reload()
    chat.wait_for_state("ready")
    # This tab shows what it showed; another one begins anew.
    assert contents(chat) == ["What is a plum?\nSay it", "An answer."]
    page.locator("#chats-list .open").nth(1).click()
    chat.wait_until("chat.messages[0].content === 'What is a lemon?'")
    expect(page.locator("[aria-current]")).to_have_text("What is a lemon?")
    ask(chat, "And a lime?", 4)
    expect(page.locator("#chats-list .open")).to_have_text(["What is a lemon?", "What is a plum?"])

    choose(page, "What is a plum?", "Rename")
    page.get_by_role("textbox", name="Name of the conversation").fill("Stone fruit")
    page.keyboard.press("Enter")
    expect(page.locator("#chats-list .open").nth(1)).to_have_text("Stone fruit")
    page.get_by_role("searchbox").fill("say it")  # in a message, not in a title
    expect(page.locator("#chats-list .open")).to_have_text(["Stone fruit"])
    page.get_by_role("searchbox").fill("LIME")
    expect(page.locator("#chats-list .open")).to_have_text(["What is a lemon?"])
    choose(page, "What is a lemon?", "Delete")
    expect(page.locator("#chats-note")).to_have_text("Nothing was found.")
    assert contents(chat) == []
    expect(page.get_by_role("button", name="Undo")).to_be_focused()
    page.keyboard.press("Enter")
    chat.wait_until("chat.messages.length === 4")
    page.get_by_role("searchbox").fill("")
    expect(page.locator("#chats-list .open")).to_have_count(2)
    choose(page, "Stone fruit", "Delete")
    expect(page.locator("#chats-list .open")).to_have_text(["What is a lemon?"])
    assert len(contents(chat)) == 4


def test_two_tabs_write_to_one_conversation_and_neither_loses(open_page: OpenPage) -> None:
    chat = open_page(info=CHATS, text='"An answer."', parallel=1)
    ask(chat, "From the first", 2)
    expect(chat.page.locator("#chats-list .open")).to_have_count(1)
    page = chat.page.context.new_page()
    # The same worker and models as the first tab has.
    options = {"info": CHATS, "tokensPerSecond": 20}
    worker = FAKE_WORKER % {"options": json.dumps(options), "text": '"one two three four"'}
    page.route(
        "**/worker.js", lambda route: route.fulfill(body=worker, content_type="text/javascript")
    )
    page.route("**/models/index.json", lambda route: route.fulfill(json={"models": LISTED_MODELS}))
    page.goto(chat.page.url)
    other = Chat(page)
    other.wait_for_state("ready")
    assert contents(other) == []
    page.locator("#chats-list .open").click()
    other.wait_until("chat.messages.length === 2")
    # Both ask at a time; each writes while the other one does.
    other.value("(chat.send({ message: 'From the second' }), 0)")
    chat.value("(chat.send({ message: 'From the first again' }), 0)")
    for tab in (chat, other):
        tab.wait_until(
            "chat.conversation.messages.length === 6 && chat.state === 'ready' && "
            "chat.conversation.messages.every(({ content }) => content)"
        )
    for tab in (chat, other):
        tab.wait_until(
            "chat.conversation.messages.some(({ content }) => content === 'one two three four')"
        )
        said = [message["content"] for message in tab.value("chat.conversation.messages")]
        assert sorted(said) == [
            *("An answer.", "An answer.", "From the first", "From the first again"),
            *("From the second", "one two three four"),
        ]
    page.reload()
    other.wait_for_state("ready")
    other.wait_until("chat.conversation.messages.length === 6")
    # Deleted in one tab, it is closed in the other.
    choose(chat.page, "From the first", "Delete")
    other.wait_until("chat.messages.length === 0")


def test_an_answer_that_is_left_while_it_is_written_stays_where_it_belongs(
    open_page: OpenPage,
) -> None:
    chat = open_page(info=CHATS, text='"word ".repeat(400)', tokensPerSecond=50)
    page = chat.page
    for question in ("First", "Second"):
        page.get_by_role("button", name="New chat").click()
        page.get_by_role("textbox", name="Message", exact=True).fill(question)
        page.keyboard.press("Enter")
        chat.wait_until("chat.continuation.length > 20")
    page.locator("#chats-list .open").filter(has_text="First").click()
    chat.wait_until("chat.messages[0]?.content === 'First' && chat.state === 'ready'")
    first = contents(chat)
    assert len(first) == 2
    assert first[1].startswith("word word word")
    page.locator("#chats-list .open").filter(has_text="Second").click()
    chat.wait_until("chat.messages[0]?.content === 'Second'")
    assert len(contents(chat)) == 2
    assert len(contents(chat)[1]) > 20
    expect(page.locator("#chats-list .open")).to_have_count(2)


def test_private_keeps_nothing(open_page: OpenPage) -> None:
    chat = open_page(info=CHATS, text='"An answer."')
    page = chat.page
    ask(chat, "Keep this", 2)
    page.get_by_label("Private: keep nothing").check()
    assert contents(chat) == []
    ask(chat, "A secret", 2)
    page.reload()
    chat.wait_for_state("ready")
    expect(page.locator("#chats-list .open")).to_have_text(["Keep this"])
    assert contents(chat) == []
    expect(page.get_by_label("Private: keep nothing")).to_be_checked()
    page.get_by_role("searchbox").fill("secret")
    expect(page.locator("#chats-note")).to_contain_text("Private")
    expect(page.locator("#chats-list .open")).to_have_count(0)


def test_the_desks_own_brief_is_not_kept_before_somebody_asks(open_page: OpenPage) -> None:
    chat = open_page(models=[LISTED_NANO], info={**CHATS, "context_length": 2048}, text='"Brief."')
    chat.wait_until("chat.messages.length === 2 && chat.state === 'ready'")
    ask(chat, "What is the RSI of SOL?", 4)
    chat.page.get_by_role("button", name="Conversations").click()
    expect(chat.page.locator("#chats-list .open")).to_have_text(["Write a brief."])
    chat.page.reload()
    chat.wait_until("chat.messages.length === 4 && chat.state === 'ready'")
    assert len(chat.received("generate")) == 0


def exported(chat: Chat, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    with chat.page.expect_download() as download:
        chat.page.get_by_role("button", name="Export all").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return path, json.loads(path.read_text("utf-8"))


def import_file(page: Page, content: str | bytes) -> None:
    buffer = content if isinstance(content, bytes) else content.encode()
    page.locator("#chats-file").set_input_files(
        {"name": "chats.json", "mimeType": "application/json", "buffer": buffer}
    )


def test_a_file_brings_conversations_back_and_hostile_ones_harm_nothing(
    open_page: OpenPage, tmp_path: Path
) -> None:
    chat = open_page(info=CHATS, text='"An answer."', context_options={})
    page = chat.page
    ask(chat, "Keep this", 2)
    expect(page.locator("#chats-list .open")).to_have_count(1)
    _, file = exported(chat, tmp_path)
    (conversation,) = file["conversations"]
    question, answer = conversation["messages"]

    def changed(**changes: Any) -> str:
        return json.dumps({**file, "conversations": [{**conversation, **changes}]})

    refused = {
        "not JSON": "\x00\x01",
        "has no conversations": '{"format": "chatgpt", "conversations": []}',
        "is of version 99": json.dumps({**file, "version": 99}),
        "Conversation 1 has an id": changed(id="../x"),
        "Conversation 1 has no title": changed(title={}),
        "has the role": changed(messages=[{**question, "role": "root"}, answer]),
        "that is not earlier": changed(messages=[{**question, "parent": answer["id"]}, answer]),
        "has no text, or too much": changed(messages=[{**question, "content": "x" * 1_000_001}]),
        "ends with a message": changed(leaf="0" * 32),
        "Nothing was imported": json.dumps([[[]]]),
    }
    for words, content in refused.items():
        import_file(page, content)
        expect(page.locator("#chats-problem")).to_contain_text(words)
        expect(page.locator("#chats-problem")).to_contain_text("Nothing was imported")
    expect(page.locator("#chats-list .open")).to_have_count(1)

    # Names, texts and calls that want to run; and the one that is here, which stays as it is.
    found = watch(page)
    hostile = [
        {
            **conversation,
            "id": f"{index:032x}",
            "title": text[:200],
            "leaf": f"{index + 1000:032x}",
            "messages": [{**answer, "id": f"{index + 1000:032x}", "parent": None, "content": text}],
        }
        for index, (_, text) in enumerate(ATTACKS)
    ]
    import_file(page, changed(title="Another name").replace("An answer.", "Another answer"))
    import_file(page, json.dumps({**file, "conversations": hostile, "__proto__": {"x": 1}}))
    expect(page.locator("#chats-toggle")).to_contain_text(f"({len(ATTACKS) + 1})")
    rows = page.locator("#chats-list")
    tags = rows.evaluate(
        "list => [...list.querySelectorAll('*')].map(({ localName }) => localName)"
    )
    assert set(tags) == {"li", "button", "input", "div"}
    for name in ("override of direction", "link", "picture that fails"):
        text = dict(ATTACKS)[name]
        index = [kind for kind, _ in ATTACKS].index(name)
        page.get_by_role("searchbox").fill(text)
        rows.get_by_role("button", name=text.replace("\u202e", "").strip("\u202c")).first.click()
        chat.wait_until(f"chat.conversation.messages[0].id === '{index + 1000:032x}'")
    page.get_by_role("searchbox").fill("Keep this")
    rows.locator(".open").click()
    chat.wait_until("chat.messages[1]?.content === 'An answer.'")
    assert found == []


def test_ten_thousand_conversations_are_listed_and_searched_without_lag(
    open_page: OpenPage,
) -> None:
    chat = open_page(info=CHATS)
    page = chat.page
    page.evaluate(FILL, 10_000)
    page.reload()
    expect(page.locator("#chats-toggle")).to_contain_text("(10000)")
    assert page.locator("#chats-list li").count() < 250
    page.evaluate(
        """() => {
          window.longest = 0;
          const watch = (entries) => entries.forEach(({ duration }) => {
            longest = Math.max(longest, duration);
          });
          new PerformanceObserver((list) => watch(list.getEntries())).observe({ type: "longtask" });
        }"""
    )
    page.get_by_role("searchbox").fill("needle-77 in")
    expect(page.locator("#chats-list .open")).to_have_text(["Number 77"])
    page.get_by_role("searchbox").fill("")
    page.locator("#chats-list").evaluate("list => { list.scrollTop = list.scrollHeight; }")
    expect(page.locator("#chats-list .open").nth(150)).to_have_text("Number 9849")
    assert page.evaluate("longest") < 1000  # 80 ms here, alone


def test_presets_set_the_settings_and_own_ones_are_kept(open_page: OpenPage) -> None:
    chat = open_page(info=CHATS)
    page = chat.page
    page.get_by_text("Settings", exact=True).click()
    page.get_by_label("Preset", exact=True).select_option("Precise")
    assert chat.value("chat.settings.temperature") == 0
    chat.value("(chat.settings = { temperature: 1.5, system_prompt: 'Be kind.' }, 0)")
    page.get_by_label("Name of a new preset").fill("Mine")
    page.get_by_label("Name of a new preset").press("Enter")
    page.reload()
    chat.wait_for_state("ready")
    page.get_by_text("Settings", exact=True).click()
    page.get_by_label("Preset", exact=True).select_option("Mine")
    settings = chat.value("chat.settings")
    assert (settings["temperature"], settings["system_prompt"]) == (1.5, "Be kind.")
    page.locator("#preset-delete").click()
    expect(page.get_by_label("Preset", exact=True).locator("option")).to_have_count(4)


@pytest.mark.parametrize("broken", ["undefined", "{ open() { throw new Error('switched off') } }"])
def test_a_browser_that_keeps_nothing_says_so_and_chats(open_page: OpenPage, broken: str) -> None:
    init = f"Object.defineProperty(window, 'indexedDB', {{ value: {broken} }});"
    chat = open_page(info=CHATS, text='"An answer."', init=WITH_ADAPTER + init)
    expect(chat.page.locator("#chats-problem")).to_contain_text("cannot be kept in this browser")
    ask(chat, "Still there?", 2)
