"""Looking at bits: digests, values that are not finite, and weights made up on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from leadout.ops.program import Op, Tensor
from leadout.plan import Binding


@dataclass(frozen=True)
class Digest(Op):
    """Add two hashes of every row's bits to y, [rows, 2] u32, which the host zeroed."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class CheckFinite(Op):
    """Set the flag where values hold an infinity or a NaN.

    Attributes:
        values: whole words.
        kind: "f32", "f16" or "bf16".
        flag: one word, zeroed before.
    """

    values: Binding
    kind: str
    flag: Tensor

    WRITES: ClassVar[tuple[str, ...]] = ("flag",)


@dataclass(frozen=True)
class Fill(Op):
    """words[i] = (hash of seed and i) & keep | bits."""

    words: Binding
    seed: int
    keep: int
    bits: int
