"""The rows of a pass: how many the kernels compute, and the table that says what each one is.

A row is (lane, position, token); see `state.py` for its words. Prefill is many rows of one lane,
a decode step one row of every lane, a verify pass 1 + k rows of every lane, and a drafter's step
one row of every lane again. Kernels do not know which of these they serve; only two choices are
made here: whether the rows go through the kernels for few rows or for many, and where their
table lies.
"""

from __future__ import annotations

from dataclasses import dataclass

from leadout import state
from leadout.plan import Binding

#: Rows for which web/kernels/matvec.wgsl has a variant; more go through several dispatches of the
#: last one.
FEW_ROWS = (1, 2, 4, 8)

#: Rows in a tile of web/kernels/matmul.wgsl.
TILE_ROWS = 32


@dataclass(frozen=True)
class Rows:
    """The rows of a pass.

    Attributes:
        count: rows computed, padding included: 1, 2, 4 or a multiple of 8; in prefill a multiple
            of 32.
        table: the row table, [count] vec4<u32>.
        is_prefill: many rows, through tiled kernels; else few, whose bits depend neither on
            their number nor on their order.
        embeddings: [count, hidden_size] float32, of rows whose embeddings the host gives; None
            where all rows have their tokens'.
    """

    count: int
    table: Binding
    is_prefill: bool = False
    embeddings: Binding | None = None

    def __post_init__(self) -> None:
        assert self.table.bytes == state.ROW_BYTES * self.count, f"{self}"
        if self.is_prefill:
            assert self.count % TILE_ROWS == 0, f"{self.count} rows"
        else:
            assert self.count == padded(self.count), f"{self.count} rows"


def padded(count: int, at_least: int = 1) -> int:
    """Return how many rows the kernels for few rows compute when `count` are wanted."""
    wanted = max(count, at_least)
    widest = FEW_ROWS[-1]
    if wanted > widest:
        return -(-wanted // widest) * widest
    return next(rows for rows in FEW_ROWS if rows >= wanted)


def rows_of(
    table: str, count: int, is_prefill: bool = False, embeddings: Binding | None = None
) -> Rows:
    """Return the first `count` rows of a table of `state.py`, by its buffer's name."""
    return Rows(count, Binding(table, 0, state.ROW_BYTES * count), is_prefill, embeddings)
