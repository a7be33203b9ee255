"""<leadout-chat> as a field of a form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pages import LISTED_NANO, Chat, OpenPage
from playwright.sync_api import expect

#: Puts the page's element into a form; `text` is what submits say.
WRAP = """(chat, attributes) => {
  const form = document.createElement("form");
  form.id = "form";
  const fields = document.createElement("fieldset");
  const label = document.createElement("label");
  label.textContent = "The brief";
  label.htmlFor = "chat";
  chat.id = "chat";
  for (const [name, value] of Object.entries(attributes)) chat.setAttribute(name, value);
  chat.replaceWith(form);
  fields.append(label, chat);
  form.append(fields);
  window.sent = [];
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    window.sent.push([...new FormData(form)]);
  });
}"""


@pytest.fixture
def open_form(open_page: OpenPage) -> Any:
    def open_one(**attributes: str) -> Chat:
        embedded = {"path": "examples/embed.html", "models": [LISTED_NANO]}
        chat = open_page(**embedded, wait_for="idle", info=CHAT)
        chat.element.evaluate(WRAP, attributes)
        chat.value("chat.load()")
        chat.wait_for_state("ready")
        return chat

    return open_one


CHAT = {"has_chat_template": True}


def submit(chat: Chat) -> list[list[str]] | None:
    """Submit the form; return what it sent, None where it was not sent."""
    chat.page.evaluate("(form => { window.sent = []; form.requestSubmit(); })(window.form)")
    sent: list[list[list[str]]] = chat.page.evaluate("window.sent")
    return sent[0] if sent else None


def ask(chat: Chat, text: str = "Why?") -> None:
    chat.page.get_by_role("textbox", name="Message").fill(text)
    chat.send.click()
    chat.wait_until("chat.state === 'ready' && chat.continuation !== ''")


def test_the_last_answer_is_the_value(open_form: Any) -> None:
    chat = open_form(name="brief", mode="chat")
    assert submit(chat) == [["brief", ""]]
    ask(chat)
    assert chat.value("chat.value") == " Paris."
    assert submit(chat) == [["brief", " Paris."]]
    assert chat.value("[chat.name, chat.type, chat.form.id, chat.labels[0].textContent]") == [
        *("brief", "leadout-chat", "form", "The brief"),
    ]
    chat.value("chat.setAttribute('submits', 'conversation')")
    ((name, value),) = submit(chat) or []
    assert (name, [message["role"] for message in json.loads(value)]) == (
        "brief",
        ["user", "assistant"],
    )
    # Without a name nothing is sent; outside of the form neither.
    chat.value("chat.removeAttribute('name')")
    assert submit(chat) == []
    chat.value("(chat.name = 'brief', document.body.append(chat))")
    assert submit(chat) == []


def test_a_form_waits_for_an_answer_that_is_required(open_form: Any) -> None:
    chat = open_form(name="brief", mode="chat", required="")
    assert chat.value("[chat.willValidate, chat.validity.valueMissing]") == [True, True]
    assert submit(chat) is None
    expect(chat.status).to_contain_text("There is no answer yet")
    assert chat.page.evaluate("document.activeElement.id") == "chat"
    ask(chat)
    assert chat.value("chat.checkValidity()")
    assert submit(chat) == [["brief", " Paris."]]
    chat.value("chat.setCustomValidity('Ask about Rome.')")
    assert submit(chat) is None
    expect(chat.status).to_have_text("Ask about Rome.")
    chat.value("chat.setCustomValidity('')")
    chat.value("(chat.messages = [])")
    assert not chat.value("chat.reportValidity()")
    chat.value("(chat.required = false)")
    assert chat.value("chat.checkValidity()")


def test_a_reset_begins_anew(open_form: Any) -> None:
    chat = open_form(name="brief", mode="chat")
    ask(chat)
    chat.page.get_by_role("textbox", name="Message").fill("And then?")
    chat.page.evaluate("window.form.reset()")
    assert chat.value("[chat.messages, chat.text, chat.value, chat.state]") == [[], "", "", "ready"]
    ask(chat)
    assert submit(chat) == [["brief", " Paris."]]


def test_a_disabled_field_takes_no_part(open_form: Any) -> None:
    chat = open_form(name="brief", mode="chat", required="")
    for disable, enable in (
        ("chat.disabled = true", "chat.disabled = false"),
        ("chat.form.firstChild.disabled = true", "chat.form.firstChild.disabled = false"),
    ):
        chat.value(f"({disable})")
        assert chat.value("[chat.willValidate, chat.matches(':disabled')]") == [False, True]
        assert submit(chat) == []
        box = chat.page.locator("leadout-chat textarea").first
        box.focus()
        assert chat.page.evaluate("document.activeElement.localName") == "body"
        chat.value(f"({enable})")
        assert not chat.value("chat.willValidate && chat.checkValidity()")
        box.focus()
        assert chat.page.evaluate("document.activeElement.id") == "chat"
