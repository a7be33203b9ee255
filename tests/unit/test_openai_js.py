"""The official client's streaming helpers over Leadout's chunks; its types are in tests/types."""

from __future__ import annotations

from typing import Any

import pytest

from node_script import ask_node

MESSAGES = [{"role": "user", "content": "Hello there"}]


def told(text: str, **params: object) -> dict[str, Any]:
    """Return what the helpers make of an answer; see openai_stream.mjs."""
    request = {"options": {"text": text}, "params": {"messages": MESSAGES, **params}}
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
