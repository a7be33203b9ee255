"""Conversations beyond the context's end (leadout.context_end)."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from leadout.context_end import Messages, Prompt, fitted
from leadout.errors import RequestError
from leadout.request import GenerateRequest


async def render(messages: Messages) -> list[int]:
    """Return one id a word, and one that says whose they are; a turn of the model's begins."""
    ids = [2]
    for message in messages:
        words = str(message["content"]).split()
        ids += [len(str(message["role"])), *(len(word) for word in words)]
    return [*ids, 5]


def said(role: str, num_words: int) -> dict[str, object]:
    return {"role": role, "content": " ".join(["word"] * num_words)}


def conversation(num_turns: int, num_words: int = 9) -> list[dict[str, object]]:
    """Return a system message, and turns of two messages, each of 10 ids."""
    turns = [said(role, num_words) for _ in range(num_turns) for role in ("user", "assistant")]
    return [said("system", 9), *turns[:-1]]


async def kept(messages: Sequence[dict[str, object]], context: int, max_tokens: int) -> Prompt:
    prompt = await fitted(render, messages, context, max_tokens)
    assert len(prompt.ids) + min(max_tokens, context // 4) <= context
    return prompt


async def test_what_fits_is_left_alone() -> None:
    messages = conversation(3)  # 62 ids
    prompt = await kept(messages, 80, 18)
    assert prompt == Prompt(await render(messages))


async def test_whole_turns_go_by_quarters_of_the_context_and_the_system_message_stays() -> None:
    messages = conversation(3)
    prompt = await kept(messages, 80, 19)  # one id too many; a quarter is 20, which is a turn
    assert prompt == Prompt(await render([messages[0], *messages[3:]]), 2)


async def test_what_is_dropped_stays_the_same_for_several_turns() -> None:
    dropped = [(await kept(conversation(turns), 400, 50)).dropped_messages for turns in range(60)]
    changes = [b - a for a, b in pairwise(dropped) if a != b]
    assert changes == [10] * len(changes)  # 100 ids are five turns
    assert 5 <= len(changes) <= 12


async def test_a_tools_call_goes_with_its_results() -> None:
    messages = [
        said("user", 9),
        said("assistant", 9),
        said("tool", 30),
        said("assistant", 9),
        said("user", 9),
    ]
    prompt = await kept(messages, 80, 20)
    assert prompt == Prompt(await render(messages[4:]), 4)


async def test_system_messages_between_turns_stay() -> None:
    messages = [said("user", 60), said("system", 4), said("user", 9)]
    assert (await kept(messages, 80, 20)) == Prompt(await render(messages[1:]), 1)


async def test_the_last_question_stays_even_if_it_is_too_long() -> None:
    messages = [*conversation(4), said("assistant", 3), said("user", 99)]
    prompt = await fitted(render, messages, 80, 20)
    assert prompt == Prompt(await render([messages[0], messages[-1]]), len(messages) - 2)
    alone = [said("user", 99)]
    assert await fitted(render, alone, 80, 20) == Prompt(await render(alone))


async def test_answers_of_any_length_want_a_quarter_of_the_context_at_most() -> None:
    messages = conversation(3)
    assert (await kept(messages, 82, 10_000)).dropped_messages == 0
    assert (await kept(messages, 81, 10_000)).dropped_messages == 2


def test_another_choice_is_refused() -> None:
    with pytest.raises(RequestError, match="context_overflow is 'forget'; wanted one of"):
        GenerateRequest.from_json({"prompt": "a", "context_overflow": "forget"})
