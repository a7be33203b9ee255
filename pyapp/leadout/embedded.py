"""Prompts with embeddings in the place of some tokens': parts of an image, a sound, a soft prompt.

What turns an image into embeddings (a vision tower and its projection) is not part of this engine.
Its result is given with the prompt, as rows of the model's hidden size, in the scale in which the
model's layers want them.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from leadout.errors import RequestError
from leadout.logits import FLOAT_BYTES
from leadout.shown import shown
from leadout.state import REACH_BIT, ROW_EMBEDDED


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of consecutive positions of a prompt.

    The prompt has an id at each of these positions, too. It counts where only ids do: per-layer
    inputs (Gemma 4 E2B and E4B take the padding id's for images), penalties, and prompt lookup.

    Attributes:
        start: the first position.
        rows: [n, hidden_size] float32, row-major: a NumPy array, `array("f")`, bytes, or anything
            else with a buffer.
        sees_all: whether each row sees all of them, as parts of an image do in Gemma 3 (in all
            layers) and in Gemma 4 12B, 26B and 31B (in sliding layers); else it sees those before
            it, as tokens do.
    """

    start: int
    rows: Any
    sees_all: bool = False

    @classmethod
    def from_json(cls, fields: object) -> Embeddings:
        """Return what crossed a boundary as an object with these names, or as it is.

        Raises:
            RequestError: a name is missing or unknown.
        """
        if isinstance(fields, cls):
            return fields
        if not isinstance(fields, Mapping):
            raise RequestError(
                f"embeddings hold a {type(fields).__name__}; wanted start, rows and sees_all."
            )
        unknown = sorted({*fields} - {"start", "rows", "sees_all"})
        if unknown or not {"start", "rows"} <= {*fields}:
            raise RequestError(f"Embeddings have {sorted(fields)}; wanted start, rows, sees_all.")
        return cls(**fields)


@dataclass(frozen=True)
class _Span:
    """Checked `Embeddings`."""

    start: int
    end: int
    data: bytes
    sees_all: bool


class EmbeddedPrompt:
    """What a prompt has beside its ids, checked.

    Attributes:
        keys: a number for each position, equal where prompts agree: the id, or for embeddings what
            they say. Keys and values are taken over where keys are equal.
    """

    def __init__(
        self, ids: Sequence[int], given: Sequence[Embeddings], hidden_size: int, max_rows: int
    ) -> None:
        """Check what is given.

        Args:
            ids: of the whole prompt.
            given: in any order.
            hidden_size: of the model.
            max_rows: the most rows of one pass.

        Raises:
            RequestError: a number is no finite float32, rows are not `hidden_size` wide, positions
                overlap or lie outside of the prompt, or rows that see one another do not fit into
                one pass.
        """
        row_bytes = FLOAT_BYTES * hidden_size
        self._row_bytes = row_bytes
        self._spans = sorted(
            (_checked(one, row_bytes, max_rows) for one in given), key=lambda span: span.start
        )
        for before, span in pairwise(self._spans):
            if span.start < before.end:
                raise RequestError(
                    f"Embeddings from position {span.start} on overlap those from {before.start} "
                    f"to {before.end - 1}."
                )
        if self._spans and self._spans[-1].end >= len(ids):
            raise RequestError(
                f"Embeddings reach to position {self._spans[-1].end - 1}, but the prompt has "
                f"{len(ids)} ids, and its last one is a token: the answer begins behind it."
            )
        self.keys = list(ids)
        for span in self._spans:
            self.keys[span.start : span.end] = _keys(span, row_bytes)

    def whole(self, start: int, end: int) -> int:
        """Return where a pass ends that begins at `start` and would end at `end`.

        It takes rows that see one another together: it ends before them, or with them.
        """
        for span in self._spans:
            if span.sees_all and span.start < end < span.end:
                return span.start if span.start > start else span.end
        return end

    def flags(self, start: int, end: int) -> list[int]:
        """Return the flags of a row table for positions `start` to `end`; see `state.py`."""
        flags = [0] * (end - start)
        for first, last, span in self._within(start, end):
            for position in range(first, last):
                reach = span.end - 1 - position if span.sees_all else 0
                flags[position - start] = ROW_EMBEDDED | reach << REACH_BIT
        return flags

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Yield (rows behind `start`, [n, hidden_size] float32) of what a pass needs."""
        for first, last, span in self._within(start, end):
            offset = (first - span.start) * self._row_bytes
            num_bytes = (last - first) * self._row_bytes
            yield first - start, span.data[offset : offset + num_bytes]

    def _within(self, start: int, end: int) -> Iterator[tuple[int, int, _Span]]:
        for span in self._spans:
            first, last = max(span.start, start), min(span.end, end)
            if first < last:
                yield first, last, span


def _checked(given: Embeddings, row_bytes: int, max_rows: int) -> _Span:
    start = given.start
    if type(start) is not int or not 0 <= start < 1 << 31:
        raise RequestError(f"Embeddings start at {shown(start)}; wanted a position of the prompt.")
    if not isinstance(given.sees_all, bool):
        raise RequestError(f"sees_all is {shown(given.sees_all)}; wanted true or false.")
    where = f"Embeddings from position {start} on"
    data = _bytes_of(given.rows, where)
    if not data or len(data) % row_bytes:
        raise RequestError(
            f"{where} have {len(data)} bytes; wanted a multiple of {row_bytes}, "
            f"{row_bytes // FLOAT_BYTES} float32 a row."
        )
    count = len(data) // row_bytes
    if given.sees_all and count > max_rows:
        raise RequestError(
            f"{where} are {count} rows that see one another; wanted at most {max_rows}."
        )
    # A float64 holds the sum of many float32: it is finite if all of them are.
    if not math.isfinite(sum(array("f", data))):
        raise RequestError(f"{where} hold an infinity or a NaN.")
    return _Span(start, start + count, data, given.sees_all)


def _bytes_of(rows: Any, where: str) -> bytes:
    try:
        view = memoryview(rows)
    except TypeError as error:
        raise RequestError(
            f"{where} are a {type(rows).__name__}; wanted float32: an array or bytes."
        ) from error
    if view.format not in ("f", "<f", "B", "b", "c"):
        raise RequestError(f"{where} are of the type {view.format!r}; wanted float32.")
    return view.tobytes()


def _keys(span: _Span, row_bytes: int) -> list[int]:
    """Return negative numbers, which no id is: by row, or of all rows where these see all."""

    def digest(data: bytes) -> int:
        return int.from_bytes(hashlib.blake2b(data, digest_size=12).digest(), "big")

    if not span.sees_all:
        rows = range(0, len(span.data), row_bytes)
        return [-1 - digest(span.data[at : at + row_bytes]) for at in rows]
    # A row's keys and values depend on all the others, and on its place among them.
    whole = digest(span.data) << 32
    return [-1 - (whole + place) for place in range(span.end - span.start)]
