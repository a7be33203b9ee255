"""Engines whose rings are overwritten soon, so that a test's answers can be short.

A ring is longer than the window by the rows of the largest prefill pass. Real loads have passes of
256 rows, and it takes an answer of some 300 tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from leadout import pass_building, planning, speculative
from leadout.session import prompt_rows

#: Rows of every prefill pass: the ring of a window of 24 then has 64 positions, not 320.
ROWS = 32


@contextmanager
def short_rings() -> Iterator[None]:
    """Have engines that are loaded, and run, meanwhile prefill 32 tokens at a time."""
    with pytest.MonkeyPatch.context() as patched:
        for module in (pass_building, planning, speculative, prompt_rows):
            patched.setattr(module, "PREFILL_ROWS", (ROWS,))
        patched.setattr(prompt_rows, "UNKNOWN_ROWS", ROWS)
        yield
