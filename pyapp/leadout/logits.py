"""Logits as a person's Python gets them, and as it gives them back.

Where NumPy can be imported they are NumPy arrays of float32; elsewhere they are bytes, or for one
row an `array.array("f")`, which can be indexed and changed as well.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from leadout.errors import ProcessorError

FLOAT_BYTES = 4

#: What an infinity becomes: kernels have no infinities. Nothing that a model says is as large; an
#: id that has the lowest one is never chosen while another one is left.
HIGHEST = 1e30
LOWEST = -1e30


def find_numpy() -> ModuleType | None:
    """Return NumPy where it can be imported; a tab's Python has it only once somebody loads it."""
    try:
        import numpy as np
    except ImportError:
        return None
    return np


def as_rows(data: bytes, vocab_size: int) -> Any:
    """Return logits as a NumPy array, [rows, vocab_size] float32; without NumPy, as they are."""
    numpy = find_numpy()
    if numpy is None:
        return data
    return numpy.frombuffer(data, "<f4").reshape(-1, vocab_size)


def as_row(data: bytes, numpy: ModuleType | None) -> Any:
    """Return a copy of one row that may be changed: [vocab_size] float32."""
    return array("f", data) if numpy is None else numpy.frombuffer(data, "<f4").copy()


def to_bytes(row: object, vocab_size: int, name: str, numpy: ModuleType | None) -> bytes:
    """Return a processed row as the device takes it.

    Args:
        row: what a processor changed, or gave back.
        vocab_size: how many logits are wanted.
        name: the processor's, for messages.
        numpy: see `find_numpy`.

    Raises:
        ProcessorError: it has another size or is not made of numbers, some are not a number, or
            all are minus infinity, so that nothing is left to choose.
    """
    try:
        if numpy is not None:
            values = numpy.asarray(row, dtype="<f4")
            shape = tuple(values.shape)
        else:
            values = row if isinstance(row, array) and row.typecode == "f" else _floats(row)
            shape = (len(values),)
    except (TypeError, ValueError, OverflowError) as error:
        raise ProcessorError(
            f"{name} gave back {type(row).__name__}, which is no row of numbers; wanted "
            f"{vocab_size} logits, or None when it has changed the row in place.",
            processor=name,
        ) from error
    if shape != (vocab_size,):
        raise ProcessorError(
            f"{name} gave back logits of the shape {list(shape)}; wanted [{vocab_size}], one for "
            "each id of the vocabulary.",
            processor=name,
            shape=list(shape),
            vocab_size=vocab_size,
        )
    if numpy is not None:
        num_nans = int(numpy.isnan(values).sum())
        is_empty = bool((values <= LOWEST).all())
        clipped = numpy.clip(values, LOWEST, HIGHEST).astype("<f4").tobytes()
    else:
        num_nans, is_empty = 0, False
        if not math.isfinite(sum(values)) or min(values) < LOWEST or max(values) > HIGHEST:
            num_nans = sum(value != value for value in values)
            is_empty = all(value <= LOWEST for value in values)
            values = array("f", (max(LOWEST, min(value, HIGHEST)) for value in values))
        clipped = values.tobytes()
    if num_nans:
        raise ProcessorError(
            f"{name} made {num_nans} of {vocab_size} logits NaN; look for a division by zero or an "
            "infinity minus an infinity.",
            processor=name,
            nans=num_nans,
        )
    if is_empty:
        raise ProcessorError(
            f"{name} ruled out every id: all {vocab_size} logits are minus infinity; leave at "
            "least one.",
            processor=name,
        )
    return bytes(clipped)


def _floats(row: object) -> array[float]:
    if not isinstance(row, Sequence) or isinstance(row, (str, bytes)):
        raise TypeError(type(row).__name__)
    return array("f", row)
