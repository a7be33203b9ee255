"""Digests, values that are not finite, and weights made up."""

from __future__ import annotations

import numpy as np

from leadout import ops
from leadout.devices.numpy_ops import Memory, Words, meaning
from leadout.devices.numpy_ops.sampling import mix

_EXPONENTS = {"f32": 0x7F800000, "bf16": 0x7F80, "f16": 0x7C00}


@meaning(ops.Digest)
def digest(op: ops.Digest, memory: Memory) -> None:
    """Add two hashes of every row's bits."""
    x = memory.view(op.x.binding).reshape(op.x.shape)
    out = memory.words(op.y)
    size = x.shape[1]
    index = np.arange(size, dtype=np.uint32)
    with np.errstate(over="ignore"):
        out[: len(x), 0] += mix(x ^ mix(index)).sum(axis=-1, dtype=np.uint32)
        out[: len(x), 1] += mix(x + mix(index + np.uint32(size))).sum(axis=-1, dtype=np.uint32)


@meaning(ops.CheckFinite)
def check_finite(op: ops.CheckFinite, memory: Memory) -> None:
    """Set the flag where a value is infinite or not a number."""
    exponent = np.uint32(_EXPONENTS[op.kind])
    words = memory.view(op.values)
    parts: list[Words] = [words] if op.kind == "f32" else [words, words >> np.uint32(16)]
    if any(((part & exponent) == exponent).any() for part in parts):
        memory.words(op.flag)[0] |= np.uint32(1)


@meaning(ops.Fill)
def fill(op: ops.Fill, memory: Memory) -> None:
    """Write hashed bits, some of them kept, some set."""
    words = memory.view(op.words)
    with np.errstate(over="ignore"):
        seed = mix(np.array([op.seed], np.uint32))
        hashes = mix(np.add(seed, np.arange(len(words), dtype=np.uint32), dtype=np.uint32))
    words[:] = hashes & np.uint32(op.keep) | np.uint32(op.bits)
