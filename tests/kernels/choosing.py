"""A choice by each way there is on WebGPU: one dispatch for few candidates, three for many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from compare import Array, RunKernel, poison, row_table, settings_table, words

from leadout.devices.twins import Call, load_twins
from leadout.ops.choice import FEW, FOUND_WORDS, MAX_MAXIMA, PART

WAYS = ("few", "many")


@dataclass
class Case:
    """What a choice is made from.

    Attributes:
        logits: [rows, count] float32.
        rows: the row table.
        settings: of all lanes.
        vocab_size: ids.
        ids: [rows, count] u32, or None where the logits are of all ids.
        seen: [lanes, vocab_size / 32].
        listed: after a choice by "many" with filters, how many of each row were listed.
    """

    logits: Array
    rows: Array
    settings: Array
    vocab_size: int
    ids: Array | None = None
    seen: Array | None = None
    listed: npt.NDArray[np.uint32] | None = None

    @property
    def count(self) -> int:
        return int(self.logits.shape[1])

    @property
    def inputs(self) -> list[Array]:
        lanes = len(self.settings) // 8
        seen = np.zeros((lanes, self.vocab_size // 32), np.uint32)
        return [self.logits, self.rows, self.settings, seen if self.seen is None else self.seen]

    @property
    def constants(self) -> dict[str, int]:
        return {"V": self.vocab_size, "COUNT": self.count}

    @property
    def kind(self) -> str:
        return "all" if self.ids is None else "mapped"

    @property
    def mapped(self) -> list[Array]:
        return [] if self.ids is None else [self.ids]

    def quads(self) -> int:
        return next(quads for quads, most in FEW.items() if self.count <= most)

    def twins(self) -> list[int]:
        """Return the choices that the twin makes."""
        choices = poison(len(self.rows))
        bindings = [words(one).copy() for one in [*self.inputs, choices, *self.mapped]]
        load_twins()["choose_few"](Call((self.kind, "choose", "4"), self.constants, bindings))
        return bindings[4].tolist()

    def gpus(self, run_kernel: RunKernel, way: str) -> list[int]:
        """Return the choices that the kernels make, by one way."""
        rows = len(self.rows)
        if way == "few":
            variant = f"choose_few.{self.kind}.choose.{self.quads()}"
            bindings = [*self.inputs, poison(rows), *self.mapped]
            return run_kernel(variant, self.constants, bindings, (rows, 1, 1))[4].tolist()
        parts = -(-self.count // PART)
        split = 1 << (MAX_MAXIMA // parts).bit_length() - 1
        constants = {**self.constants, "SPLIT": split}
        best, maxima = poison(rows * parts, 4), poison(rows * parts * split)
        found = poison(rows, FOUND_WORDS)
        bindings = [*self.inputs, best, maxima, found, *self.mapped]
        grid = (parts, rows, 1)
        done = run_kernel(f"choose_partial.{self.kind}", constants, bindings, grid)
        best, maxima, found = done[4:7]
        bindings = [*self.inputs, maxima, found, *self.mapped]
        found = run_kernel(f"choose_collect.{self.kind}", constants, bindings, grid)[5]
        self.listed = found.reshape(rows, FOUND_WORDS)[:, 0]
        constants = {**self.constants, "PARTS": parts}
        bindings = [*self.inputs, best, found, poison(rows), *self.mapped]
        done = run_kernel(f"choose_final.{self.kind}", constants, bindings, (rows, 1, 1))
        return done[6].tolist()


def repeated(logits: Array, num_rows: int, vocab_size: int, **fields: float) -> Case:
    """Return the case of one row of logits at as many positions, so with as many noises."""
    rows = row_table([(0, 1 + i, 0, False) for i in range(num_rows)])
    return Case(np.tile(logits, (num_rows, 1)), rows, settings_table(**fields), vocab_size)
