"""Where a checkpoint's bytes come from: one asynchronous interface for all."""

from __future__ import annotations

from typing import Protocol


class Source(Protocol):
    """A random-access run of bytes: a URL, a picked file, a file on disk, or memory.

    Attributes:
        name: for messages: a file name or a URL without its query.
    """

    name: str

    async def size(self) -> int:
        """Return the length in bytes.

        Raises:
            SourceError: the source is gone or refuses.
        """

    async def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`.

        Raises:
            SourceError: the range ends past the source's size, or reading failed or was cut
                short after retries.
        """
