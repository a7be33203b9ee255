"""Twins of matvec, matmul, gelu_mul and embed."""

from __future__ import annotations

import numpy as np

from leadout.devices.twins import Call, Floats, twin
from leadout.devices.twins.weights import dequantize
from leadout.layouts import LAYOUTS


def _matrix(call: Call) -> tuple[Floats, int]:
    """Return the weights [N, K] float32 and the number of planes they took."""
    layout = call.args[0]
    num_planes = len(LAYOUTS[layout].planes)
    weights = call.weights.get(call.weights_key) if call.weights_key is not None else None
    if weights is None:
        planes = call.bindings[:num_planes]
        weights = dequantize(layout, planes, call.integer("N"), call.integer("K"))
        if call.weights_key is not None:
            call.weights[call.weights_key] = weights
    return weights, num_planes


def gelu(x: Floats) -> Floats:
    """Return gelu(x) with the tanh approximation, element by element."""
    inner = np.float32(0.7978845608028654) * (x + np.float32(0.044715) * x * x * x)
    return np.asarray(np.float32(0.5) * x * (np.float32(1.0) + np.tanh(inner)), np.float32)


def _store(call: Call, binding: int, y: Floats) -> None:
    stride, offset = call.integer("OUT_STRIDE"), call.integer("OUT_OFFSET", 0)
    out = call.floats(binding)[: len(y) * stride].reshape(len(y), stride)
    out[:, offset : offset + y.shape[1]] = y


@twin
def matvec(call: Call) -> None:
    """One product per row, so that a row's bits do not depend on the rows beside it."""
    weights, num_planes = _matrix(call)
    rows = int(call.args[1])
    x = call.floats(num_planes)[: rows * call.integer("K")].reshape(rows, -1)
    y = np.stack([weights @ row for row in x])
    if call.args[3] == "gelu_mul":
        half = call.integer("N") // 2
        y = gelu(y[:, :half]) * y[:, half:]
    _store(call, num_planes + 1, y)


@twin
def matmul(call: Call) -> None:
    """All rows at once."""
    weights, num_planes = _matrix(call)
    x = call.floats(num_planes).reshape(-1, call.integer("K"))
    _store(call, num_planes + 1, x @ weights.T)


@twin
def gelu_mul(call: Call) -> None:
    """gelu(gate) * up."""
    size = call.integer("N")
    gate_up = call.floats(0).reshape(-1, 2 * size)
    call.floats(1)[: len(gate_up) * size] = (gelu(gate_up[:, :size]) * gate_up[:, size:]).ravel()


@twin
def embed(call: Call) -> None:
    """Rows of the embedding, scaled; tokens of other shards are left alone."""
    weights, num_planes = _matrix(call)
    columns, first = call.integer("K"), call.integer("FIRST", 0)
    tokens = call.bindings[num_planes].reshape(-1, 4)[:, 2].astype(np.int64) - first
    y = call.floats(num_planes + 1)[: len(tokens) * columns].reshape(-1, columns)
    mine = (tokens >= 0) & (tokens < call.integer("N"))
    y[mine] = np.float32(call.number("SCALE")) * weights[tokens[mine]]
