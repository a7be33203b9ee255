"""Twins of route, expert_matvec and mix_experts."""

from __future__ import annotations

import numpy as np

from leadout.devices.twins import Call, twin
from leadout.devices.twins.linear import matrix


@twin
def route(call: Call) -> None:
    """The experts of every row, and their weights."""
    experts, top = call.integer("EXPERTS"), call.integer("TOP")
    scores = call.floats(0).reshape(-1, experts)
    order = np.argsort(-scores, axis=-1, kind="stable")[:, :top]
    best = np.take_along_axis(scores, order, axis=-1)
    shares = np.exp(best - best[:, :1])
    weights = shares / shares.sum(axis=-1, keepdims=True) * call.floats(1)[:experts][order]
    call.bindings[2][: order.size] = order.astype(np.uint32).ravel()
    call.floats(3)[: order.size] = weights.astype(np.float32).ravel()


@twin
def expert_matvec(call: Call) -> None:
    """One product per row and chosen expert."""
    outputs, first, count = call.integer("N"), call.integer("FIRST", 0), call.integer("COUNT")
    weights, num_planes = matrix(call, count, call.integer("K"))
    top, stride, offset = (call.integer(name) for name in ("TOP", "OUT_STRIDE", "OUT_OFFSET"))
    chosen = call.bindings[num_planes].reshape(-1, top).astype(np.int64)
    x = call.floats(num_planes + 1).reshape(-1, call.integer("K"))
    out = call.floats(num_planes + 2)[: chosen.size * stride].reshape(*chosen.shape, stride)
    is_shared = call.integer("SHARED_INPUT") == 1
    for r, slot in np.ndindex(chosen.shape):
        begin = int(chosen[r, slot]) * outputs - first
        low, high = max(begin, 0), min(begin + outputs, count)
        if low < high:
            product = weights[low:high] @ x[r if is_shared else r * top + slot]
            column = offset + low - begin
            out[r, slot, column : column + high - low] = product


@twin
def mix_experts(call: Call) -> None:
    """The weighted sum of a row's experts."""
    size, top = call.integer("D"), call.integer("TOP")
    x = call.floats(0).reshape(-1, top, size)
    weights = call.floats(1)[: len(x) * top].reshape(-1, top)
    y = np.zeros((len(x), size), np.float32)
    for i in range(top):
        y += weights[:, i : i + 1] * x[:, i]
    call.floats(2)[: y.size] = y.ravel()
