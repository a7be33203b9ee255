"""Prompt lookup: what followed the last tokens when they last stood in prompt or output.

It has no weights and works with every model. It pays where text repeats: code, tables, quotes.

Source: prompt lookup decoding (Saxena, 2023), as in transformers' PromptLookupCandidateGenerator.
"""

from __future__ import annotations

from leadout import ops
from leadout.drafters.base import StatelessDrafter
from leadout.ops import ProgramBuilder
from leadout.rows import Rows
from leadout.state import Tables


class NgramDrafter(StatelessDrafter):
    """Implements `drafters.base.Drafter` over the lanes' history on the device."""

    kind = "ngram"

    def draft(
        self, p: ProgramBuilder, lane_rows: Rows, rows: Rows, tables: Tables, num_drafts: int
    ) -> None:
        """Look the last tokens up; see `Drafter.draft`."""
        p.add(ops.NgramDraft("ngram_draft", lane_rows, rows, tables, num_drafts))
