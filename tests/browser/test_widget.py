"""<leadout-chat> on a bare page: its attributes, events and life, with a fake engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pages import LISTED_NANO, WITH_ADAPTER, Chat, OpenPage
from playwright.sync_api import expect

#: Puts an element with a fake engine into the page, in place of the page's own.
WITH_FAKE_ENGINE = """
async ({ options, attributes }) => {
  const { createFakeEngine } = await importApp("testing.js");
  const chat = document.createElement("leadout-chat");
  for (const [name, value] of Object.entries(attributes)) chat.setAttribute(name, value);
  chat.engine = await createFakeEngine(options);
  window.events = [];
  for (const name of ["phase", "progress", "delta", "finish", "error"]) {
    document.addEventListener(`leadout-${name}`, ({ type, detail }) => {
      window.events.push([type, JSON.parse(JSON.stringify(detail))]);
    });
  }
  document.querySelector("leadout-chat").replaceWith(chat);
}
"""


def open_widget(
    open_page: OpenPage,
    attributes: dict[str, str] | None = None,
    context_options: dict[str, Any] | None = None,
    **options: Any,
) -> Chat:
    """Open a page with one element over a fake engine; `window.events` has what it says."""
    chat = open_page(path="examples/embed.html", wait_for="idle", context_options=context_options)
    chat.page.evaluate(WITH_FAKE_ENGINE, {"options": options, "attributes": attributes or {}})
    chat.wait_for_state("ready")
    return chat


def events(chat: Chat, name: str) -> list[dict[str, Any]]:
    """Return the details of the events of a name, oldest first."""
    return [detail for kind, detail in chat.page.evaluate("window.events") if kind == name]


def test_a_set_engine_makes_the_element_ready(open_page: OpenPage) -> None:
    chat = open_widget(open_page)
    assert chat.figure("adapter") == "Fake adapter"
    expect(chat.notice).to_be_hidden()


def test_deltas_and_the_finish_leave_the_shadow_tree(open_page: OpenPage) -> None:
    chat = open_widget(open_page, text=" one two three")
    chat.write("Zero")
    chat.wait_for_state("ready")
    chat.wait_until("chat.continuation === ' one two three'")
    assert "".join(delta["text"] for delta in events(chat, "leadout-delta")) == " one two three"
    (finish,) = events(chat, "leadout-finish")
    assert finish["text"] == " one two three"
    assert finish["finish_reason"] == "stop"
    assert finish["stats"]["decode_tokens"] == 2


def test_a_stopped_text_finishes_with_abort(open_page: OpenPage) -> None:
    chat = open_widget(open_page, text="word " * 500, tokensPerSecond=50)
    chat.write("Go ")
    chat.wait_until("chat.continuation.length > 5")
    chat.value("chat.stop()")
    chat.wait_for_state("ready")
    (finish,) = events(chat, "leadout-finish")
    assert finish["finish_reason"] == "abort"
    assert finish["text"] == chat.value("chat.continuation")


def test_an_error_is_an_event_with_its_name(open_page: OpenPage) -> None:
    record = """
    addEventListener("leadout-error", ({ detail }) => { window.error = detail.error.name; });
    """
    error = {"name": "UnsupportedModelError", "message": "The architecture is llama."}
    chat = open_page(init=WITH_ADAPTER + record, loadError=error, wait_for="failed")
    assert chat.page.evaluate("window.error") == "UnsupportedModelError"


def test_only_autoload_or_a_click_starts_a_download(open_page: OpenPage) -> None:
    chat = open_page(path="examples/embed.html", models=[LISTED_NANO], wait_for="idle")
    expect(chat.notice).to_be_visible()
    assert chat.received("boot") == []
    chat.value("chat.toggleAttribute('autoload', true)")
    chat.wait_for_state("ready")
    assert len(chat.received("load")) == 1


def test_importing_the_class_registers_nothing(open_page: OpenPage) -> None:
    chat = open_page(path="icon.svg", wait_for=None)
    registered = chat.page.evaluate(
        """async () => {
          const isRegistered = () => customElements.get("leadout-chat") !== undefined;
          await importApp("widget/leadout-chat.js");
          const before = isRegistered();
          await importApp("widget/define.js");
          return [before, isRegistered()];
        }"""
    )
    assert registered == [False, True]


def test_properties_set_before_the_definition_count(open_page: OpenPage) -> None:
    chat = open_page(path="manifest.webmanifest", wait_for=None)
    chat.page.evaluate(
        """async () => {
          document.body.replaceChildren();
          const chat = document.createElement("leadout-chat");
          chat.text = "Written early";
          chat.settings = { max_tokens: 9 };
          document.body.append(chat);
          await importApp("widget/define.js");
        }"""
    )
    chat.wait_for_state("idle")
    assert chat.value("chat.text") == "Written early"
    assert chat.value("chat.settings.max_tokens") == 9


def test_an_element_that_moves_keeps_its_model(open_page: OpenPage) -> None:
    chat = open_page()
    chat.page.evaluate(
        """async () => {
          document.body.append(document.querySelector("leadout-chat"));
          await new Promise((resolve) => setTimeout(resolve, 50));
        }"""
    )
    chat.write("Go")
    chat.wait_until("chat.continuation === ' Paris.'")
    assert len(chat.received("load")) == 1


def test_an_element_that_leaves_ends_its_worker(open_page: OpenPage) -> None:
    chat = open_page()
    state = chat.page.evaluate(
        """async () => {
          const chat = document.querySelector("leadout-chat");
          const { engine } = chat;
          chat.remove();
          await new Promise((resolve) => setTimeout(resolve, 50));
          const error = await engine.tokenize("x").catch((error) => error);
          return [chat.state, chat.engine, error.name];
        }"""
    )
    assert state == ["idle", None, "AbortError"]


def test_another_model_unloads_the_one_before(open_page: OpenPage) -> None:
    chat = open_page()
    error = chat.page.evaluate(
        """async () => {
          const chat = document.querySelector("leadout-chat");
          const { engine } = chat;
          chat.model = "gemma3-1b-it";
          return (await engine.tokenize("x").catch((error) => error)).name;
        }"""
    )
    assert error == "AbortError"
    chat.wait_for_state("ready")  # autoload
    assert chat.value("chat.engine.info.name") == "gemma3-1b-it"


def test_an_edit_within_the_continuation_is_the_persons(open_page: OpenPage) -> None:
    chat = open_widget(open_page, text=" Paris, of course.")
    chat.write("The capital is")
    chat.wait_until("chat.continuation === ' Paris, of course.'")
    chat.text_area.fill("The capital is Lyon, of course.")
    authors = chat.page.locator(".copy span:not(.end)").evaluate_all(
        "spans => spans.map((span) => [span.className, span.textContent])"
    )
    assert authors == [
        ["", "The capital is"],
        ["model", " "],
        ["", "Lyon"],
        ["model", ", of course."],
    ]
    assert chat.value("chat.text") == "The capital is Lyon, of course."


def test_take_back_removes_what_the_model_wrote_last(open_page: OpenPage) -> None:
    chat = open_widget(open_page, text=" Paris.")
    chat.write("The capital is")
    chat.wait_until("chat.continuation === ' Paris.'")
    chat.send.click()
    chat.wait_until("chat.text === 'The capital is Paris. Paris.'")
    chat.wait_for_state("ready")
    for left in ("The capital is Paris.", "The capital is"):
        chat.page.get_by_role("button", name="Take back").click()
        assert chat.value("chat.text") == left
    expect(chat.page.get_by_role("button", name="Take back")).to_be_disabled()
    chat.page.get_by_role("button", name="Clear").click()
    assert chat.value("chat.text") == ""
    expect(chat.text_area).to_be_focused()


def test_nothing_to_continue_is_said(open_page: OpenPage) -> None:
    chat = open_widget(open_page)
    chat.send.click()
    expect(chat.status).to_have_text("Write something first.")
    expect(chat.text_area).to_be_focused()


def test_the_copy_lies_exactly_beneath_the_text_area(open_page: OpenPage) -> None:
    chat = open_widget(open_page, text=(" a few words more" * 30 + "\n") * 2)
    chat.value("chat.settings = { max_tokens: 500 }")
    chat.write("A line\n\n\tand another ")
    chat.wait_for_state("ready")
    chat.wait_until("chat.continuation.length > 1000")
    sizes = chat.value(
        """["textarea", ".copy"].map((selector) => {
          const element = chat.shadowRoot.querySelector(".stack > " + selector);
          return [element.clientWidth, element.clientHeight, element.scrollHeight];
        })"""
    )
    assert sizes[0] == sizes[1]
    assert sizes[0][1] == sizes[0][2]


def test_a_long_text_scrolls_along_unless_the_person_scrolled_away(open_page: OpenPage) -> None:
    chat = open_widget(open_page, text="word " * 3000, tokensPerSecond=200)
    chat.value("chat.settings = { max_tokens: 3000 }")
    chat.write("line\n" * 40)
    chat.wait_until("chat.continuation.length > 50")
    scroller = chat.page.locator(".scroller")
    scroller.evaluate("scroller => { scroller.scrollTop = 0; }")
    length = chat.value("chat.text.length")
    chat.wait_until(f"chat.text.length > {length} + 50")
    assert scroller.evaluate("scroller => scroller.scrollTop") == 0
    scroller.evaluate("scroller => { scroller.scrollTop = scroller.scrollHeight; }")
    height = scroller.evaluate("scroller => scroller.scrollHeight")
    chat.wait_until(f"chat.shadowRoot.querySelector('.scroller').scrollHeight > {height}")
    chat.stop.click()
    chat.wait_for_state("ready")
    assert scroller.evaluate(
        "scroller => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 48"
    )


def test_an_error_before_the_first_word_gives_the_question_back(open_page: OpenPage) -> None:
    error = {"name": "ChatTemplateError", "message": "The template refused the messages."}
    chat = open_widget(open_page, {"mode": "chat"}, generateError=error)
    message = chat.page.get_by_role("textbox", name="Message")
    message.fill("Hello?")
    chat.send.click()
    expect(chat.notice).to_contain_text("The template refused the messages.")
    expect(message).to_have_value("Hello?")
    assert chat.value("chat.messages") == []


def test_trying_again_sends_what_failed_and_leaves_a_draft_alone(open_page: OpenPage) -> None:
    error = {"name": "ChatTemplateError", "message": "The template refused the messages."}
    chat = open_widget(open_page, {"mode": "chat"}, generateError=error)
    chat.page.get_by_role("textbox", name="Message").fill("A draft")
    chat.element.evaluate(
        """(chat) => {
          window.prepared = [];
          chat.prepareMessages = (said) => {
            prepared.push(said.at(-1).content);
            return said;
          };
          return chat.send({ message: "Is it?" });
        }"""
    )
    for sent in (1, 2):
        expect(chat.notice).to_contain_text("The template refused the messages.")
        assert chat.page.evaluate("prepared") == ["Is it?"] * sent
        assert chat.value("chat.messages") == []
        assert chat.value("chat.text") == "A draft"
        chat.notice.get_by_role("button", name="Try again").click()


def test_the_mode_attribute_wins_over_the_models_template(open_page: OpenPage) -> None:
    chat = open_widget(open_page, {"mode": "completion"}, info={"has_chat_template": True})
    expect(chat.text_area).to_be_visible()
    chat.value("chat.removeAttribute('mode')")
    expect(chat.page.get_by_role("textbox", name="Message")).to_be_visible()


@pytest.mark.parametrize("name", ["mine.gguf", "Ünï çödé.gguf"])
def test_a_file_is_a_model_too(open_page: OpenPage, tmp_path: Path, name: str) -> None:
    chat = open_page(path="examples/embed.html", wait_for="idle")
    chat.element.evaluate("(chat, name) => { chat.model = new File(['GGUF'], name); }", name)
    expect(chat.notice).to_contain_text(name)
    chat.notice.get_by_role("button", name="Load model").click()
    chat.wait_for_state("ready")
    (load,) = chat.received("load")
    assert load["model"]["files"][0]["name"] == name


def test_a_page_can_send_a_message_and_prepare_what_the_model_gets(open_page: OpenPage) -> None:
    chat = open_widget(open_page, {"mode": "chat"}, text="Yes.")
    chat.page.get_by_role("textbox", name="Message").fill("A draft")
    chat.element.evaluate(
        """(chat) => {
          window.prepared = [];
          chat.prepareMessages = (said) => {
            prepared.push(said);
            return said.length > 2 ? null : [{ role: "system", content: "Be brief." }, ...said];
          };
          return chat.send({ message: "Is it?" });
        }"""
    )
    chat.wait_for_state("ready")
    shown = [
        {"role": "user", "content": "Is it?"},
        {"role": "assistant", "content": "Yes."},
    ]
    assert chat.value("chat.messages") == shown
    chat.send.click()
    assert chat.page.evaluate("prepared") == [
        shown[:1],
        [*shown, {"role": "user", "content": "A draft"}],
    ]
    # Refused: nothing is lost.
    assert chat.value("chat.messages") == shown
    assert chat.value("chat.text") == "A draft"
    assert chat.value("chat.state") == "ready"
