"""Does several things at the same time, with one failure for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


async def beside(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run coroutines beside one another, begun in this order, and return their results.

    Raises:
        BaseException: the first failure, once all others have ended: they are cancelled.
    """
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


class SharedLock:
    """What many may use at a time, or one alone; in the order in which they come."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._num_sharing = 0
        self._is_free: asyncio.Future[None] | None = None

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Use it beside others; wait for who uses it alone, or is to do so."""
        async with self._turn:
            self._num_sharing += 1
        try:
            yield
        finally:
            self._num_sharing -= 1
            if self._num_sharing == 0 and self._is_free is not None and not self._is_free.done():
                self._is_free.set_result(None)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Use it alone, when all who came before have left."""
        async with self._turn:
            if self._num_sharing:
                self._is_free = asyncio.get_running_loop().create_future()
                await self._is_free
            yield
