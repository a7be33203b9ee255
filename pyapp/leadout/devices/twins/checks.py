"""Twins of digest, check_finite and fill."""

from __future__ import annotations

import numpy as np

from leadout.devices.twins import Call, Words, twin
from leadout.devices.twins.sampling import mix

_EXPONENTS = {"f32": 0x7F800000, "bf16": 0x7F80, "half": 0x7C00}


@twin
def digest(call: Call) -> None:
    """Two hashes of every row's bits."""
    size = call.integer("N")
    x = call.bindings[0].reshape(-1, size)
    out = call.bindings[1][: 2 * len(x)].reshape(-1, 2)
    index = np.arange(size, dtype=np.uint32)
    with np.errstate(over="ignore"):
        out[:, 0] += mix(x ^ mix(index)).sum(axis=-1, dtype=np.uint32)
        out[:, 1] += mix(x + mix(index + np.uint32(size))).sum(axis=-1, dtype=np.uint32)


@twin
def check_finite(call: Call) -> None:
    """Set a flag where a value is infinite or not a number."""
    exponent = np.uint32(_EXPONENTS[call.args[0]])
    words = call.bindings[0]
    parts: list[Words] = [words] if call.args[0] == "f32" else [words, words >> np.uint32(16)]
    if any(((part & exponent) == exponent).any() for part in parts):
        call.bindings[1][0] |= np.uint32(1)


@twin
def fill(call: Call) -> None:
    """Hashed bits, some of them kept, some set."""
    count = len(call.bindings[0])
    with np.errstate(over="ignore"):
        seed = mix(np.array([call.integer("SEED")], np.uint32))
        hashes = mix(np.add(seed, np.arange(count, dtype=np.uint32), dtype=np.uint32))
    kept = hashes & np.uint32(call.integer("KEEP"))
    call.bindings[0][:] = kept | np.uint32(call.integer("SET"))
