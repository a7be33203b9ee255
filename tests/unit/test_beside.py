"""Doing things beside one another (leadout.beside)."""

from __future__ import annotations

import asyncio

import pytest

from leadout.beside import beside


async def test_results_come_in_the_order_of_the_coroutines() -> None:
    async def slow() -> str:
        await asyncio.sleep(0.01)
        return "slow"

    async def fast() -> str:
        return "fast"

    assert await beside(slow(), fast()) == ["slow", "fast"]


async def test_the_first_failure_is_the_failure_and_the_others_have_ended() -> None:
    ended = []

    async def failing() -> None:
        await asyncio.sleep(0)
        raise ValueError("the first")

    async def going_on() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)  # ending takes a while, too
            ended.append("going on")
            raise ValueError("a later one")

    with pytest.raises(ValueError, match="the first"):
        await beside(going_on(), failing())
    assert ended == ["going on"]


async def test_a_cancellation_ends_all() -> None:
    ended = []

    async def going_on(name: str) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(name)

    task = asyncio.ensure_future(beside(going_on("one"), going_on("other")))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["one", "other"]
