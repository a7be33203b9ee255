"""Ranges of code points as ranges of UTF-8's bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

#: The last code point of each length in UTF-8.
_LAST_OF_LENGTH = (0x7F, 0x7FF, 0xFFFF, 0x10FFFF)

ByteRange = tuple[int, int]


def utf8_sequences(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[ByteRange, ...]]:
    """Yield sequences of byte ranges; together they are the UTF-8 of all the code points.

    Args:
        ranges: of code points, both ends included, without surrogates.
    """
    for first, last in ranges:
        start = first
        for limit in _LAST_OF_LENGTH:
            if start <= min(last, limit):
                end = min(last, limit)
                yield from _of_one_length(chr(start).encode(), chr(end).encode())
                start = end + 1


def _of_one_length(low: bytes, high: bytes) -> Iterator[tuple[ByteRange, ...]]:
    if len(low) == 1:
        yield ((low[0], high[0]),)
        return
    rest = len(low) - 1
    if low[0] == high[0]:
        for tail in _of_one_length(low[1:], high[1:]):
            yield ((low[0], low[0]), *tail)
        return
    first, last = low[0], high[0]
    if low[1:] != b"\x80" * rest:
        yield from _of_one_length(low, bytes([first]) + b"\xbf" * rest)
        first += 1
    if high[1:] != b"\xbf" * rest:
        last -= 1
    if first <= last:
        yield ((first, last), *[(0x80, 0xBF)] * rest)
    if last < high[0]:
        yield from _of_one_length(bytes([high[0]]) + b"\x80" * rest, high)
