"""Embedding and linear layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leadout.layouts import Matrix
from leadout.ops.program import Op, Tensor
from leadout.rows import Rows


@dataclass(frozen=True)
class LinearLayer:
    """The weights of a linear layer: matrices stacked along the outputs.

    One matrix where all parts share a layout, several where they do not (a GGUF may keep v_proj
    in another format than q_proj).

    Attributes:
        parts: each matrix with its first output.
        num_outputs: of all parts.
    """

    parts: Sequence[tuple[Matrix, int]]
    num_outputs: int

    @property
    def single_shard(self) -> Matrix | None:
        """The matrix, if it is one and lies in one shard."""
        matrix = self.parts[0][0]
        return matrix if len(self.parts) == 1 and len(matrix.shards) == 1 else None


@dataclass(frozen=True)
class Embed(Op):
    """y[r, :columns] = scale * table[token of row r].

    Attributes:
        table: [ids, columns].
        rows: of the pass.
        y: [rows, at least columns] float32; further columns stay as they are.
        scale: factor.
    """

    table: Matrix
    rows: Rows
    y: Tensor
    scale: float


@dataclass(frozen=True)
class EmbedPaged(Op):
    """y[r] = scale * table[slot of row r's token], and 0 where the token has none.

    Attributes:
        table: the rows that are on the device, [slots, columns].
        slots: [ids] u32, each id's row of `table` plus 1; 0: it is not on the device.
        rows: of the pass.
        y: [rows, columns] float32.
        scale: factor.
    """

    table: Matrix
    slots: Tensor
    rows: Rows
    y: Tensor
    scale: float


@dataclass(frozen=True)
class PlaceEmbeddings(Op):
    """y[r, :columns] = given[r] for rows whose embeddings the host gives; others stay.

    Attributes:
        given: [rows, columns] float32.
        rows: of the pass.
        y: [rows, at least columns] float32; further columns stay as they are.
    """

    given: Tensor
    rows: Rows
    y: Tensor


@dataclass(frozen=True)
class Linear(Op):
    """y[r, offset : offset + outputs] = softcap(W x[r]).

    Attributes:
        layer: W.
        x: [rows, inputs] float32.
        rows: of the pass.
        y: [rows, at least offset + outputs] float32; other columns stay as they are.
        offset: column of y that the first output goes to.
        softcap: c, where c tanh(W x / c) is wanted; None: W x.
    """

    layer: LinearLayer
    x: Tensor
    rows: Rows
    y: Tensor
    offset: int = 0
    softcap: float | None = None


@dataclass(frozen=True)
class GatedLinear(Op):
    """y[r] = gelu(gate x[r]) * (up x[r]).

    Attributes:
        layer: gate and up, stacked: [2 outputs, inputs].
        x: [rows, inputs] float32.
        rows: of the pass.
        y: [rows, outputs] float32.
    """

    layer: LinearLayer
    x: Tensor
    rows: Rows
    y: Tensor


@dataclass(frozen=True)
class GeluTimes(Op):
    """y[r] = gelu(x[r]) * factors[r, offset : offset + columns].

    Attributes:
        x: [rows, columns] float32.
        factors: [rows, at least offset + columns] float32.
        y: [rows, columns] float32.
        offset: the factors' first column.
    """

    x: Tensor
    factors: Tensor
    y: Tensor
    offset: int
