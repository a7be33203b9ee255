"""Weights back from the layouts of layouts.py, for all ops that read them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leadout.devices.numpy_ops import Floats, Words
from leadout.layouts import BLOCK


def dequantize(layout: str, planes: Sequence[Words], num_rows: int, num_cols: int) -> Floats:
    """Return a matrix in float32.

    Every operation is a float32 one, in the order in which layouts.py writes the formulas, so
    that the result equals the gguf package's dequantisation of the same tensor bit for bit.
    Infinite or NaN scales propagate.

    Args:
        layout: a key of `layouts.LAYOUTS`.
        planes: uint32 words of each plane, in the layout's order; longer ones are cut.
        num_rows: rows.
        num_cols: columns, a multiple of 32.

    Returns:
        [num_rows, num_cols] float32.
    """
    num_blocks = num_rows * num_cols // BLOCK
    if layout in ("f32", "f16", "bf16"):
        values = _values(layout, planes[0])[: num_blocks * BLOCK]
        return values.reshape(num_rows, num_cols)
    # An infinite scale times zero is NaN, as it is on a GPU: the checkpoint's doing, not ours.
    with np.errstate(invalid="ignore", over="ignore"):
        return _blocks(layout, planes, num_blocks).reshape(num_rows, num_cols)


def _values(layout: str, plane: Words) -> Floats:
    if layout == "f32":
        return plane.view(np.float32).copy()
    if layout == "f16":
        return plane.view(np.float16).astype(np.float32)
    return (plane.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def _blocks(layout: str, planes: Sequence[Words], num_blocks: int) -> Floats:
    """Return quantised blocks as [num_blocks, 32]."""
    q = _quants(layout, planes[0], num_blocks)
    kind = layout.split("_")[1]
    if kind == "scale":
        q *= _halves(planes[1], num_blocks)
        return q
    if kind == "affine":
        halves = _values("bf16" if layout.endswith("_bf16") else "f16", planes[1])
        pairs = halves[: 2 * num_blocks].reshape(num_blocks, 2)
        q *= pairs[:, :1]
        q += pairs[:, 1:]
        return q
    factor_type = np.int8 if kind == "super16" else np.uint8
    factors = planes[1].view(factor_type)[: 2 * num_blocks].astype(np.float32)
    factors = factors.reshape(num_blocks, 2)
    supers = _halves(planes[2], num_blocks // 4).reshape(num_blocks // 8, 2).repeat(8, axis=0)
    if kind == "super16":
        factors *= supers[:, :1]
        return (q.reshape(num_blocks, 2, 16) * factors[:, :, np.newaxis]).reshape(num_blocks, 32)
    factors *= supers
    q *= factors[:, :1]
    q -= factors[:, 1:]
    return q


def _quants(layout: str, plane: Words, num_blocks: int) -> Floats:
    """Return the quantised values, [num_blocks, 32], as floats."""
    if layout.startswith("q8"):
        signed = plane.view(np.int8)[: num_blocks * BLOCK]
        q = signed.astype(np.float32).reshape(num_blocks, BLOCK)
        if layout.startswith("q8_affine"):
            q += 128
        return q
    packed = plane.view(np.uint8)[: num_blocks * BLOCK // 2].reshape(num_blocks, BLOCK // 2)
    q = np.concatenate([packed & 15, packed >> 4], axis=-1).astype(np.float32)
    if layout == "q4_scale":
        q -= 8
    return q


def _halves(plane: Words, count: int) -> Floats:
    """Return f16 values as a float32 column, [count, 1]."""
    return plane.view(np.float16)[:count].astype(np.float32)[:, np.newaxis]
