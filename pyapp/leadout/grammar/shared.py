"""What is made once for all who want it, and freed when nobody does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Something that is being made, or was; it has one user from the start.

    It is made to its end even where who waits for it is cancelled: others may wait as well, and a
    library that began something cannot be told to leave it.

    Args:
        making: makes it.
        free: frees it; called once, when the last user has released it and it is made.
    """

    def __init__(self, making: Coroutine[Any, Any, T], free: Callable[[T], None]) -> None:
        self._task = asyncio.ensure_future(making)
        self._free = free
        self._num_users = 1

    @property
    def has_failed(self) -> bool:
        """Whether there is nothing, and never will be."""
        task = self._task
        return task.done() and (task.cancelled() or task.exception() is not None)

    async def get(self) -> T:
        """Return it, once it is made.

        Raises:
            Exception: what making it failed with.
        """
        return await asyncio.shield(self._task)

    def take(self) -> None:
        """Count one more user."""
        self._num_users += 1

    def release(self) -> None:
        """Count one user less."""
        self._num_users -= 1
        if self._num_users > 0:
            return
        # The loop in which it was made may have ended since: callbacks would not be called.
        if self._task.done():
            self._dispose()
        else:
            self._task.add_done_callback(lambda task: self._dispose())

    def _dispose(self) -> None:
        if not self.has_failed:
            self._free(self._task.result())
