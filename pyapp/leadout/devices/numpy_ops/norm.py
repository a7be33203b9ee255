"""Norms and residuals."""

from __future__ import annotations

import numpy as np

from leadout import ops
from leadout.devices.numpy_ops import Floats, Memory, meaning


def normalize(x: Floats, eps: float) -> Floats:
    """Return x / sqrt(mean(x^2) + eps) along the last axis."""
    # What np.mean computes, without what it takes to find that out.
    mean = np.add.reduce(x * x, axis=-1, keepdims=True) / np.float32(x.shape[-1])
    return np.asarray(x / np.sqrt(mean + np.float32(eps)), np.float32)


@meaning(ops.RmsNorm)
def rms_norm(op: ops.RmsNorm, memory: Memory) -> None:
    """Norm."""
    normed = normalize(memory.floats(op.x), op.eps)
    memory.floats(op.y)[:] = np.float32(op.scale) * normed * memory.vector(op.weight)


@meaning(ops.AddNorm)
def add_norm(op: ops.AddNorm, memory: Memory) -> None:
    """Norm, add, scale."""
    h = memory.floats(op.h) + normalize(memory.floats(op.x), op.eps) * memory.vector(op.weight)
    if op.scalar is not None:
        h *= memory.vector(op.scalar)[0]
    memory.floats(op.h_out)[:] = h


@meaning(ops.RmsNormSum)
def rms_norm_sum(op: ops.RmsNormSum, memory: Memory) -> None:
    """Norm two, add."""
    x = normalize(memory.floats(op.x), op.eps) * memory.vector(op.x_weight)
    z = normalize(memory.floats(op.z), op.eps) * memory.vector(op.z_weight)
    memory.floats(op.y)[:] = x + z


@meaning(ops.PerLayerInput)
def per_layer_input(op: ops.PerLayerInput, memory: Memory) -> None:
    """Norm the projection, add the embedding."""
    normed = normalize(np.float32(op.scale) * memory.floats(op.projected), op.eps)
    y = normed * memory.vector(op.weight) + memory.floats(op.embedded)
    memory.floats(op.y)[:] = y * np.float32(0.5**0.5)


@meaning(ops.TakeLastRow)
def take_last_row(op: ops.TakeLastRow, memory: Memory) -> None:
    """Copy a row."""
    memory.floats(op.y)[0] = memory.floats(op.x)[-1]
