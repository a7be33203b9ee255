"""What axe-core finds on the page in the states that people see; the keyboard, and the phone."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pages import LISTED_NANO, LISTED_WITH_DRAFTER, WITH_ADAPTER, Chat, OpenPage, serve_in_thread
from playwright.sync_api import Browser, Page, expect
from test_chat_text import MARKDOWN
from test_kept_chats import ask, choose

from leadout_build import ROOT
from leadout_build.site.assemble import TEXTS
from leadout_build.site.documentation import ORDER, write_documentation

FAULTS = """
async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .filter(({ impact }) => ["serious", "critical"].includes(impact))
  .map(({ id, nodes }) => [id, nodes.map(({ target, failureSummary }) => [target, failureSummary])])
"""

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@cache
def axe() -> str:
    return (ROOT / "web/node_modules/axe-core/axe.min.js").read_text("utf-8")


def check(chat: Chat) -> None:
    """Assert that there is no serious fault, and nothing to scroll sideways."""
    check_page(chat.page)


def check_page(page: Page) -> None:
    """Assert the same of a page without an element."""
    assert page.evaluate(FAULTS) == []
    width, room = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert width <= room


@pytest.mark.parametrize(
    ("scheme", "place"), [("light", {"viewport": {"width": 1280, "height": 900}}), ("dark", PHONE)]
)
def test_no_state_of_the_page_has_a_serious_fault(
    open_page: OpenPage, scheme: str, place: dict[str, Any]
) -> None:
    chat = open_page(
        info={"has_chat_template": True},
        text=json.dumps(MARKDOWN),
        reasoning="Let me think.",
        models=LISTED_WITH_DRAFTER,
        init=WITH_ADAPTER + axe(),
        context_options={"color_scheme": scheme, "reduced_motion": "reduce", **place},
    )
    page = chat.page
    check(chat)  # empty
    # It looks into the element: a button without a name is a fault.
    chat.value("chat.shadowRoot.querySelector('.sheet').append(document.createElement('button'))")
    assert [name for name, _ in page.evaluate(FAULTS)] == ["button-name"]
    chat.value("chat.shadowRoot.querySelector('.sheet').lastChild.remove()")
    chat.value("(chat.settings = { enable_thinking: true }, 0)")
    message = page.get_by_role("textbox", name="Message", exact=True)
    message.fill("Show me")
    chat.send.click()
    chat.wait_until("chat.messages.length === 2 && chat.state === 'ready'")
    page.locator("[part=reasoning] summary").click()
    page.locator("[part=answer] .regenerate").click()
    chat.wait_until("chat.conversation.messages.length === 3 && chat.state === 'ready'")
    page.locator("[part=question] .edit").click()
    page.get_by_text("Settings", exact=True).click()
    if place == PHONE:
        page.locator("#chats-toggle").click()
    page.get_by_role("button", name="More for Show me").click()
    check(chat)
    page.get_by_role("button", name="Cancel").click()
    page.locator("[part=compare]").click()
    expect(page.locator(".verdict")).to_contain_text("The same text")
    check(chat)
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("button", name="Undo")).to_be_focused()
    check(chat)
    sizes = page.locator("button:visible, summary:visible, select:visible").evaluate_all(
        "all => all.map((e) => [e.outerHTML, e.getBoundingClientRect().height])"
    )
    assert [found for found in sizes if found[1] < 44] == []


def test_the_desk_has_no_serious_fault(open_page: OpenPage) -> None:
    chat = open_page(
        models=[LISTED_NANO],
        info={"has_chat_template": True, "context_length": 2048},
        init=WITH_ADAPTER + axe(),
    )
    chat.wait_until("chat.messages.length === 2 && chat.state === 'ready'")
    check(chat)


def test_the_documentation_has_no_serious_fault(chromium: Browser, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "static", tmp_path / "site")
    write_documentation(ROOT, tmp_path / "site", TEXTS)
    with serve_in_thread(tmp_path / "site") as url:
        for scheme, place, names in (
            ("light", {"viewport": {"width": 1280, "height": 900}}, ORDER),
            ("dark", PHONE, ["embed"]),
        ):
            context = chromium.new_context(color_scheme=scheme, **place)
            context.add_init_script(axe())
            page = context.new_page()
            for name in names:
                page.goto(f"{url}docs/{name}.html")
                check_page(page)
            page.keyboard.press("Tab")
            expect(page.get_by_text("Skip to the text")).to_be_focused()
            page.keyboard.press("Enter")
            expect(page.locator("main")).to_be_focused()
            # On a phone the list of pages opens by a tap; a wide window always shows it.
            link = page.locator("nav a", has_text="Troubleshooting")
            if place == PHONE:
                expect(link).not_to_be_visible()
                page.get_by_text("All pages").click()
                check_page(page)
            link.click()
            expect(page).to_have_title("Troubleshooting – Leadout")
            context.close()


@pytest.mark.parametrize(
    ("path", "scheme"),
    [("examples/embed.html", "dark"), ("examples/python/", "light"), ("bench.html", "light")],
)
def test_no_other_page_has_a_serious_fault(open_page: OpenPage, path: str, scheme: str) -> None:
    options = {"color_scheme": scheme, **(PHONE if scheme == "dark" else {})}
    init = WITH_ADAPTER + axe()
    check(open_page(path=path, wait_for=None, init=init, context_options=options))


def test_a_chat_by_keyboard_alone(open_page: OpenPage) -> None:
    chat = open_page(
        info={"has_chat_template": True}, text='"word ".repeat(500)', tokensPerSecond=50
    )
    page = chat.page
    message = page.get_by_role("textbox", name="Message", exact=True)
    message.focus()
    page.keyboard.type("One line")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("and another")
    page.keyboard.press("Enter")
    chat.wait_until("chat.continuation.length > 10")
    assert chat.value("chat.messages[0].content") == "One line\nand another"
    page.keyboard.press("Escape")
    chat.wait_for_state("ready")
    # Up from the message: the answer's own buttons, then the question's.
    for name in ("Regenerate", "Copy", "Edit", "Copy"):
        page.keyboard.press("Shift+Tab")
        focused = "document.querySelector('leadout-chat').shadowRoot.activeElement.textContent"
        assert page.evaluate(focused) == name
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.type("!")
    page.keyboard.press("Escape")
    assert page.evaluate(focused) == "Edit"
    assert chat.value("chat.messages[0].content") == "One line\nand another"
    assert page.get_by_role("log").get_attribute("aria-live") == "off"  # a flood is not read out


def test_a_renamed_conversation_by_keyboard(open_page: OpenPage) -> None:
    chat = open_page(info={"has_chat_template": True}, text='"An answer."')
    ask(chat, "A question", 2)
    choose(chat.page, "A question", "Rename")
    chat.page.keyboard.type("A name")
    chat.page.keyboard.press("Escape")
    expect(chat.page.get_by_role("button", name="A question", exact=True)).to_be_focused()
