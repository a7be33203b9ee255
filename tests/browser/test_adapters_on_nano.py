"""All adapters with their real libraries, React, and a service worker, on one real Nano.

The page is built by Vite of the packed package, and its policy is the one that the README names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from built_examples import ALL_ADAPTERS, examples_app
from pages import run_in_thread
from playwright.sync_api import Browser, Page, expect
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from leadout_build.store.built_in import built_in_files

#: For a load without a GPU, on a machine that other work shares.
PATIENCE_MS = 300_000

#: Says what Nano's own template says, and knows tools. A comment fills it up to the same length.
TEMPLATE = (
    "{{-bos_token-}}{%-set known=tools-%}{%-for m in messages-%}"
    "{{-'<|turn>'+('model' if m.role=='assistant' else m.role)+'\\n'"
    "+(m.content or m.tool_calls[0].function|string)|trim+'<turn|>\\n'-}}{%-endfor-%}"
    "{%-if add_generation_prompt-%}{{-'<|turn>model\\n'-}}{%-endif-%}"
)

#: Keeps how generations end, as the worker tells it.
WITH_ENDS = """
window.ends = [];
window.Worker = class extends Worker {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({ data: { type, value } }) => {
      if (type === "result" && value?.finish_reason) ends.push(value.finish_reason);
    });
  }
};
"""

QUESTION = "What is RSI?"

#: None of them is a default; Nano says something else at temperature 0, and with seed 0.
SAMPLED = {"temperature": 1.5, "top_k": 40, "seed": 1, "max_tokens": 8}

ASKED = {"messages": [{"role": "user", "content": QUESTION}], **SAMPLED}

PRICE: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "price",
        "description": "The price of a coin.",
        "parameters": {
            "type": "object",
            "properties": {"coin": {"enum": ["BTC", "ETH"]}},
            "required": ["coin"],
            "additionalProperties": False,
        },
    },
}

#: As elements and servers take it where nothing is said; Nano ends before.
GREEDY = {"temperature": 0, "seed": 0, "top_k": 0, "max_tokens": 256}

#: The grammar has the model call it.
CALLING = {
    "tools": [PRICE],
    "tool_choice": {"type": "function", "function": {"name": "price"}},
    "max_tokens": 30,
}

#: The same with less to say.
NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}
CALLING_NOW = {
    "tools": [{"type": "function", "function": {"name": "now", "parameters": NOTHING}}],
    "tool_choice": {"type": "function", "function": {"name": "now"}},
    "max_tokens": 16,
}

#: Goes on until somebody stops it.
ENDLESS = {"ignore_eos": True, "max_tokens": 1500}

WAYS = ["openai", "remote", "ai-sdk", "langchain"]

# What two elements are asked, and how: `chats` are they, `came` is which of them wrote, piece by
# piece.
MESSAGES = ["Who are you?", "Which asset fell most this week?"]

WITH_TWO = """() => {
  window.chats = [...document.querySelectorAll("leadout-chat")];
  window.came = [];
  document.addEventListener("leadout-delta", ({ target }) => came.push(chats.indexOf(target)));
  window.begin = () => {
    for (const chat of chats) {
      chat.settings = { max_tokens: 24, temperature: 1, seed: 5 };
      chat.messages = [];
    }
    came.length = 0;
  };
}"""

ONE_AFTER_ANOTHER = """async (messages) => {
  begin();
  const all = [];
  for (const [i, chat] of chats.entries()) {
    await chat.send({ message: messages[i] });
    all.push(chat.continuation);
  }
  return all;
}"""

BOTH = """async (messages) => {
  begin();
  await Promise.all(chats.map((chat, i) => chat.send({ message: messages[i] })));
  return [chats.map((chat) => chat.continuation), came];
}"""

# The first one is stopped as soon as both have written something.
STOP_ONE = """async (messages) => {
  begin();
  const sent = chats.map((chat, i) => chat.send({ message: messages[i] }));
  const onDelta = () => {
    if (!(came.includes(0) && came.includes(1))) return;
    document.removeEventListener("leadout-delta", onDelta);
    chats[0].stop();
  };
  document.addEventListener("leadout-delta", onDelta);
  await sent[0];
  const state = chats[1].state;
  await sent[1];
  return [state, chats.map((chat) => chat.continuation)];
}"""


def nano_that_knows_tools() -> bytes:
    """Return Nano's file with another chat template in the place of its own."""
    (path,) = built_in_files("nano").values()
    data = path.read_bytes()
    name = b"tokenizer.chat_template\x08\0\0\0"
    start = data.index(name) + len(name)
    size = int.from_bytes(data[start : start + 8], "little")
    template = TEMPLATE + "{#" + " " * (size - len(TEMPLATE) - 4) + "#}"
    assert len(template) == size
    return data[: start + 8] + template.encode() + data[start + 8 + size :]


class Nano:
    """The page with the engine; `window.adapters` is what adapters_on_nano.js gives."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._said: dict[str, dict[str, Any]] = {}

    def value(self, call: str, argument: object = None) -> Any:
        return self.page.evaluate(f"(argument) => adapters.{call}(argument)", argument)

    def ask(self, way: str, **params: object) -> dict[str, Any]:
        """Return what comes of a request: `text`, and what adapters_on_nano.js says."""
        answer: dict[str, Any] = self.value("ask", {"way": way, "params": {**ASKED, **params}})
        return {**answer, "text": "".join(answer["pieces"])}

    def engine_says(self, **params: object) -> dict[str, Any]:
        """Return what engine.chat.completions gives, which is asked once."""
        key = json.dumps(params)
        if key not in self._said:
            self._said[key] = self.ask("engine", **params)
        return self._said[key]


@pytest.fixture(scope="module")
def origin(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("models")
    (folder / "nano.gguf").write_bytes(nano_that_knows_tools())
    models = Mount("/models", StaticFiles(directory=folder))
    with run_in_thread(examples_app(examples, [models])) as url:
        yield url


@pytest.fixture(scope="module")
def nano(chromium: Browser, origin: str) -> Iterator[Nano]:
    """The page with React's example, which loads the model, and all adapters of that."""
    errors: list[str] = []
    with chromium.new_context() as context:
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(WITH_ENDS)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.goto(f"{origin}{ALL_ADAPTERS}?model=/models/nano.gguf")
        chat = page.locator("leadout-chat").first
        while chat.get_attribute("data-state") != "ready":
            assert errors == []  # as the example tells of a load that fails
            page.wait_for_timeout(50)
        nano = Nano(page)
        nano.value("begin")
        yield nano
    assert errors == []


@pytest.mark.parametrize("way", WAYS)
def test_an_adapter_streams_what_the_engine_says_and_counts_it(nano: Nano, way: str) -> None:
    wanted = nano.engine_says()
    assert wanted["finish"] == "length"
    assert wanted["usage"][1] == SAMPLED["max_tokens"]
    found = nano.ask(way)
    assert len(found.pop("pieces")) > 1
    assert found == {key: wanted[key] for key in found}


@pytest.mark.parametrize("way", WAYS)
def test_a_call_of_a_tool_comes_out_as_one(nano: Nano, way: str) -> None:
    wanted = nano.engine_says(**CALLING)
    (call,) = wanted["calls"]
    assert call["name"] == "price"
    assert call["input"] in ({"coin": "BTC"}, {"coin": "ETH"})
    assert wanted["finish"] == "tool_calls"
    assert nano.ask(way, **CALLING) == wanted


@pytest.mark.parametrize("way", WAYS)
def test_an_abort_stops_the_engine(nano: Nano, way: str) -> None:
    num_ends = nano.page.evaluate("ends.length")
    ended = nano.value("leave", {"way": way, "params": {**ASKED, **ENDLESS}})
    assert ended in ("AbortError", "APIUserAbortError")
    while nano.page.evaluate("ends.length") == num_ends:
        nano.page.wait_for_timeout(20)
    assert nano.page.evaluate("ends").pop() == "abort"


def test_use_chat_runs_a_tool_and_the_model_goes_on_with_its_result(nano: Nano) -> None:
    result = {"year": 2026}
    settings = {"temperature": 1.5, "topK": 40, "seed": 1, "maxOutputTokens": 16}
    parts = nano.value("useChat", {"text": QUESTION, "result": result, **CALLING_NOW, **settings})
    tool, text = (part for part in parts if part["type"] != "step-start")
    assert (tool["type"], tool["state"]) == ("tool-now", "output-available")
    assert (tool["input"], tool["output"]) == ({}, result)
    # The same without an adapter.
    function = {"name": "now", "arguments": "{}"}
    messages = [
        *ASKED["messages"],
        {
            "role": "assistant",
            "tool_calls": [{"id": "a", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "a", "content": json.dumps(result, separators=(",", ":"))},
    ]
    wanted = nano.ask("engine", **{**CALLING_NOW, "messages": messages, "tool_choice": "auto"})
    assert text["text"] == wanted["text"] != ""


def check_example(page: Page, wanted: dict[str, Any]) -> None:
    """Ask the first element of a framework's example, and assert that it writes what is wanted."""
    chat = page.locator("leadout-chat").first
    expect(chat).to_have_attribute("data-state", "ready", timeout=PATIENCE_MS)
    chat.get_by_role("textbox", name="Message").fill(QUESTION)
    chat.locator("[part=send]").click()
    answer = chat.locator("[part=answer] .content")
    expect(answer).to_have_text(wanted["text"], timeout=PATIENCE_MS)
    expect(chat).to_have_attribute("data-state", "ready", timeout=PATIENCE_MS)
    expect(page.locator("output").first).to_have_text(str(wanted["usage"][1]))


@pytest.mark.parametrize("name", ["vue", "svelte"])
def test_other_frameworks_examples_write_the_same(nano: Nano, origin: str, name: str) -> None:
    page = nano.page.context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{origin}{name}/?model=/models/nano.gguf")
    check_example(page, nano.engine_says(**GREEDY))
    page.close()
    assert errors == []


@pytest.mark.parametrize("name", ["ai-sdk", "langchain"])
def test_the_examples_with_tools_write_the_same(nano: Nano, origin: str, name: str) -> None:
    """Nano calls no tool by itself; test_framework_examples has the pages call theirs."""
    system = [{"role": "system", "content": "Be brief."}] if name == "ai-sdk" else []
    wanted = nano.ask("engine", **{**GREEDY, "messages": [*system, *ASKED["messages"]]})
    page = nano.page.context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{origin}{name}/?model=/models/nano.gguf")
    page.get_by_role("textbox", name="Message").fill(QUESTION)
    page.get_by_role("button", name="Send").click()
    answer = "li[data-role=assistant] p" if name == "ai-sdk" else "pre"
    expect(page.locator(answer)).to_have_text(wanted["text"], timeout=PATIENCE_MS)
    expect(page.locator("output")).to_have_text("ready" if name == "ai-sdk" else "done")
    page.close()
    assert wanted["text"] != ""
    assert errors == []


def test_the_examples_of_react_and_of_openais_client_write_the_same(nano: Nano) -> None:
    wanted = nano.engine_says(**GREEDY)
    assert wanted["finish"] == "stop"
    assert wanted["text"][:20] != nano.engine_says()["text"][:20]
    check_example(nano.page, wanted)
    # Another tab has no engine, and asks this one.
    tab = nano.page.context.new_page()
    tab.goto(nano.page.url.replace("adapters.html", ""))
    expect(tab.locator("output")).to_have_text("ready")
    urls: list[str] = []
    tab.on("request", lambda request: urls.append(request.url))
    tab.get_by_role("textbox", name="Message").fill(QUESTION)
    tab.get_by_role("button").click()
    expect(tab.locator("output")).to_have_text("done", timeout=PATIENCE_MS)
    expect(tab.locator("pre")).to_have_text(wanted["text"])
    assert any(url.endswith("/v1/chat/completions") for url in urls)
    assert tab.workers == []
    tab.close()


def test_two_elements_write_at_the_same_time_what_each_writes_alone(nano: Nano) -> None:
    page = nano.page
    page.evaluate(WITH_TWO)
    alone: list[str] = page.evaluate(ONE_AFTER_ANOTHER, MESSAGES)
    assert all(alone)
    assert alone[0] != alone[1]

    found: tuple[list[str], list[int]] = page.evaluate(BOTH, MESSAGES)
    texts, came = found
    assert texts == alone
    last = {which: max(i for i, one in enumerate(came) if one == which) for which in (0, 1)}
    assert came.index(1) < last[0]
    assert came.index(0) < last[1]

    result: tuple[str, list[Any]] = page.evaluate(STOP_ONE, MESSAGES)
    state, (stopped, whole) = result
    assert state == "generating"
    assert whole == alone[1]
    assert alone[0].startswith(stopped)
    assert len(stopped) < len(alone[0])


def test_the_browsers_language_model_keeps_to_a_pattern(nano: Nano) -> None:
    found = nano.value("prompt", {"text": "Up or down?", "pattern": "up|down"})
    assert found["left"] == "AbortError"
    assert found["matched"] in ("up", "down")
    assert found["usage"] > 0
