"""What the host gives with a submit, as uploads to the inputs of a Plan; see `state.py`."""

from __future__ import annotations

from collections.abc import Sequence

from leadout import state
from leadout.plan import Upload
from leadout.rows import padded
from leadout.state import Tables


def prompt_rows(
    lane: int, start: int, tokens: Sequence[int], num_rows: int, flags: Sequence[int] | None = None
) -> Upload:
    """Return the rows of a prompt's pass; see `state.pack_rows`."""
    return Upload("rows", 0, state.pack_rows(lane, start, tokens, num_rows, flags))


def last_row(lane: int, position: int, token: int) -> Upload:
    """Return the row of a prompt's last token."""
    return Upload("last_row", 0, state.pack_rows(lane, position, [token], 1))


def replayed_rows(
    lane: int, start: int, tokens: Sequence[int], num_rows: int, min_rows: int
) -> Upload:
    """Return the rows of a verify pass whose tokens are known.

    Args:
        lane: the sequence.
        start: position of the first token.
        tokens: at most `num_rows` ids.
        num_rows: of the pass, without those that it computes at least.
        min_rows: that it computes at least.
    """
    table = state.pack_rows(lane, start, tokens, len(tokens))
    padding = padded(num_rows, min_rows) - len(tokens)
    return Upload("cycle_rows", 0, table + bytes(state.ROW_BYTES * padding))


def struck_rows(group: int, num_drafts: int) -> Upload:
    """Return what makes the rows of a group take no part in the choices behind them."""
    num_bytes = state.ROW_BYTES * (1 + num_drafts)
    return Upload("cycle_rows", group * num_bytes, bytes(num_bytes))


def drafts(lane: int, ids: Sequence[int]) -> Upload:
    """Return the drafts that a lane has in a cycle whose drafts are given."""
    return Upload("given", lane * 4 * state.GIVEN_WORDS, state.pack_given(ids))


def masks(tables: Tables, lane: int, position: int, some: Sequence[bytes]) -> list[Upload]:
    """Return which ids may stand at positions from one on; at most `state.MASK_SLOTS` masks."""
    before_wrap = state.MASK_SLOTS - position % state.MASK_SLOTS
    return [
        Upload("seen", tables.mask_offset(lane, position + first), b"".join(part))
        for first, part in ((0, some[:before_wrap]), (before_wrap, some[before_wrap:]))
        if part
    ]
