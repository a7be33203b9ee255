"""Where a checkpoint's bytes come from: one asynchronous interface for all."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from leadout.errors import SourceError

#: How files begin that lie where a model's should, and what to do about them.
_STAND_INS = {
    b"vers": "it is the pointer that git keeps in a large file's place, fetch the file itself",
    b"<!do": "it is a web page, fetch the file itself",
    b"<htm": "it is a web page, fetch the file itself",
}


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


class MemorySource:
    """Bytes that are in memory already."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data

    async def size(self) -> int:
        """Return the length in bytes."""
        return len(self.data)

    async def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`; see `Source.read`."""
        check_range(self.name, offset, length, len(self.data))
        return self.data[offset : offset + length]


class FileSource:
    """A file on disk, for CPython. It is opened for each read, so nothing has to be closed."""

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        self.name = path.name if name is None else name

    async def size(self) -> int:
        """Return the length in bytes; see `Source.size`."""
        return self._size()

    async def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`; see `Source.read`."""
        return self._read(offset, length)

    def _size(self) -> int:
        try:
            if self.path.is_dir():
                raise SourceError(f"{self.name} is a folder; give a file", name=self.name)
            return self.path.stat().st_size
        except OSError as error:
            raise self._failed(error) from error

    def _read(self, offset: int, length: int) -> bytes:
        check_range(self.name, offset, length, self._size())
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                data = file.read(length)
        except OSError as error:
            raise self._failed(error) from error
        if len(data) != length:
            raise SourceError(
                f"{self.name} was cut short while it was read: {len(data):,} bytes came of "
                f"{length:,} from offset {offset:,}; load it again",
                name=self.name,
                offset=offset,
                wanted_bytes=length,
                found_bytes=len(data),
            )
        return data

    def _failed(self, error: OSError) -> SourceError:
        reason = error.strerror or str(error)
        return SourceError(
            f"{self.name} cannot be read ({reason}); check the path and its permissions",
            name=self.name,
            reason=reason,
        )


def check_range(name: str, offset: int, length: int, size: int) -> None:
    """Refuse a range that is not inside its source.

    Raises:
        SourceError: with the range and the size.
    """
    if offset < 0 or length < 0 or offset + length > size:
        raise SourceError(
            f"{name} has {size:,} bytes, but {length:,} were wanted from offset {offset:,}; "
            "the file may have been cut short, download it again",
            name=name,
            offset=offset,
            wanted_bytes=length,
            size_bytes=size,
        )


def advice_on(first: bytes, usual: str) -> str:
    """Return what to do about a file that is not of its format.

    Args:
        first: the file's first bytes, at least four.
        usual: the advice, unless these say what the file is.
    """
    return _STAND_INS.get(first[:4].lower(), usual)
