"""Calls of tools from messages to messages: valid ones, that stream, and go back to the model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from leadout.engine import Delta, Engine, Generated, LoadOptions
from leadout.errors import RequestError
from leadout.request import GenerateRequest
from leadout_build.cli.native import load_engine
from published_templates import GEMMA_4_TOOLS
from stand_in_nano import write_stand_in

PRICE: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "price",
        "description": "The price of a coin.",
        "parameters": {
            "type": "object",
            "properties": {
                "coin": {"enum": ["BTC", "ETH"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 30},
                "note": {"type": "string", "maxLength": 6},
            },
            "required": ["coin", "days"],
            "additionalProperties": False,
        },
    },
}
NOW: dict[str, Any] = {"type": "function", "function": {"name": "now"}}
ASKED = {"role": "user", "content": "the capital"}


@pytest.fixture(scope="module")
def get(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Engine]:
    folder = tmp_path_factory.mktemp("calls")
    write_stand_in(folder / "tools", GEMMA_4_TOOLS)
    write_stand_in(folder / "plain")

    @cache
    def load(kind: str = "tools") -> Engine:
        files = [
            {f"{name}.gguf": folder / kind / f"{name}.gguf"} for name in ("nano", "nano-assistant")
        ]
        options = LoadOptions(drafter="mtp")
        return asyncio.run(load_engine(files[0], options, drafter_files=files[1]))

    return load


def run(engine: Engine, **fields: Any) -> tuple[Generated, list[Delta]]:
    deltas: list[Delta] = []
    request = {"messages": [ASKED], "max_tokens": 200, "temperature": 1.3, **fields}
    generated = engine.generate(GenerateRequest.from_json(request), deltas.append)
    return asyncio.run(generated), deltas


def joined(deltas: list[Delta]) -> list[dict[str, Any]]:
    """Return the calls that the deltas tell of, as OpenAI's clients put them together."""
    calls: list[dict[str, Any]] = []
    for delta in deltas:
        indices = [part["index"] for part in delta.tool_calls or []]
        assert len(indices) == len(set(indices)), "LangChain takes each call once in a chunk"
    for part in (part for delta in deltas for part in delta.tool_calls or []):
        if part["index"] == len(calls):
            calls.append({"id": part["id"], "type": part["type"], "function": {**part["function"]}})
        else:
            calls[part["index"]]["function"]["arguments"] += part["function"]["arguments"]
    return calls


def check_calls(calls: list[dict[str, Any]]) -> None:
    schemas = {
        tool["function"]["name"]: tool["function"].get("parameters") for tool in (PRICE, NOW)
    }
    for call in calls:
        function = call["function"]
        arguments = json.loads(function["arguments"])
        schema = schemas[function["name"]] or {"maxProperties": 0}
        Draft202012Validator(schema).validate(arguments)


@pytest.mark.parametrize("seed", range(4))
def test_an_answer_that_must_call_calls_and_streams_it(get, seed: int) -> None:
    fields = {"tools": [PRICE, NOW], "tool_choice": "required", "seed": seed}
    plain, deltas = run(get(), **fields, draft_tokens=0)
    assert plain.finish_reason == "tool_calls"
    assert plain.tool_calls
    check_calls(plain.tool_calls)
    assert joined(deltas) == plain.tool_calls
    assert plain.text == "".join(delta.text for delta in deltas) == ""
    assert len({call["id"] for call in plain.tool_calls}) == len(plain.tool_calls)
    for draft_tokens in (3, "auto"):
        drafted, deltas = run(get(), **fields, draft_tokens=draft_tokens)
        assert drafted.tokens == plain.tokens
        assert drafted.tool_calls == joined(deltas) == plain.tool_calls


def test_one_tool_can_be_named_and_calls_be_kept_to_one(get) -> None:
    choice = {"type": "function", "function": {"name": "now"}}
    for seed in range(3):
        fields = {"tools": [PRICE, NOW], "tool_choice": choice, "parallel_tool_calls": False}
        found, _ = run(get(), **fields, seed=seed)
        assert [call["function"] for call in found.tool_calls] == [
            {"name": "now", "arguments": "{}"}
        ]


def test_a_round_trip_goes_through_the_template(get) -> None:
    """The call and its result are in the next prompt, in the model's own notation."""
    engine, tools = get(), [PRICE, NOW]
    first, _ = run(engine, tools=tools, tool_choice="required", parallel_tool_calls=False)
    (call,) = first.tool_calls
    result = {"role": "tool", "tool_call_id": call["id"], "content": '{"usd": 81658}'}
    answered = {"role": "assistant", "content": None, "tool_calls": [call]}
    second, _ = run(engine, tools=tools, messages=[ASKED, answered, result], max_tokens=8)
    prompt = engine.tokenizer.decode(second.prompt_tokens, False)
    name, arguments = call["function"]["name"], json.loads(call["function"]["arguments"])
    assert f"<|tool_call>call:{name}{{" in prompt
    for key, value in arguments.items():
        assert f"{key}:{value}" in prompt.replace('<|"|>', "")
    assert "81658" in prompt
    assert "declaration:price" in prompt.replace(" ", "")


def test_a_model_that_is_free_answers_with_text(get) -> None:
    found, deltas = run(get(), tools=[PRICE], max_tokens=20)
    assert found.tool_calls == []
    assert found.finish_reason in ("stop", "length")
    assert found.text == "".join(delta.text for delta in deltas)
    assert found.stats.constraint is None
    none, _ = run(get(), tools=[PRICE], tool_choice="none", max_tokens=4)
    assert none.tool_calls is None
    assert len(none.prompt_tokens) < len(found.prompt_tokens), "nothing was said of tools"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [NOW, NOW]}, "two tools named 'now'"),
        ({"tools": [NOW] * 1000}, "wanted at most 128"),
        ({"tools": [NOW], "tool_choice": "later"}, "tool_choice is 'later'"),
        ({"tools": [NOW], "response_format": {"type": "json_object"}}, "given together"),
        ({"tools": [NOW], "messages": None, "prompt": "Hi"}, "tools need messages"),
    ],
)
def test_what_is_wrong_with_tools_is_said_before_anything_runs(get, fields, message) -> None:
    with pytest.raises(RequestError) as caught:
        run(get(), **fields)
    assert message in caught.value.message


def test_a_template_that_knows_no_tools_is_named(get) -> None:
    with pytest.raises(RequestError, match="chat template knows no tools"):
        run(get("plain"), tools=[NOW])
