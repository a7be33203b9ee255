"""The router's choice, and the experts' linear layers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leadout import ops
from leadout.devices.numpy_ops import Floats, Memory, Words, meaning
from leadout.devices.numpy_ops.linear import gelu
from leadout.ops import ExpertLayer


@meaning(ops.Route)
def route(op: ops.Route, memory: Memory) -> None:
    """Take the best experts of every row, and their shares."""
    scores = memory.floats(op.scores)
    top = op.chosen.shape[1]
    order = np.argsort(-scores, axis=-1, kind="stable")[:, :top]
    best = np.take_along_axis(scores, order, axis=-1)
    shares = np.exp(best - best[:, :1])
    total = shares.sum(axis=-1, keepdims=True)
    memory.words(op.chosen)[:] = order.astype(np.uint32)
    memory.floats(op.weights)[:] = shares / total * memory.vector(op.per_expert_scale)[order]


def expert_products(
    layer: ExpertLayer, x: npt.NDArray[np.float32], chosen: Words, memory: Memory
) -> Floats:
    """Return every chosen expert's product, [rows, top_k, outputs]; x is [rows, top_k, inputs]."""
    y = np.empty((*chosen.shape, layer.num_outputs), np.float32)
    for matrix, first in layer.parts:
        weights = memory.matrix(matrix)
        outputs = len(weights) // layer.num_experts
        for r, slot in np.ndindex(chosen.shape):
            begin = int(chosen[r, slot]) * outputs
            y[r, slot, first : first + outputs] = weights[begin : begin + outputs] @ x[r, slot]
    return y


@meaning(ops.ExpertGatedLinear)
def expert_gated_linear(op: ops.ExpertGatedLinear, memory: Memory) -> None:
    """Multiply a row by each of its experts, and gate."""
    chosen, x = memory.words(op.chosen), memory.floats(op.x)
    same = np.broadcast_to(x[:, np.newaxis], (*chosen.shape, x.shape[1]))
    y = expert_products(op.layer, same, chosen, memory)
    half = y.shape[-1] // 2
    memory.floats(op.y)[:] = gelu(y[..., :half]) * y[..., half:]


@meaning(ops.ExpertLinear)
def expert_linear(op: ops.ExpertLinear, memory: Memory) -> None:
    """Multiply what each expert has by its weights."""
    chosen = memory.words(op.chosen)
    memory.floats(op.y)[:] = expert_products(op.layer, memory.floats(op.x), chosen, memory)


@meaning(ops.MixExperts)
def mix_experts(op: ops.MixExperts, memory: Memory) -> None:
    """Add a row's experts by their weights."""
    x, weights = memory.floats(op.x), memory.floats(op.weights)
    y = np.zeros((len(x), x.shape[2]), np.float32)
    for i in range(x.shape[1]):
        y += weights[:, i : i + 1] * x[:, i]
    memory.floats(op.y)[:] = y
