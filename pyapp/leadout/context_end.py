"""What happens to a conversation that no longer fits into the context. The caller chooses.

"error" refuses it. "drop_oldest" leaves the oldest turns out of the prompt and says how many
messages these were. A turn is a question with everything up to the next one, so a tool's call is
never separated from its results. System messages stay, and so does the last question.

A quarter of the context is dropped at a time. If it were one turn at a time, every prompt would
begin differently from the one before, and none could use the cache; now only few prompts do. What
is dropped depends on the messages only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

CONTEXT_OVERFLOWS = ("error", "drop_oldest")

Messages = Sequence[Mapping[str, object]]

_STAYING_ROLES = ("system", "developer")


@dataclass(frozen=True)
class Prompt:
    """What a request continues.

    Attributes:
        ids: tokens.
        dropped_messages: how many of the conversation's oldest messages it leaves out.
    """

    ids: list[int]
    dropped_messages: int = 0


async def fitted(
    render: Callable[[Messages], Awaitable[list[int]]],
    messages: Messages,
    context_length: int,
    max_tokens: int,
) -> Prompt:
    """Return the prompt of a conversation without as many of its oldest turns as have to go.

    Args:
        render: makes a prompt of messages.
        messages: of the conversation.
        context_length: positions there are.
        max_tokens: of the answer, for which there is to be room; up to a quarter of the context.

    Returns:
        A prompt with that room; else the one with the last turn alone, which may be too long.

    Raises:
        LeadoutError: as of `render`.
    """
    whole = await render(messages)
    quarter = max(context_length // 4, 1)
    excess = len(whole) + min(max_tokens, quarter) - context_length
    shorter = _without_oldest(messages)
    if excess <= 0 or not shorter:
        return Prompt(whole)
    prompts: dict[int, list[int]] = {}

    async def saved(number: int) -> int:
        if number not in prompts:
            prompts[number] = await render(shorter[number])
        return len(whole) - len(prompts[number])

    last = len(shorter) - 1
    wanted = min(-(-excess // quarter) * quarter, await saved(last))
    low, high = -1, last  # `high` saves what is wanted, `low` does not
    while high - low > 1:
        middle = (low + high) // 2
        if await saved(middle) >= wanted:
            high = middle
        else:
            low = middle
    return Prompt(prompts[high], len(messages) - len(shorter[high]))


def _without_oldest(messages: Messages) -> list[list[Mapping[str, object]]]:
    """Return what is left without the oldest turn, without the two oldest, and so on."""
    questions = [i for i, message in enumerate(messages) if message.get("role") == "user"]
    return [
        [
            message
            for i, message in enumerate(messages)
            if i >= first or message.get("role") in _STAYING_ROLES
        ]
        for first in questions
        if any(message.get("role") not in _STAYING_ROLES for message in messages[:first])
    ]
