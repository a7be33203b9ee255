"""The page with a drafter: choosing it, its figures, marked tokens; and reasoning apart."""

from __future__ import annotations

from typing import Any

import pytest
from pages import LISTED_WITH_DRAFTER, Chat, OpenPage
from playwright.sync_api import expect
from test_page import CONTRASTS, PHONE

WORDS = '" a b c d e f g h i j"'
CHAT = {"has_chat_template": True}


@pytest.fixture
def open_drafting(open_page: OpenPage) -> OpenPage:
    """A factory of pages whose site lists a model with a drafter."""

    def open_one(**options: Any) -> Chat:
        return open_page(**{"models": LISTED_WITH_DRAFTER, "text": WORDS, **options})

    return open_one


def ask(chat: Chat, text: str = "Why?") -> None:
    """Send a message in chat mode."""
    chat.page.get_by_role("textbox", name="Message").fill(text)
    chat.page.get_by_role("button", name="Send").click()


def marked(chat: Chat) -> list[str]:
    """Return the pieces of text that are underlined."""
    found: list[str] = chat.page.locator(".draft").evaluate_all(
        """spans => spans
          .filter((span) => getComputedStyle(span).textDecorationLine === "underline")
          .map((span) => span.textContent)"""
    )
    return found


# ---- which drafter ----------------------------------------------------------------------------


def test_the_drafter_beside_the_model_is_loaded_and_named(open_drafting: OpenPage) -> None:
    chat = open_drafting()
    (load,) = chat.received("load")
    assert load["drafter"]["name"] == "target-assistant"
    expect(chat.page.get_by_label("Drafter", exact=True)).to_have_value("auto")
    assert chat.figure("drafter") == "target-assistant"


def test_a_model_without_a_drafter_shows_nothing_of_drafting(open_page: OpenPage) -> None:
    chat = open_page()
    expect(chat.page.locator("[part=drafting]")).to_be_hidden()
    chat.page.get_by_text("Settings", exact=True).click()
    expect(chat.page.get_by_label("Top-k", exact=True)).to_be_visible()
    for label in ("Draft length", "Mark drafted tokens", "Thinking"):
        expect(chat.page.get_by_label(label, exact=True)).to_be_hidden()


def test_without_a_drafter_is_a_matter_of_the_next_request(open_drafting: OpenPage) -> None:
    chat = open_drafting()
    choice = chat.page.get_by_label("Drafter", exact=True)
    for value in ("none", "auto"):
        choice.select_option(value)
        chat.write("Go")
        chat.wait_for_state("ready")
    assert len(chat.received("load")) == 1
    requests = [message["request"] for message in chat.received("generate")]
    assert [request.get("drafter") for request in requests] == ["none", None]


def test_another_drafter_loads_the_model_again(open_drafting: OpenPage) -> None:
    chat = open_drafting()
    chat.page.get_by_label("Drafter", exact=True).select_option("ngram")
    _, load = chat.wait_for_loads(2)
    assert (load["model"]["name"], load["drafter"]) == ("target", None)
    assert load["options"] == {"drafter": "ngram"}
    chat.wait_for_state("ready")
    assert chat.figure("drafter") == "n-gram"


def test_a_drafter_chosen_while_the_model_loads_counts(open_drafting: OpenPage) -> None:
    chat = open_drafting(loadMs=60_000, wait_for="loading_weights")
    chat.page.get_by_label("Drafter", exact=True).select_option("ngram")
    chat.wait_for_loads(2)
    assert chat.value("chat.drafter") == "ngram"


def test_an_offer_counts_the_drafters_bytes(open_drafting: OpenPage) -> None:
    chat = open_drafting(path="examples/embed.html", wait_for="idle")
    chat.value("chat.model = 'target'")
    expect(chat.notice).to_contain_text("2.75 GB, to be loaded into this tab.")
    chat.value("chat.setAttribute('drafter', 'none')")
    expect(chat.notice).to_contain_text("2.60 GB, to be loaded into this tab.")


def test_two_dropped_files_are_a_model_and_its_drafter(open_drafting: OpenPage) -> None:
    chat = open_drafting()
    files = [
        {"name": name, "mimeType": "", "buffer": b"GGUF"}
        for name in ("gemma-assistant.gguf", "gemma.gguf")
    ]
    chat.page.locator("#file").set_input_files(files)
    _, load = chat.wait_for_loads(2)
    assert (load["model"]["name"], load["drafter"]["name"]) == ("gemma", "gemma-assistant")
    assert chat.page.locator("#model option:checked").inner_text() == "gemma.gguf and 1 more"


# ---- figures and marks ------------------------------------------------------------------------


def test_the_figures_say_how_drafting_went(open_drafting: OpenPage) -> None:
    chat = open_drafting(accepts=[3, 1, 0])
    chat.page.get_by_text("Settings", exact=True).click()
    chat.page.get_by_label("Draft length", exact=True).select_option("3")
    chat.write("Go")
    chat.wait_for_state("ready")
    assert chat.received("generate")[0]["request"]["draft_tokens"] == 3
    # a | b c d e | f g | h | i j: one of the prefill's, then cycles that accept 3, 1, 0 and 3.
    assert chat.figure("accepted") == "7 of 12 (58\u202f%)"
    assert chat.figure("tokens_per_cycle") == "2.25"
    positions = chat.page.locator('[data-figure="accepted_per_position"] li')
    reached = ["Position 1: 75", "Position 2: 50", "Position 3: 50"]
    expect(positions).to_have_text([*reached, *(f"Position {i}: –" for i in range(4, 8))])
    heights = positions.locator(".bar").evaluate_all(
        "bars => bars.map((bar) => getComputedStyle(bar).getPropertyValue('--share'))"
    )
    assert heights[:4] == ["0.750", "0.500", "0.500", ""]


def test_the_figures_move_while_the_model_writes(open_drafting: OpenPage) -> None:
    chat = open_drafting(text='"word ".repeat(500)', accepts=[2], tokensPerSecond=50)
    chat.write("Go ")
    chat.wait_until("chat.continuation.length > 100")
    assert int(chat.figure("accepted")) > 5
    assert chat.figure("tokens_per_cycle") == "3.00"
    chat.stop.click()
    chat.wait_for_state("ready")
    assert int(chat.figure("accepted")) > 5


def test_no_drafts_are_said_to_be_none(open_drafting: OpenPage) -> None:
    chat = open_drafting()
    chat.value("chat.settings = { draft_tokens: 0 }")
    chat.write("Go")
    chat.wait_for_state("ready")
    assert chat.figure("accepted") == "none drafted"
    assert chat.figure("tokens_per_cycle") == "1.00"


def test_drafted_tokens_are_marked_when_somebody_wants_to_see_them(
    open_drafting: OpenPage,
) -> None:
    chat = open_drafting(accepts=[2, 0])
    chat.write("Go")
    chat.wait_for_state("ready")
    assert marked(chat) == []
    chat.page.get_by_text("Settings", exact=True).click()
    mark = chat.page.get_by_label("Mark drafted tokens", exact=True)
    mark.focus()
    chat.page.keyboard.press("Space")
    # a | b c d | e | f g h | i | j: the target's own are the first, and the last of each cycle.
    assert marked(chat) == [" b c", " f g", " j"]
    assert chat.value("chat.text") == "Go a b c d e f g h i j"
    mark.uncheck()
    assert marked(chat) == []


def test_marks_survive_an_edit_and_go_with_what_is_taken_back(open_drafting: OpenPage) -> None:
    chat = open_drafting(accepts=[2, 0])
    chat.value("chat.settings = { mark_drafts: true }")
    chat.write("Go")
    chat.wait_for_state("ready")
    chat.text_area.fill("Go a b X c d e f g h i j")
    assert marked(chat) == [" b ", "c", " f g", " j"]
    chat.page.get_by_role("button", name="Take back").click()
    assert chat.value("chat.text") == "Go a b X "
    assert marked(chat) == [" b "]


def test_the_copy_still_lies_beneath_the_text_area_with_marks(open_drafting: OpenPage) -> None:
    chat = open_drafting(text='" several words of some length".repeat(60)')
    chat.value("chat.settings = { max_tokens: 500, mark_drafts: true }")
    chat.write("Go")
    chat.wait_for_state("ready")
    chat.wait_until("chat.continuation.length > 1500")
    sizes = chat.value(
        """["textarea", ".copy"].map((selector) => {
          const element = chat.shadowRoot.querySelector(".stack > " + selector);
          return [element.clientWidth, element.clientHeight, element.scrollHeight];
        })"""
    )
    assert sizes[0] == sizes[1]


def test_deltas_tell_what_was_drafted(open_drafting: OpenPage) -> None:
    record = """
    window.drafts = [];
    addEventListener("leadout-delta", ({ detail }) => window.drafts.push(detail.is_draft));
    """
    chat = open_drafting(accepts=[1])
    chat.page.evaluate(f"() => {{ {record} }}")
    chat.write("Go")
    chat.wait_for_state("ready")
    assert chat.page.evaluate("window.drafts") == [False] + [True, False] * 4 + [True]


# ---- reasoning --------------------------------------------------------------------------------


def test_reasoning_is_folded_up_above_the_answer(open_drafting: OpenPage) -> None:
    chat = open_drafting(info=CHAT, reasoning="Let me see. <b>So.</b>")
    chat.page.get_by_text("Settings", exact=True).click()
    chat.page.get_by_label("Thinking", exact=True).check()
    ask(chat)
    chat.wait_for_state("ready")
    assert chat.received("generate")[0]["request"]["enable_thinking"] is True
    expect(chat.page.locator("[part=answer] .content")).to_have_text("a b c d e f g h i j")
    thought = chat.page.locator(".thought")
    expect(thought).to_be_hidden()
    summary = chat.page.locator("[part=reasoning] summary:visible")
    expect(summary).to_have_text("Reasoning")
    summary.focus()
    chat.page.keyboard.press("Enter")
    expect(thought.first).to_have_text("Let me see. <b>So.</b>")
    assert chat.value("chat.messages")[1] == {
        "role": "assistant",
        "content": " a b c d e f g h i j",
        "reasoning_content": "Let me see. <b>So.</b>",
    }


def test_earlier_thoughts_are_kept_to_be_read_and_not_sent(open_drafting: OpenPage) -> None:
    chat = open_drafting(info=CHAT, reasoning="Let me see.")
    chat.value("chat.settings = { enable_thinking: true }")
    for _ in range(2):
        ask(chat)
        chat.wait_for_state("ready")
    sent = chat.received("generate")[1]["request"]["messages"]
    assert sent[1] == {"role": "assistant", "content": " a b c d e f g h i j"}
    expect(chat.page.locator("[part=reasoning] summary:visible")).to_have_count(2)
    chat.page.get_by_role("button", name="Take back").click()
    expect(chat.page.locator("[part=reasoning] summary:visible")).to_have_count(1)


def test_thinking_is_said_while_it_lasts(open_drafting: OpenPage) -> None:
    answer = '"word ".repeat(500)'
    chat = open_drafting(info=CHAT, reasoning="hmm " * 20, text=answer, tokensPerSecond=40)
    chat.value("chat.settings = { enable_thinking: true }")
    ask(chat)
    expect(chat.status).to_have_text("Thinking…")
    expect(chat.page.locator("[part=reasoning] summary:visible")).to_have_text("Thinking…")
    expect(chat.status).to_have_text("Writing…")
    expect(chat.page.locator("[part=reasoning] summary:visible")).to_have_text("Reasoning")


def test_a_text_stopped_in_its_thoughts_has_them_and_no_answer(open_drafting: OpenPage) -> None:
    chat = open_drafting(info=CHAT, reasoning="hmm " * 500, tokensPerSecond=40)
    chat.value("chat.settings = { enable_thinking: true }")
    ask(chat)
    expect(chat.page.locator("[part=reasoning] summary:visible")).to_have_text("Thinking…")
    chat.stop.click()
    chat.wait_for_state("ready")
    expect(chat.page.locator("[part=reasoning] summary:visible")).to_have_text("Reasoning")
    assert chat.value("chat.messages")[1]["content"] == ""


def test_a_continued_text_shows_its_reasoning_below(open_drafting: OpenPage) -> None:
    chat = open_drafting()
    expect(chat.page.locator("[part=reasoning]")).to_be_hidden()
    chat.element.evaluate(
        """async (chat) => {
          const { createFakeEngine } = await importApp("testing.js");
          const engine = await createFakeEngine({ text: " b", reasoning: "a" });
          const { create } = engine.completions;
          const generate = engine.generate.bind(engine);
          engine.generate = (request, options) =>
            generate({ ...request, enable_thinking: true }, options);
          chat.engine = engine;
        }"""
    )
    chat.write("Go")
    chat.wait_for_state("ready")
    assert chat.value("chat.text") == "Go b"
    chat.page.locator("[part=reasoning] summary").click()
    expect(chat.page.locator(".thought")).to_have_text("a")
    chat.page.get_by_role("button", name="Take back").click()
    expect(chat.page.locator("[part=reasoning]")).to_be_hidden()


# ---- looks ------------------------------------------------------------------------------------


def open_with_everything(open_drafting: OpenPage, **options: Any) -> Chat:
    chat = open_drafting(info=CHAT, reasoning="Let me see.", accepts=[7, 0], **options)
    chat.page.get_by_text("Settings", exact=True).click()
    chat.value("chat.settings = { enable_thinking: true, mark_drafts: true, draft_tokens: 7 }")
    ask(chat)
    chat.wait_for_state("ready")
    chat.page.locator("[part=reasoning] summary:visible").click()
    return chat


def test_a_phone_shows_drafting_without_scrolling_sideways(open_drafting: OpenPage) -> None:
    chat = open_with_everything(open_drafting, context_options=PHONE)
    assert chat.page.evaluate("document.documentElement.scrollWidth") == 360
    heights = chat.page.locator(
        "button:visible, select:visible, summary:visible, input:visible"
    ).evaluate_all(
        "elements => elements.map((e) => [e.outerHTML, e.getBoundingClientRect().height])"
    )
    assert len(heights) > 15
    assert [found for found in heights if found[1] < 44] == []
    positions = chat.page.locator(".positions li")
    boxes = positions.evaluate_all(
        "items => items.map((item) => [item.scrollWidth, item.clientWidth])"
    )
    assert len(boxes) == 7
    assert all(needed <= given for needed, given in boxes)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_drafting_and_reasoning_stand_out_from_their_ground(
    open_drafting: OpenPage, scheme: str
) -> None:
    options = {"color_scheme": scheme, "reduced_motion": "reduce"}
    chat = open_with_everything(open_drafting, context_options=options)
    contrasts = chat.page.evaluate(CONTRASTS)
    shown = {found["text"] for found in contrasts}
    assert {"Let me see.", "Accepted by position, %", "target-assistant"} <= shown
    assert [found for found in contrasts if found["ratio"] < 4.5] == []


def test_a_models_limit_bounds_the_draft_length(open_drafting: OpenPage) -> None:
    chat = open_drafting(info={"max_draft_tokens": 3})
    enabled = chat.page.locator("#draft_tokens option:enabled").all_text_contents()
    assert enabled == ["Auto", "0", "1", "2", "3"]
