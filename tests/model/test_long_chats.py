"""Chats beyond the context's end, from messages to ids."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from leadout.context_end import Prompt
from leadout.engine import Engine, Generated, LoadOptions
from leadout.errors import ContextLengthError
from leadout.request import GenerateRequest
from leadout_build.cli.native import load_engine
from published_templates import GEMMA_4_TOOLS
from stand_in_nano import write_stand_in

CONTEXT_LENGTH = 640

Messages = list[dict[str, Any]]


@pytest.fixture
def engine(tmp_path) -> Callable[[], Coroutine[Any, Any, Engine]]:
    path = write_stand_in(tmp_path / "tools", GEMMA_4_TOOLS) / "nano.gguf"

    async def get() -> Engine:
        return await load_engine({path.name: path}, LoadOptions(context_length=CONTEXT_LENGTH))

    return get


def said(role: str, text: str, **fields: object) -> dict[str, Any]:
    return {"role": role, "content": text, **fields}


def conversation(num_turns: int) -> Messages:
    """Return a system message, and questions with calls of a tool, its results and answers."""
    messages = [said("system", "Say the capital.")]
    for number in range(num_turns):
        call = {"name": "price", "arguments": f'{{"coin": {number}}}'}
        calls = [{"id": f"call_{number}", "type": "function", "function": call}]
        messages += [
            said("user", f"the capital of {number}"),
            {"role": "assistant", "content": None, "tool_calls": calls},
            said("tool", f"{number} and {number}", tool_call_id=f"call_{number}"),
            said("assistant", f"the capital of the country of {number}"),
        ]
    return [*messages, said("user", "the capital")]


async def asked(engine: Engine, messages: Messages, **fields: object) -> tuple[Generated, Prompt]:
    told: list[Prompt] = []
    request = GenerateRequest.from_json({"messages": messages, "max_tokens": 8, **fields})
    return await engine.generate(request, on_prompt=told.append), told[0]


async def test_a_chat_that_does_not_fit_is_refused_unless_its_oldest_turns_may_go(engine) -> None:
    loaded = await engine()
    long = conversation(20)
    with pytest.raises(ContextLengthError):
        await asked(loaded, long)
    found, prompt = await asked(loaded, long, context_overflow="drop_oldest")
    dropped = found.stats.dropped_messages
    assert dropped == prompt.dropped_messages
    assert dropped % 4 == 0 < dropped, "whole turns"
    # What is left is what a chat without these messages would be.
    left, _ = await asked(loaded, [long[0], *long[1 + dropped :]])
    assert found.prompt_tokens == prompt.ids == left.prompt_tokens
    assert found.tokens == left.tokens
    assert len(found.prompt_tokens) + 8 <= CONTEXT_LENGTH
    assert left.stats.dropped_messages == 0


async def test_most_turns_of_an_endless_chat_find_their_prompt_in_the_cache(engine) -> None:
    loaded = await engine()
    dropped, new = [], []
    for num_turns in range(6, 30):
        messages = conversation(num_turns)
        found, _ = await asked(loaded, messages, context_overflow="drop_oldest")
        dropped.append(found.stats.dropped_messages)
        new.append(len(found.prompt_tokens) - found.stats.cached_tokens)
    assert dropped == sorted(dropped)
    changes = sum(a != b for a, b in pairwise(dropped))
    assert 3 <= changes <= len(dropped) // 2, dropped
    # The last question is said in other words, so its turn is new as well.
    once, twice = [
        await loaded.prompt_tokens(GenerateRequest(messages=tuple(conversation(number))))
        for number in (1, 2)
    ]
    most = 2 * (len(twice) - len(once))
    assert sum(count <= most for count in new) >= len(new) - changes - 1, (new, most)
