"""Doing several things beside one another, with one failure for all."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
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
