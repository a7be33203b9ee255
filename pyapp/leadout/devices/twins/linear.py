"""Twins of matvec, matmul, gelu_mul, gelu_times and embed."""

from __future__ import annotations

import numpy as np

from leadout.devices.twins import Call, Floats, twin
from leadout.devices.twins.weights import dequantize
from leadout.layouts import LAYOUTS


def matrix(call: Call, rows: str = "N") -> tuple[Floats, int]:
    """Return the weights [rows, K] float32 and the number of planes they took.

    Args:
        call: the dispatch, whose first argument is the layout.
        rows: name of the constant that counts the weights' rows.
    """
    layout = call.args[0]
    num_planes = len(LAYOUTS[layout].planes)
    weights = call.weights.get(call.weights_key) if call.weights_key is not None else None
    if weights is None:
        planes = call.bindings[:num_planes]
        weights = dequantize(layout, planes, call.integer(rows), call.integer("K"))
        if call.weights_key is not None:
            call.weights[call.weights_key] = weights
    return weights, num_planes


def gelu(x: Floats) -> Floats:
    """Return gelu(x) with the tanh approximation, element by element."""
    inner = np.float32(0.7978845608028654) * (x + np.float32(0.044715) * x * x * x)
    return np.asarray(np.float32(0.5) * x * (np.float32(1.0) + np.tanh(inner)), np.float32)


def _softcap(call: Call, y: Floats) -> Floats:
    cap = np.float32(call.constants.get("CAP", 0.0))
    return y if cap == 0 else np.asarray(cap * np.tanh(y / cap), np.float32)


def _store(call: Call, binding: int, y: Floats) -> None:
    stride, offset = call.integer("OUT_STRIDE"), call.integer("OUT_OFFSET", 0)
    out = call.floats(binding)[: len(y) * stride].reshape(len(y), stride)
    out[:, offset : offset + y.shape[1]] = y


@twin
def matvec(call: Call) -> None:
    """One product per row, so that a row's bits do not depend on the rows beside it."""
    weights, num_planes = matrix(call)
    rows = int(call.args[1])
    x = call.floats(num_planes)[: rows * call.integer("K")].reshape(rows, -1)
    y = np.stack([weights @ row for row in x])
    if call.args[3] == "gelu_mul":
        half = call.integer("N") // 2
        y = gelu(y[:, :half]) * y[:, half:]
    else:
        y = _softcap(call, y)
    _store(call, num_planes + 1, y)


@twin
def matmul(call: Call) -> None:
    """All rows at once."""
    weights, num_planes = matrix(call)
    x = call.floats(num_planes).reshape(-1, call.integer("K"))
    _store(call, num_planes + 1, _softcap(call, x @ weights.T))


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
    factors = call.floats(1).reshape(-1, stride)[:, offset : offset + size]
    x = call.floats(0)[: len(factors) * size].reshape(-1, size)
    call.floats(2)[: x.size] = (gelu(x) * factors).ravel()


@twin
def embed(call: Call) -> None:
    """Rows of the embedding, scaled; tokens of other shards are left alone."""
    weights, num_planes = matrix(call)
    columns, first = call.integer("K"), call.integer("FIRST", 0)
    tokens = call.bindings[num_planes].reshape(-1, 4)[:, 2].astype(np.int64) - first
    stride = call.integer("OUT_STRIDE")
    y = call.floats(num_planes + 1)[: len(tokens) * stride].reshape(-1, stride)
    mine = (tokens >= 0) & (tokens < call.integer("N"))
    y[mine, :columns] = np.float32(call.number("SCALE")) * weights[tokens[mine]]
