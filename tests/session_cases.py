"""Requests that come and go at random beside one another; for any device."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import strategies as st

from leadout.engine import Engine
from leadout.session.prompt_rows import PromptRows
from speculation_cases import Case, cases


@dataclass(frozen=True)
class Arrival:
    """A request among others.

    Attributes:
        case: the request.
        turns: of the event loop before it comes.
        cancelled_after: tokens after which it is cancelled; None: not at all.
        drafter: what it asks for.
    """

    case: Case
    turns: int
    cancelled_after: int | None
    drafter: str


def arrivals(
    max_tokens: int = 24, more: tuple[int, int] = (30, 300), sizes: tuple[int, int] = (2, 10)
) -> st.SearchStrategy[list[Arrival]]:
    """Draw schedules of requests.

    Args:
        max_tokens: of an answer.
        more: the least and the most ids that half of the prompts are longer than `cases`' own.
        sizes: the least and the most requests.
    """
    longer = st.integers(*more).map(lambda n: tuple(3 + 7 * i % 90 for i in range(n)))
    case = st.builds(
        lambda case, ids: replace(case, prompt=case.prompt + ids),
        cases(max_tokens),
        st.one_of(st.just(()), longer),
    )
    arrival = st.builds(
        Arrival,
        case,
        st.integers(0, 60),
        st.one_of(st.none(), st.none(), st.integers(1, 12)),
        st.sampled_from(["auto", "auto", "none"]),
    )
    return st.lists(arrival, min_size=sizes[0], max_size=sizes[1])


async def run(engine: Engine, arrival: Arrival) -> tuple[list[int], str]:
    """Run a request that comes later, and perhaps goes early; return ids and why it ended."""
    for _ in range(arrival.turns):
        await asyncio.sleep(0)
    told: list[int] = []
    limit = arrival.cancelled_after
    result = await engine.generate(
        arrival.case.request(arrival.drafter),
        lambda delta: told.extend(delta.tokens),
        lambda: limit is not None and len(told) >= limit,
    )
    assert result.tokens == told
    return result.tokens, result.finish_reason


async def check_arrivals(
    alone: Engine, together: Engine, schedule: Sequence[Arrival], plain: dict[Case, list[int]]
) -> None:
    """Assert that requests beside one another have the ids of plain decoding, one by one.

    Args:
        alone: runs one request at a time, without drafts.
        together: runs several.
        schedule: of these requests.
        plain: ids of plain decoding that are known already; gets more.
    """
    for arrival in schedule:
        undrafted = replace(arrival.case, draft_tokens=0, run_ahead=1)
        if undrafted not in plain:
            plain[undrafted] = (await alone.generate(undrafted.request("none"))).tokens
    ended = await asyncio.gather(*(run(together, arrival) for arrival in schedule))
    for arrival, (tokens, reason) in zip(schedule, ended, strict=True):
        wanted = plain[replace(arrival.case, draft_tokens=0, run_ahead=1)]
        if reason == "abort":
            assert tokens == wanted[: len(tokens)], arrival
        else:
            assert tokens == wanted, arrival


def slow_prompts(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a prompt's passes take 2 ms a row: beside a stream that decodes, they have 32 rows."""
    rows = PromptRows()
    rows.ms_per_row = 2.0
    monkeypatch.setattr(rows, "learn", lambda one: None)
    monkeypatch.setattr(engine.decoder.loop, "_prompt_rows", rows)
