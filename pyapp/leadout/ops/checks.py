"""Looking at bits: digests, values that are not finite, and weights made up on the device."""

from __future__ import annotations

from leadout.ops.grid import ceil, linear_grid
from leadout.plan import Binding, PlanBuilder

_WORDS_PER_WORKGROUP = 4096


def digest(b: PlanBuilder, x: Binding, digests: Binding, rows: int, columns: int) -> None:
    """Add two hashes of every row's bits to digests, [rows, 2] u32, which the host zeroed."""
    grid = (ceil(columns, _WORDS_PER_WORKGROUP), rows, 1)
    b.dispatch("digest", {"N": columns}, [x, digests], grid, "digest")


def check_finite(b: PlanBuilder, values: Binding, kind: str, flag: Binding, label: str) -> None:
    """Set the flag where values hold an infinity or a NaN.

    Args:
        b: gets the dispatch.
        values: whole words.
        kind: "f32", "bf16" or "half".
        flag: one word, zeroed before.
        label: for profiles.
    """
    words = values.bytes // 4
    b.dispatch(
        f"check_finite.{kind}",
        {},
        [values, flag],
        linear_grid(ceil(words, _WORDS_PER_WORKGROUP)),
        label,
    )


def fill(b: PlanBuilder, words: Binding, seed: int, keep: int, bits: int, label: str) -> None:
    """words[i] = (hash of seed and i) & keep | bits."""
    count = words.bytes // 4
    b.dispatch(
        "fill",
        {"SEED": seed, "KEEP": keep, "SET": bits},
        [words],
        linear_grid(ceil(count, _WORDS_PER_WORKGROUP)),
        label,
    )
