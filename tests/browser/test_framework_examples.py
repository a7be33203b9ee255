"""web/examples/, built by Vite with the packed package and driven over the fake worker.

They run under the policy that the package's README names, with styles of their own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from built_examples import examples_app
from pages import WITH_ADAPTER, run_in_thread
from playwright.sync_api import Browser, Page, Route, expect

from packed import NODE_MODULES

FAKE_WORKER = """
import { createFakeBackend } from "/leadout/testing.js";
const text = %(text)s;
const options = { text, calls: %(calls)s, info: { has_chat_template: true } };
const receive = createFakeBackend((message) => postMessage(message), options);
addEventListener("message", ({ data }) => receive(data));
"""

#: Whether the last message is a person's: then the tool is called.
CALLS = """({ messages }) => messages.at(-1).role === "user"
  ? [{ name: "weather", arguments: '{"city":"Paris"}' }] : []"""

OpenExample = Callable[..., Page]


@pytest.fixture(scope="module")
def origin(examples: Path) -> Iterator[str]:
    """The built examples, and the package beside them for the fake worker."""
    with run_in_thread(examples_app(examples)) as url:
        yield url


@pytest.fixture
def open_example(chromium: Browser, origin: str) -> Iterator[OpenExample]:
    """A factory of pages; afterwards none had an error."""
    context = chromium.new_context()
    context.set_default_timeout(15_000)
    context.add_init_script(WITH_ADAPTER)
    errors: list[str] = []

    def open_one(name: str, text: str = '" The sky is blue."', calls: str = "[]") -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)

        def answer(route: Route) -> None:
            worker = FAKE_WORKER % {"text": text, "calls": calls}
            route.fulfill(body=worker, content_type="text/javascript")

        page.route("**/assets/worker-*.js", answer)
        page.goto(f"{origin}{name}/?model=/any.gguf")
        return page

    yield open_one
    context.close()
    assert errors == []


@pytest.mark.parametrize("name", ["react", "vue", "svelte"])
def test_two_elements_share_a_model_in_a_framework(open_example: OpenExample, name: str) -> None:
    page = open_example(name)
    first, second = page.locator("leadout-chat").nth(0), page.locator("leadout-chat").nth(1)
    for chat in (first, second):
        expect(chat).to_have_attribute("data-state", "ready")
    assert page.evaluate("([...document.querySelectorAll('leadout-chat')].map(c => c.engine))[0]")
    same = "() => new Set([...document.querySelectorAll('leadout-chat')].map((c) => c.engine)).size"
    assert page.evaluate(same) == 1
    assert first.evaluate("chat => chat.settings.temperature") == 0
    send = page.get_by_role("button", name="Send the answer")
    send.click()  # nothing is there to be sent
    expect(page.locator("pre")).to_have_text("")
    expect(second.locator("[part=status]")).to_contain_text("There is no answer yet")
    for chat in (first, second):
        chat.get_by_role("textbox", name="Message").fill("Why?")
        chat.locator("[part=send]").click()
        expect(chat.locator("[part=answer]")).to_contain_text("The sky is blue.")
        expect(chat).to_have_attribute("data-state", "ready")
    expect(page.locator("output").first).to_have_text("4")  # the first one tells
    send.click()
    expect(page.locator("pre")).to_have_text(" The sky is blue.")
    page.reload()
    expect(first.locator("[part=answer]")).to_contain_text("The sky is blue.")
    assert second.evaluate("chat => chat.messages") == []


def test_use_chat_streams_and_calls_a_tool(open_example: OpenExample) -> None:
    text = """({ messages }) => messages.at(-1).role === "user" ? "" : " It is clear in Paris." """
    page = open_example("ai-sdk", text, CALLS)
    page.get_by_role("button", name="Send").click()
    answer = page.locator("li[data-role=assistant]")
    expect(answer.locator("pre")).to_contain_text('"out":{"city":"Paris","sky":"clear"')
    expect(answer.locator("p")).to_contain_text("It is clear in Paris.")
    expect(page.locator("output")).to_have_text("ready")
    expect(page.locator("[role=alert]")).to_be_empty()


def test_langchain_streams_and_calls_a_tool(open_example: OpenExample) -> None:
    # The second answer is what the tool said, so the result has come back to the model.
    text = """({ messages }) => messages.at(-1).role === "user" ? "" : messages.at(-1).content"""
    page = open_example("langchain", text, CALLS)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("output")).to_have_text("done")
    said = "It is clear in Paris, 21 °C."
    expect(page.locator("li")).to_have_text([f'weather({{"city":"Paris"}}): {said}'])
    expect(page.locator("pre")).to_have_text(said)


def check_types(project: Path) -> str:
    tsc = NODE_MODULES / "typescript/bin/tsc"
    command = ["node", str(tsc), "-p", str(project)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    return done.stdout + done.stderr


def test_the_elements_have_types_in_jsx(examples: Path) -> None:
    app = examples / "react/App.tsx"
    text = app.read_text("utf-8")
    open_it = "onleadout-model-open={({ detail }) => setSent(detail.source)}"
    models = f"<leadout-models open hub={{() => ({{ token: sent }})}} {open_it} />"
    right = text.replace("<form ", f"{models}\n      <form ")
    app.write_text(right)
    assert check_types(examples) == ""
    wrong = {"required mode": "required mood", "detail.tokens": "detail.words", "token:": "tokn:"}
    for name, other in {**wrong, "detail.source": "detail.sauce"}.items():
        right = right.replace(name, other)
    app.write_text(right)
    said = check_types(examples)
    app.write_text(text)
    assert [name for name in ("mood", "words", "tokn", "sauce") if name not in said] == []
