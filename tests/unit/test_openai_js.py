"""The official client's streaming helpers over Leadout's chunks; its types are in tests/types."""

from __future__ import annotations

from typing import Any

import pytest

from node_script import ask_node

MESSAGES = [{"role": "user", "content": "Hello there"}]


def told(text: str, calls: object = None, **params: object) -> dict[str, Any]:
    """Return what the helpers make of an answer; see openai_stream.mjs."""
    options = {"text": text, **({"calls": calls} if calls else {})}
    request = {"options": options, "params": {"messages": MESSAGES, **params}}
    answer: dict[str, Any] = ask_node("openai_stream.mjs", request)
    return answer


@pytest.mark.parametrize("n", [1, 2])
def test_the_helper_puts_together_what_the_whole_answer_has(n: int) -> None:
    answer = told(" one two three", n=n, logprobs=True, top_logprobs=2)
    found, whole = answer["completion"], answer["whole"]
    for ours, theirs in zip(whole["choices"], found["choices"], strict=True):
        assert theirs["message"]["content"] == ours["message"]["content"] == " one two three"
        assert theirs["message"]["role"] == "assistant"
        assert theirs["logprobs"] == ours["logprobs"]
        assert (theirs["index"], theirs["finish_reason"]) == (ours["index"], "stop")
    assert found["object"] == "chat.completion"
    assert answer["contents"][:3] == [
        [" one", " one"],
        [" two", " one two"],
        [" three", " one two three"],
    ]
    assert [entry["token"] for entry in answer["logprobs"]] == [" one", " two", " three"] * n


def test_usage_that_comes_alone_is_counted() -> None:
    answer = told(" one two", stream_options={"include_usage": True})
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
    assert [len(chunk["choices"]) for chunk in answer["read"]] == [1, 1, 1, 0]
    assert answer["read"][-1]["object"] == "chat.completion.chunk"


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


@pytest.mark.parametrize("text", ["", " Let me look."])
def test_the_helper_puts_calls_of_tools_together(text: str) -> None:
    calls = [
        {"name": "price", "arguments": '{"of": "BTC", "days": 2}'},
        {"name": "now", "arguments": "{}"},
    ]
    answer = told(text, calls, tools=[tool("price"), tool("now")])
    ours, theirs = answer["whole"]["choices"][0], answer["completion"]["choices"][0]
    assert ours["finish_reason"] == theirs["finish_reason"] == "tool_calls"
    assert ours["message"]["content"] == (text or None)
    assert [call["function"] for call in ours["message"]["tool_calls"]] == calls
    for our, their in zip(
        ours["message"]["tool_calls"], theirs["message"]["tool_calls"], strict=True
    ):
        assert {**their, "function": {**our["function"], **their["function"]}} == our


def test_without_tools_nothing_is_called() -> None:
    answer = told(" one", [{"name": "now", "arguments": "{}"}])
    assert "tool_calls" not in answer["whole"]["choices"][0]["message"]
    assert answer["completion"]["choices"][0]["finish_reason"] == "stop"
