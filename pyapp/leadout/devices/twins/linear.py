"""Twins of matvec, solo_matvec, matmul, gelu_mul, gelu_times and embed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadout.devices.twins import Call, Floats, twin
from leadout.devices.twins.weights import dequantize
from leadout.layouts import LAYOUTS
from leadout.ops.grid import SHAPE


@dataclass(frozen=True)
class Shape:
    """A linear layer's numbers, from the uniform behind its other bindings."""

    columns: int
    outputs: int
    stride: int
    offset: int
    softcap: np.float32


def _shape(call: Call) -> Shape:
    columns, outputs, stride, offset, softcap, *_ = SHAPE.unpack(call.bindings[-1].tobytes())
    return Shape(columns, outputs, stride, offset, np.float32(softcap))


def matrix(call: Call, num_rows: int, num_cols: int) -> tuple[Floats, int]:
    """Return the weights [num_rows, num_cols] float32 and the number of planes they took."""
    layout = call.args[0]
    num_planes = len(LAYOUTS[layout].planes)
    weights = call.weights.get(call.weights_key) if call.weights_key is not None else None
    if weights is None:
        weights = dequantize(layout, call.bindings[:num_planes], num_rows, num_cols)
        if call.weights_key is not None:
            call.weights[call.weights_key] = weights
    return weights, num_planes


def gelu(x: Floats) -> Floats:
    """Return gelu(x) with the tanh approximation, element by element."""
    inner = np.float32(0.7978845608028654) * (x + np.float32(0.044715) * x * x * x)
    return np.asarray(np.float32(0.5) * x * (np.float32(1.0) + np.tanh(inner)), np.float32)


def _store(y: Floats, out: Floats, shape: Shape) -> None:
    """Write outputs where the shape says, under its soft-cap."""
    if shape.softcap != 0:
        y = np.asarray(shape.softcap * np.tanh(y / shape.softcap), np.float32)
    rows = out[: len(y) * shape.stride].reshape(len(y), shape.stride)
    rows[:, shape.offset : shape.offset + y.shape[1]] = y


@twin
def matvec(call: Call) -> None:
    """One product per row, so that a row's bits do not depend on the rows beside it."""
    _row_by_row(call, call.args[3])


@twin
def solo_matvec(call: Call) -> None:
    """The same."""
    _row_by_row(call, call.args[2])


def _row_by_row(call: Call, epilogue: str) -> None:
    shape = _shape(call)
    weights, num_planes = matrix(call, shape.outputs, shape.columns)
    x = call.floats(num_planes).reshape(-1, shape.columns)
    y = np.stack([weights @ row for row in x])
    if epilogue == "gelu_mul":
        half = shape.outputs // 2
        y = gelu(y[:, :half]) * y[:, half:]
    _store(y, call.floats(num_planes + 1), shape)


@twin
def matmul(call: Call) -> None:
    """All rows at once."""
    shape = _shape(call)
    weights, num_planes = matrix(call, shape.outputs, shape.columns)
    x = call.floats(num_planes).reshape(-1, shape.columns)
    _store(x @ weights.T, call.floats(num_planes + 1), shape)


@twin
def gelu_mul(call: Call) -> None:
    """gelu(gate) * up."""
    size = call.integer("N")
    gate_up = call.floats(0).reshape(-1, 2 * size)
    call.floats(1)[: len(gate_up) * size] = (gelu(gate_up[:, :size]) * gate_up[:, size:]).ravel()


@twin
def gelu_times(call: Call) -> None:
    """gelu(x) * some columns of the factors."""
    size, stride, offset = call.integer("N"), call.integer("STRIDE"), call.integer("OFFSET", 0)
    x = call.floats(0).reshape(-1, size)
    # The binding may begin within the first row, so it is no whole number of rows.
    places = np.arange(len(x))[:, None] * stride + offset + np.arange(size)
    call.floats(2)[: x.size] = (gelu(x) * call.floats(1)[places]).ravel()


@twin
def embed(call: Call) -> None:
    """Rows of the embedding, scaled; tokens of other shards are left alone."""
    columns, first = call.integer("K"), call.integer("FIRST", 0)
    weights, num_planes = matrix(call, call.integer("N"), columns)
    tokens = call.bindings[num_planes].reshape(-1, 4)[:, 2].astype(np.int64) - first
    stride = call.integer("OUT_STRIDE")
    y = call.floats(num_planes + 1)[: len(tokens) * stride].reshape(-1, stride)
    mine = (tokens >= 0) & (tokens < call.integer("N"))
    y[mine, :columns] = np.float32(call.number("SCALE")) * weights[tokens[mine]]
