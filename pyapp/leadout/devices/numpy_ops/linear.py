"""Embedding and linear layers."""

from __future__ import annotations

import numpy as np

from leadout import ops
from leadout.devices.numpy_ops import Floats, Memory, meaning
from leadout.ops import LinearLayer
from leadout.rows import Rows
from leadout.state import ROW_EMBEDDED


def gelu(x: Floats) -> Floats:
    """Return gelu(x) with the tanh approximation, element by element."""
    inner = np.float32(0.7978845608028654) * (x + np.float32(0.044715) * x * x * x)
    return np.asarray(np.float32(0.5) * x * (np.float32(1.0) + np.tanh(inner)), np.float32)


def product(layer: LinearLayer, x: Floats, rows: Rows, memory: Memory) -> Floats:
    """Return W x of every row, [rows, outputs]; of few rows, one product a row."""
    y = np.empty((len(x), layer.num_outputs), np.float32)
    for matrix, first in layer.parts:
        weights = memory.matrix(matrix)
        columns = slice(first, first + len(weights))
        if rows.is_prefill:
            y[:, columns] = x @ weights.T
        else:
            for r, row in enumerate(x):
                y[r, columns] = weights @ row
    return y


@meaning(ops.Embed)
def embed(op: ops.Embed, memory: Memory) -> None:
    """Look the rows' tokens up."""
    tokens = memory.rows(op.rows)[:, 2].astype(np.int64)
    y = memory.floats(op.y)
    y[:, : op.table.num_cols] = np.float32(op.scale) * memory.matrix(op.table)[tokens]


@meaning(ops.EmbedPaged)
def embed_paged(op: ops.EmbedPaged, memory: Memory) -> None:
    """Look the rows' tokens up among the rows of the table that are here."""
    slots, y = memory.words(op.slots), memory.floats(op.y)
    for r, token in enumerate(memory.rows(op.rows)[:, 2]):
        slot = int(slots[token])
        y[r] = np.float32(op.scale) * memory.matrix_row(op.table, slot - 1) if slot else 0


@meaning(ops.PlaceEmbeddings)
def place_embeddings(op: ops.PlaceEmbeddings, memory: Memory) -> None:
    """Copy the rows that are given."""
    given, y = memory.floats(op.given), memory.floats(op.y)
    is_given = (memory.rows(op.rows)[:, 3] & ROW_EMBEDDED) != 0
    y[is_given, : given.shape[1]] = given[is_given]


@meaning(ops.Linear)
def linear(op: ops.Linear, memory: Memory) -> None:
    """Multiply, and bend under the soft-cap."""
    y = product(op.layer, memory.floats(op.x), op.rows, memory)
    if op.softcap is not None:
        cap = np.float32(op.softcap)
        y = np.asarray(cap * np.tanh(y / cap), np.float32)
    memory.floats(op.y)[:, op.offset : op.offset + y.shape[1]] = y


@meaning(ops.GatedLinear)
def gated_linear(op: ops.GatedLinear, memory: Memory) -> None:
    """Multiply, and gate."""
    y = product(op.layer, memory.floats(op.x), op.rows, memory)
    half = y.shape[1] // 2
    memory.floats(op.y)[:] = gelu(y[:, :half]) * y[:, half:]


@meaning(ops.GeluTimes)
def gelu_times(op: ops.GeluTimes, memory: Memory) -> None:
    """Gate by given factors."""
    x, factors = memory.floats(op.x), memory.floats(op.factors)
    memory.floats(op.y)[:] = gelu(x) * factors[:, op.offset : op.offset + x.shape[1]]
