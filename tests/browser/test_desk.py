"""The page while Nano is its model: a table, a brief, questions; over the fake worker."""

from __future__ import annotations

from typing import Any

import pytest
from pages import LISTED_MODELS, LISTED_NANO, Chat, OpenPage
from playwright.sync_api import Route, expect

from leadout_build.store.nano_prompts import EXAMPLE_TABLE_CSV, NANO_SYSTEM

INFO = {
    "has_chat_template": True,
    "context_length": 2048,
    "drafter": {"kind": "mtp", "name": "nano-assistant", "num_parameters": 1, "weights_bytes": 1},
    "max_draft_tokens": 7,
}
ANSWER = "DOGE fell most over the week (-8.96%)."

SYSTEM_TURN = {"role": "system", "content": NANO_SYSTEM}

#: Chromium takes it for this machine, the page does not.
AFAR = "http://leadout.localhost/"

OTHER_TABLE = "asset,price,1d\nABC,1.50,+2.00%\nXYZ,7.25,-0.10%"


def open_desk(open_page: OpenPage, **options: Any) -> Chat:
    models = [LISTED_NANO, *({**model, "default": False} for model in LISTED_MODELS)]
    return open_page(models=models, info=INFO, **{"text": f'"{ANSWER}"', **options})


def wait_for_answers(chat: Chat, count: int) -> None:
    chat.wait_until(f"received.filter((message) => message.type === 'generate').length === {count}")
    chat.wait_for_state("ready")


def sent(chat: Chat) -> list[dict[str, str]]:
    """Return the messages of the last request."""
    messages: list[dict[str, str]] = chat.received("generate")[-1]["request"]["messages"]
    return messages


def ask(chat: Chat, question: str) -> None:
    chat.page.get_by_role("textbox", name="Message").fill(question)
    chat.send.click()


def fill_table(chat: Chat, text: str) -> None:
    chat.page.get_by_label("Market table").fill(text)


def test_the_first_brief_is_written_without_a_click(open_page: OpenPage) -> None:
    chat = open_desk(open_page)
    wait_for_answers(chat, 1)
    request = chat.received("generate")[0]["request"]
    assert request["messages"] == [
        SYSTEM_TURN,
        {"role": "user", "content": f"{EXAMPLE_TABLE_CSV}\n\nWrite a brief."},
    ]
    assert request["temperature"] == 0
    assert "draft_tokens" not in request
    expect(chat.page.locator("[part=question] .content")).to_have_text("Write a brief.")
    expect(chat.page.locator("[part=answer] .content")).to_have_text(ANSWER)
    assert "max_draft_tokens" not in chat.received("load")[0]["options"]


@pytest.mark.parametrize(("first", "state"), [("nano", "ready"), ("gemma3-270m", "idle")])
def test_from_another_host_nano_alone_loads_unasked(
    open_page: OpenPage, first: str, state: str
) -> None:
    models = [
        {**model, "default": model["name"] == first} for model in (LISTED_NANO, *LISTED_MODELS)
    ]
    chat = open_page(models=models, info=INFO, path="build.json", wait_for=None)
    here = chat.page.url.removesuffix("build.json")

    def answer(route: Route) -> None:
        route.fulfill(response=route.fetch(url=route.request.url.replace(AFAR, here)))

    chat.page.route(f"{AFAR}**", answer)
    chat.page.goto(AFAR)
    chat.wait_for_state(state)
    chat.wait_until(
        f"document.querySelector('#model').selectedOptions[0].text.startsWith('{first}')"
    )
    assert len(chat.received("load")) == (1 if state == "ready" else 0)


@pytest.mark.parametrize(
    "question",
    [
        "Which asset fell most this week?",
        "Is ETH overbought?",
        "Compare BTC and SOL",
        "How many assets are up today?",
    ],
)
def test_a_question_is_a_click_and_the_table_is_said_once(
    open_page: OpenPage, question: str
) -> None:
    chat = open_desk(open_page)
    wait_for_answers(chat, 1)
    chat.page.get_by_role("button", name=question).click()
    wait_for_answers(chat, 2)
    messages = sent(chat)
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[1]["content"].startswith(EXAMPLE_TABLE_CSV)
    assert messages[3]["content"].rstrip(".") == question


def test_an_own_question_keeps_the_conversation(open_page: OpenPage) -> None:
    chat = open_desk(open_page)
    wait_for_answers(chat, 1)
    ask(chat, "What is the RSI of SOL?")
    wait_for_answers(chat, 2)
    assert sent(chat)[-1] == {"role": "user", "content": "What is the RSI of SOL?"}
    assert len(sent(chat)) == 4


def test_after_clear_the_table_is_said_again(open_page: OpenPage) -> None:
    chat = open_desk(open_page)
    wait_for_answers(chat, 1)
    chat.page.locator("[part=clear]").click()
    ask(chat, "Brief me.")
    wait_for_answers(chat, 2)
    assert sent(chat) == [
        SYSTEM_TURN,
        {"role": "user", "content": f"{EXAMPLE_TABLE_CSV}\n\nBrief me."},
    ]


def test_an_edited_table_begins_a_new_conversation_with_the_next_question(
    open_page: OpenPage,
) -> None:
    chat = open_desk(open_page)
    wait_for_answers(chat, 1)
    fill_table(chat, OTHER_TABLE + "\n")
    expect(chat.page.locator("#table-note")).to_contain_text("new conversation")
    expect(chat.page.locator("[part=answer]")).to_have_count(1)
    chat.page.get_by_role("button", name="Write a brief").click()
    wait_for_answers(chat, 2)
    assert sent(chat) == [
        SYSTEM_TURN,
        {"role": "user", "content": f"{OTHER_TABLE}\n\nWrite a brief."},
    ]
    expect(chat.page.locator("[part=answer]")).to_have_count(1)
    expect(chat.page.locator("#table-note")).to_be_hidden()
    chat.page.get_by_role("button", name="Back to the example").click()
    expect(chat.page.get_by_label("Market table")).to_have_value(EXAMPLE_TABLE_CSV)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "There is no table here"),
        ("Dear Nano, how are you?", "This is no market table"),
        ("asset,price\nBTC,NaN", '"NaN" in the row of BTC is no number'),
        ("asset,price\nBTC,1e400", '"1e400" in the row of BTC is no number'),
        ("asset,price\nBTC,1234567890123", "more than 12 digits"),
        ("asset,price,1d\nBTC,1", "The row of BTC has 2 cells; the header has 3."),
        (
            "asset,price,1d,7d\n" + "\n".join(f"A{i},{i}.123456,+1.25%,-2.50%" for i in range(100)),
            "The table is too long",
        ),
    ],
)
def test_what_cannot_be_sent_is_said_beside_the_table_and_nothing_is_lost(
    open_page: OpenPage, table: str, message: str
) -> None:
    chat = open_desk(open_page)
    wait_for_answers(chat, 1)
    fill_table(chat, table)
    ask(chat, "What is the price of BTC?")
    expect(chat.page.locator("#table-problem")).to_contain_text(message)
    expect(chat.page.get_by_role("textbox", name="Message")).to_have_value(
        "What is the price of BTC?"
    )
    expect(chat.page.get_by_label("Market table")).to_have_value(table)
    expect(chat.page.locator("[part=answer] .content")).to_have_text(ANSWER)
    assert len(chat.received("generate")) == 1
    fill_table(chat, OTHER_TABLE)
    expect(chat.page.locator("#table-problem")).to_be_hidden()
    chat.send.click()
    wait_for_answers(chat, 2)
    assert sent(chat)[-1]["content"] == f"{OTHER_TABLE}\n\nWhat is the price of BTC?"


def test_an_empty_and_an_endless_question_are_refused(open_page: OpenPage) -> None:
    chat = open_desk(open_page)
    wait_for_answers(chat, 1)
    ask(chat, "   ")
    expect(chat.status).to_have_text("Write something first.")
    question = "Why? " * 1000
    ask(chat, question)
    expect(chat.page.locator("#table-problem")).to_contain_text("The question is too long")
    expect(chat.page.get_by_role("textbox", name="Message")).to_have_value(question)
    assert len(chat.received("generate")) == 1


def test_a_long_conversation_forgets_its_first_questions_and_says_so(open_page: OpenPage) -> None:
    chat = open_desk(open_page, text='"word ".repeat(150)')
    for count in range(1, 8):
        wait_for_answers(chat, count)
        ask(chat, f"Question {count}?")
    wait_for_answers(chat, 8)
    messages = sent(chat)
    assert messages[0] == SYSTEM_TURN
    assert messages[1]["content"].startswith(f"{EXAMPLE_TABLE_CSV}\n\nQuestion ")
    assert messages[-1]["content"] == "Question 7?"
    assert len(messages) < 17
    expect(chat.page.locator("#table-note")).to_contain_text("no longer sees the first questions")
    expect(chat.page.locator("[part=answer]")).to_have_count(8)


def test_a_text_that_somebody_began_is_not_cut_by_the_first_brief(open_page: OpenPage) -> None:
    chat = open_desk(open_page, loadMs=1500, wait_for="loading_weights")
    fill_table(chat, OTHER_TABLE)
    chat.wait_for_state("ready")
    chat.page.wait_for_timeout(200)
    assert chat.received("generate") == []


def test_another_model_gets_the_page_as_it_was(open_page: OpenPage) -> None:
    chat = open_desk(open_page)
    wait_for_answers(chat, 1)
    desk = chat.page.get_by_role("region", name="A small finance desk")
    expect(desk).to_be_visible()
    chat.page.locator("#model").select_option(label="gemma3-270m (253 MB)")
    chat.wait_for_loads(2)
    chat.wait_for_state("ready")
    expect(desk).to_be_hidden()
    assert chat.value("chat.settings.temperature") == 0.7
    ask(chat, "Hello?")
    wait_for_answers(chat, 2)
    assert sent(chat)[-1] == {"role": "user", "content": "Hello?"}
    assert SYSTEM_TURN not in sent(chat)
    chat.page.locator("#model").select_option(label="nano (13 MB)")
    chat.wait_for_loads(3)
    chat.wait_for_state("ready")
    expect(desk).to_be_visible()
    assert len(chat.received("generate")) == 2  # the first brief comes once


def test_the_page_says_what_nano_is_and_how_to_get_more(open_page: OpenPage) -> None:
    chat = open_desk(open_page)
    desk = chat.page.get_by_role("region", name="A small finance desk")
    expect(desk).to_contain_text("small demonstration model")
    expect(desk).to_contain_text("gives no advice")
    larger = chat.page.get_by_role("region", name="Gemma 4 or Gemma 3")
    expect(larger).to_contain_text("leadout pull gemma-4-e2b")
    expect(larger).to_contain_text("leadout pull gemma3-270m")


@pytest.mark.parametrize("width", [360, 1280])
def test_the_desk_fits_its_window(open_page: OpenPage, width: int) -> None:
    viewport = {"width": width, "height": 800}
    chat = open_desk(open_page, context_options={"viewport": viewport})
    wait_for_answers(chat, 1)
    fill_table(chat, "x" * 500)
    chat.page.get_by_role("button", name="Write a brief").click()
    expect(chat.page.locator("#table-problem")).to_be_visible()
    assert chat.page.evaluate("document.documentElement.scrollWidth") == width
