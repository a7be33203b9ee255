"""Plain NumPy quantisers for Q4_K, Q5_K and Q6_K, which the `gguf` package only dequantises.

They choose scales by the extremes of a block: good enough to make files for tests from, and no
better. tests/unit/test_tiny_checkpoints.py holds them to the package's dequantisation.

Source: the block structures in ggml-common.h.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SUPER = 256

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def quantize_k(values: npt.ArrayLike, name: str) -> Bytes:
    """Quantise the rows of a matrix.

    Args:
        values: [rows, cols], cols a multiple of 256.
        name: "Q4_K", "Q5_K" or "Q6_K".

    Returns:
        [rows, bytes of a row] uint8.
    """
    matrix = np.asarray(values, dtype=np.float32)
    rows, cols = matrix.shape
    if cols % SUPER:
        raise ValueError(f"{name} needs a multiple of {SUPER} columns, not {cols}")
    blocks = matrix.reshape(-1, SUPER)
    packed = _q6_k(blocks) if name == "Q6_K" else _q45_k(blocks, {"Q4_K": 4, "Q5_K": 5}[name])
    return packed.reshape(rows, -1)


def _divided(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotient, 0 where the denominator is."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)


def _half_bytes(values: Floats) -> tuple[Floats, Bytes]:
    """Return values as float16 holds them, [blocks, 1], and its bytes, [blocks, 2]."""
    halves = values.astype(np.float16)
    return halves.astype(np.float32), halves.view(np.uint8).reshape(-1, 2)


def _q45_k(blocks: Floats, bits: int) -> Bytes:
    """w = d · s · q − dmin · m, with s and m in 6 bits for each of 8 runs of 32 values."""
    most = (1 << bits) - 1
    runs = blocks.reshape(-1, 8, 32)
    lowest = np.maximum(-runs.min(axis=2), 0)
    step = (np.maximum(runs.max(axis=2), 0) + lowest) / np.float32(most)
    d, d_bytes = _half_bytes(step.max(axis=1, keepdims=True) / 63)
    dmin, dmin_bytes = _half_bytes(lowest.max(axis=1, keepdims=True) / 63)
    s = np.clip(np.rint(_divided(step, d + 0 * step)), 0, 63)
    m = np.clip(np.rint(_divided(lowest, dmin + 0 * lowest)), 0, 63)
    scale, shift = (d * s)[:, :, None], (dmin * m)[:, :, None]
    q = np.clip(np.rint(_divided(runs + shift, scale + 0 * runs)), 0, most).astype(np.uint8)

    si, mi = s.astype(np.uint8), m.astype(np.uint8)
    scales = np.concatenate(
        [
            si[:, :4] | (si[:, 4:] >> 4 << 6),
            mi[:, :4] | (mi[:, 4:] >> 4 << 6),
            (si[:, 4:] & 15) | ((mi[:, 4:] & 15) << 4),
        ],
        axis=1,
    )
    low = (q & 15).reshape(-1, 4, 2, 32)
    nibbles = (low[:, :, 0] | (low[:, :, 1] << 4)).reshape(-1, 128)
    parts = [d_bytes, dmin_bytes, scales, nibbles]
    if bits == 5:
        places = np.arange(8, dtype=np.uint8)[None, :, None]
        parts.insert(3, np.bitwise_or.reduce((q >> 4) << places, axis=1))
    return np.concatenate(parts, axis=1)


def _q6_k(blocks: Floats) -> Bytes:
    """w = d · s · (q − 32), with s in 8 signed bits for each of 16 runs of 16 values."""
    runs = blocks.reshape(-1, 16, 16)
    step = np.abs(runs).max(axis=2) / np.float32(31)
    d, d_bytes = _half_bytes(step.max(axis=1, keepdims=True) / 127)
    s = np.clip(np.rint(_divided(step, d + 0 * step)), 0, 127)
    scale = (d * s)[:, :, None]
    q = np.clip(np.rint(_divided(runs, scale + 0 * runs)) + 32, 0, 63).astype(np.uint8)

    quarters = q.reshape(-1, 2, 4, 32)  # in each half of 128 values, four runs of 32
    low, high = quarters & 15, quarters >> 4
    nibbles = low[:, :, :2] | (low[:, :, 2:] << 4)
    pairs = high[:, :, 0] | (high[:, :, 1] << 2) | (high[:, :, 2] << 4) | (high[:, :, 3] << 6)
    return np.concatenate(
        [
            nibbles.reshape(-1, 128),
            pairs.reshape(-1, 64),
            s.astype(np.int8).view(np.uint8),
            d_bytes,
        ],
        axis=1,
    )
