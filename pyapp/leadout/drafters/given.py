"""Room for drafts that the host gives: a person's own drafter in Python.

By itself it proposes nothing. With it loaded there are passes with rows for drafts, as with any
other drafter, and a model needs no drafter of its own for that.
"""

from __future__ import annotations

from leadout import ops
from leadout.drafters.base import StatelessDrafter
from leadout.ops import ProgramBuilder
from leadout.rows import Rows
from leadout.state import Tables


class GivenDrafter(StatelessDrafter):
    """Implements `drafters.base.Drafter` with what lies in `given`; see state.py."""

    kind = "given"

    def draft(
        self, p: ProgramBuilder, lane_rows: Rows, rows: Rows, tables: Tables, num_drafts: int
    ) -> None:
        """Place what the host gave; see `Drafter.draft`."""
        p.add(ops.PlaceGiven("given.place_given", lane_rows, rows, tables, num_drafts))
