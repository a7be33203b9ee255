"""Embedding and linear layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from leadout.layouts import BLOCK, Matrix, Shard
from leadout.ops.grid import activations, ceil, linear_grid, part_of, shape
from leadout.plan import Binding, PlanBuilder
from leadout.rows import FEW_ROWS, TILE_ROWS, Rows

#: From so many outputs on, a matrix fills a GPU with a few lanes for each.
WIDE_MATRIX_OUTPUTS = 4096

#: Outputs that one workgroup of web/kernels/matvec.wgsl computes, by form, and of solo_matvec.wgsl.
_OUTPUTS_PER_WORKGROUP = {"wide": 16, "deep": 2, "solo": 16}


@dataclass(frozen=True)
class Linear:
    """A linear layer: matrices stacked along the outputs, each with its first output column.

    One matrix where all parts share a layout, several where they do not (a GGUF may keep v_proj
    in another format than q_proj).
    """

    parts: Sequence[tuple[Matrix, int]]
    num_outputs: int

    @property
    def single_shard(self) -> Matrix | None:
        """The matrix, if it is one and lies in one shard."""
        matrix = self.parts[0][0]
        return matrix if len(self.parts) == 1 and len(matrix.shards) == 1 else None


def matvec_form(num_outputs: int, num_shard_outputs: int) -> str:
    """Return which form of matvec a layer's shard takes; for all numbers of rows the same.

    On an NVIDIA H100, 12288 x 1536 takes 16 us deep and 55 wide, 1536 x 262144 takes 160 us wide
    and 249 deep (one row; tests/bench/LOG.md).
    """
    is_wide = num_outputs >= WIDE_MATRIX_OUTPUTS and num_shard_outputs % 4 == 0
    return "wide" if is_wide else "deep"


def _solo_matvec(
    b: PlanBuilder,
    matrix: Matrix,
    shard: Shard,
    x: Binding,
    y: Binding,
    numbers: Binding,
    rows: Rows,
    epilogue: str,
    label: str,
) -> None:
    """Append what takes matvec's and matmul's place on an adapter that computes on the CPU."""
    count = min(rows.count, FEW_ROWS[-1])
    x = part_of(x, 0, rows.count, matrix.num_cols)
    b.dispatch(
        f"solo_matvec.{matrix.layout}.{count}.{epilogue}",
        {},
        [*shard.planes, x, y, numbers],
        (ceil(shard.num_rows, _OUTPUTS_PER_WORKGROUP["solo"]), rows.count // count, 1),
        label,
    )


def embed(
    b: PlanBuilder,
    table: Matrix,
    y: Binding,
    rows: Rows,
    scale: float,
    label: str,
    stride: int | None = None,
) -> None:
    """y[r] = scale * table[token of row r].

    Args:
        b: gets the dispatches.
        table: [ids, columns].
        y: [rows, stride] float32, whose first columns are written.
        rows: of the pass.
        scale: factor.
        label: for profiles.
        stride: columns of y, when it has more than the table.
    """
    for shard in table.shards:
        b.dispatch(
            f"embed.{table.layout}",
            {
                "K": table.num_cols,
                "N": shard.num_rows,
                "FIRST": shard.row_start,
                "SCALE": scale,
                "OUT_STRIDE": stride or table.num_cols,
            },
            [*shard.planes, rows.table, y],
            (ceil(table.num_cols // BLOCK, 64), rows.count, 1),
            label,
        )


def linear(
    b: PlanBuilder,
    layer: Linear,
    x: Binding,
    y: Binding,
    rows: Rows,
    label: str,
    *,
    stride: int | None = None,
    offset: int = 0,
    softcap: float | None = None,
) -> None:
    """y[r] = W x[r], for every part of the layer.

    Args:
        b: gets the dispatches.
        layer: W.
        x: [rows, inputs] float32.
        y: [rows, stride] float32.
        rows: of the pass.
        label: for profiles.
        stride: columns of y; None: as many as the layer has outputs.
        offset: column of y that the first output goes to.
        softcap: c, when y = c tanh(W x / c) is wanted.
    """
    stride = stride or layer.num_outputs
    for matrix, first_output in layer.parts:
        for shard in matrix.shards:
            first_column = offset + first_output + shard.row_start
            numbers = shape(
                b, matrix.num_cols, shard.num_rows, stride, first_column, softcap or 0.0
            )
            if b.for_software:
                _solo_matvec(b, matrix, shard, x, y, numbers, rows, "none", label)
                continue
            if rows.is_prefill:
                b.dispatch(
                    f"matmul.{matrix.layout}",
                    {},
                    [*shard.planes, x, y, numbers],
                    (ceil(shard.num_rows, 64), rows.count // TILE_ROWS, 1),
                    label,
                )
                continue
            form = matvec_form(layer.num_outputs, shard.num_rows)
            for first, count in _chunks(rows):
                b.dispatch(
                    f"matvec.{matrix.layout}.{count}.{form}.none",
                    {},
                    [
                        *shard.planes,
                        part_of(x, first, count, matrix.num_cols),
                        part_of(y, first, count, stride),
                        numbers,
                    ],
                    linear_grid(ceil(shard.num_rows, _OUTPUTS_PER_WORKGROUP[form])),
                    label,
                )


def gated_linear(
    b: PlanBuilder, gate_up: Linear, x: Binding, y: Binding, rows: Rows, label: str
) -> None:
    """y[r] = gelu(gate x[r]) * (up x[r]), gate and up stacked in one layer."""
    size = gate_up.num_outputs // 2
    matrix = gate_up.single_shard
    if matrix is None or (rows.is_prefill and not b.for_software):
        both = activations(b, "gate_up", rows.count, gate_up.num_outputs)
        linear(b, gate_up, x, both, rows, label)
        gelu_mul(b, both, y, rows.count, size, label + ".gelu")
        return
    numbers = shape(b, matrix.num_cols, matrix.num_rows, size, 0, 0.0)
    shard = matrix.shards[0]
    if b.for_software:
        _solo_matvec(b, matrix, shard, x, y, numbers, rows, "gelu_mul", label)
        return
    form = matvec_form(matrix.num_rows, matrix.num_rows)
    for first, count in _chunks(rows):
        b.dispatch(
            f"matvec.{matrix.layout}.{count}.{form}.gelu_mul",
            {},
            [
                *shard.planes,
                part_of(x, first, count, matrix.num_cols),
                part_of(y, first, count, size),
                numbers,
            ],
            linear_grid(ceil(matrix.num_rows, _OUTPUTS_PER_WORKGROUP[form])),
            label,
        )


def gelu_mul(b: PlanBuilder, both: Binding, y: Binding, rows: int, size: int, label: str) -> None:
    """y[r] = gelu(the first `size` columns of both[r]) * the others."""
    b.dispatch("gelu_mul", {"N": size}, [both, y], (ceil(size, 64), rows, 1), label)


def _chunks(rows: Rows) -> Iterator[tuple[int, int]]:
    """Yield (first row, rows) of runs for which there is a variant."""
    widest = FEW_ROWS[-1]
    for first in range(0, rows.count, widest):
        yield first, min(widest, rows.count - first)
