"""Answers that keep to a grammar, and calls of tools, in a real Chromium with WebGPU."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import Browsers
from jsonschema import Draft202012Validator
from playwright.sync_api import Page

from leadout_build.serving.headless import BLANK, serving
from leadout_build.serving.server import find_model
from leadout_build.store.model_store import Store
from published_templates import GEMMA_4_TOOLS
from stand_in_nano import write_stand_in

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "coin": {"enum": ["BTC", "ETH"]},
        "up": {"enum": [True, False, None], "default": None},
        "why": {"type": "string", "maxLength": 10},
    },
    "required": ["coin", "up", "why"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}

PRICE: dict[str, Any] = {
    "type": "function",
    "function": {"name": "price", "parameters": {**SCHEMA, "required": ["coin"]}},
}

ASKED = [{"role": "user", "content": "the capital"}]

_LOAD = """async ([target, drafter]) => {
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  window.engine = await Leadout.load({ model: target, drafter, parallel: 2 });
}"""

#: Runs requests beside one another; an error is told by its name and message.
_ASK = """(requests) => Promise.all(requests.map(async (params) => {
  try {
    if (!params.stream) return await engine.chat.completions.create(params);
    const chunks = [];
    for await (const chunk of await engine.chat.completions.create(params)) chunks.push(chunk);
    return chunks;
  } catch ({ name, message }) {
    return { name, message };
  }
}))"""


#: The ids of a request's prompt, and those of a text.
_IDS = """async ([request, text]) => {
  const { prompt_tokens } = await engine.generate(request);
  return [prompt_tokens, await engine.tokenize(text)];
}"""


@pytest.fixture(scope="module")
def page(
    site: Path, browsers: Browsers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """A page with a loaded engine, the stand-in for Nano with a template that knows tools."""
    folder = write_stand_in(tmp_path_factory.mktemp("answers") / "models", GEMMA_4_TOOLS)
    paths = [folder / "nano.gguf", folder / "nano-assistant.gguf"]
    store = Store(tmp_path_factory.mktemp("store"))
    with (
        serving(site, store=store, model=str(paths[0]), drafter=str(paths[1])) as url,
        browsers.page(url + BLANK) as page,
    ):
        name, _ = find_model(store, *map(str, paths))
        page.evaluate(_LOAD, [name, "auto"])
        yield page


def ask(page: Page, *requests: dict[str, Any]) -> list[Any]:
    defaults = {"messages": ASKED, "temperature": 1.2, "seed": 5, "max_tokens": 120}
    found: list[Any] = page.evaluate(_ASK, [{**defaults, **request} for request in requests])
    return found


def test_an_answer_keeps_to_its_schema_with_drafts_and_beside_another(page: Page) -> None:
    request = {"response_format": FORMAT}
    (plain,) = ask(page, {**request, "draft_tokens": 0})
    (choice,) = plain["choices"]
    assert choice["finish_reason"] == "stop"
    Draft202012Validator(SCHEMA).validate(json.loads(choice["message"]["content"]))
    free = {"max_tokens": 30}
    (alone,) = ask(page, free)
    drafted, beside = ask(page, {**request, "draft_tokens": 3}, free)
    assert drafted["choices"] == plain["choices"]
    assert beside["choices"] == alone["choices"]
    told = drafted["leadout"]["constraint"]
    assert told["accepted_forced_tokens"] > 0
    assert told["host_ms"] > 0
    assert alone["leadout"]["constraint"] is None


def test_a_call_goes_to_the_tool_and_its_result_back_to_the_model(page: Page) -> None:
    request = {"tools": [PRICE], "tool_choice": "required", "parallel_tool_calls": False}
    chunks, whole = ask(page, {**request, "stream": True}, request)
    message = whole["choices"][0]["message"]
    (call,) = message["tool_calls"]
    arguments = json.loads(call["function"]["arguments"])
    Draft202012Validator(PRICE["function"]["parameters"]).validate(arguments)
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    assert message["content"] is None
    deltas = [
        delta for chunk in chunks for delta in chunk["choices"][0]["delta"].get("tool_calls", [])
    ]
    assert (deltas[0]["id"], deltas[0]["function"]["name"]) == (call["id"], "price")
    streamed = "".join(delta["function"]["arguments"] for delta in deltas)
    assert streamed == call["function"]["arguments"]
    assert len(deltas) > 2, "the arguments stream"
    result = {"role": "tool", "tool_call_id": call["id"], "content": '{"usd": 81658}'}
    request = {**request, "messages": [*ASKED, message, result], "max_tokens": 6}
    (answer,) = ask(page, request)
    turn = f"<|turn>tool\n{result['content']}<turn|>"
    prompt, (bos, *told) = page.evaluate(_IDS, [request, turn])
    assert answer["usage"]["prompt_tokens"] == len(prompt)
    assert prompt[0] == bos
    assert told in [prompt[at : at + len(told)] for at in range(len(prompt))]


def test_what_cannot_be_kept_to_is_a_named_error_and_the_next_answer_is_right(page: Page) -> None:
    unsupported = {**FORMAT, "json_schema": {"name": "x", "schema": {"not": {}}}}
    *errors, right = ask(
        page,
        {"response_format": unsupported},
        {"grammar": "root ::= nowhere"},
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        {"messages": [*ASKED, {"role": "tool", "tool_call_id": "none", "content": "1"}]},
        {"regex": "yes|no"},
    )
    assert [error["name"] for error in errors] == ["RequestError"] * 4
    for error, word in zip(errors, ("not", "nowhere", "a b", "tool_call_id"), strict=True):
        assert word in error["message"]
    assert right["choices"][0]["message"]["content"] in ("yes", "no")
