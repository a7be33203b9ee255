"""Weights back from the layouts of layouts.py, for all ops that read them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leadout.devices.numpy_ops import Floats, Words
from leadout.layouts import BLOCK, LAYOUTS, Layout


def dequantize(name: str, planes: Sequence[Words], num_rows: int, num_cols: int) -> Floats:
    """Return a matrix in float32.

    Every operation is a float32 one, in the order in which layouts.py writes the formulas, so
    that the result equals the gguf package's dequantisation of the same tensor bit for bit.
    Infinite or NaN scales propagate.

    Args:
        name: the layout's, a key of `layouts.LAYOUTS`.
        planes: uint32 words of each plane, in the layout's order; longer ones are cut.
        num_rows: rows.
        num_cols: columns, a multiple of 32.

    Returns:
        [num_rows, num_cols] float32.
    """
    layout = LAYOUTS[name]
    num_blocks = num_rows * num_cols // BLOCK
    if not layout.is_quantised:
        values = _values(layout.floats, planes[0])[: num_blocks * BLOCK]
        return values.reshape(num_rows, num_cols)
    # An infinite scale times zero is NaN, as it is on a GPU: the checkpoint's doing, not ours.
    with np.errstate(invalid="ignore", over="ignore"):
        return _blocks(layout, planes, num_blocks).reshape(num_rows, num_cols)


def _values(floats: str, plane: Words) -> Floats:
    if floats == "f32":
        return plane.view(np.float32).copy()
    if floats == "f16":
        return plane.view(np.float16).astype(np.float32)
    return (plane.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def _blocks(layout: Layout, planes: Sequence[Words], num_blocks: int) -> Floats:
    """Return quantised blocks as [num_blocks, 32]."""
    q = _quants(layout, planes[0], num_blocks)
    if layout.scaling == "scale":
        q *= _values(layout.floats, planes[1])[:num_blocks, np.newaxis]
        return q
    if layout.scaling == "affine":
        pairs = _values(layout.floats, planes[1])[: 2 * num_blocks].reshape(num_blocks, 2)
        q *= pairs[:, :1]
        q += pairs[:, 1:]
        return q
    factor_type = np.int8 if layout.scaling == "super16" else np.uint8
    factors = planes[1].view(factor_type)[: 2 * num_blocks].astype(np.float32)
    factors = factors.reshape(num_blocks, 2)
    supers = _values(layout.floats, planes[2])[: num_blocks // 4]
    supers = supers.reshape(num_blocks // 8, 2).repeat(8, axis=0)
    if layout.scaling == "super16":
        factors *= supers[:, :1]
        return (q.reshape(num_blocks, 2, 16) * factors[:, :, np.newaxis]).reshape(num_blocks, 32)
    factors *= supers
    q *= factors[:, :1]
    q -= factors[:, 1:]
    return q


def _quants(layout: Layout, plane: Words, num_blocks: int) -> Floats:
    """Return what scales multiply, [num_blocks, 32], as floats."""
    if layout.bits == 8:
        stored = plane.view(np.int8)[: num_blocks * BLOCK].reshape(num_blocks, BLOCK)
    else:
        packed = plane.view(np.uint8)[: num_blocks * BLOCK // 2].reshape(num_blocks, BLOCK // 2)
        stored = np.concatenate([packed & 15, packed >> 4], axis=-1)
    q: Floats = stored.astype(np.float32)
    q -= layout.zero
    return q
