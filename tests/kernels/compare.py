"""What the tests of this folder compare, and with which numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from leadout.layouts import BLOCK, LAYOUTS
from leadout.state import ROW_VALID

Array = npt.NDArray[np.generic]

#: What outputs hold before a kernel runs: a NaN, so that what is not written is seen.
POISON = np.uint32(0x7FC0BEEF)

#: What bytes of quants may hold, where a layout does not use all of them; see layouts.py.
QUANTS = {"q8_super": (0, 32), "q8_super16": (-32, 32)}

#: Of sums of a few thousand float32 products, relative to the largest.
TOLERANCE = 2e-5


def poison(*shape: int) -> Array:
    """Return an output buffer that nobody has written."""
    return np.full(shape, POISON, np.uint32)


def words(array: Array) -> npt.NDArray[np.uint32]:
    """Return an array's bytes as words, flat."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint32)


def assert_close(gpu: Array, wanted: Array, tolerance: float = TOLERANCE) -> None:
    """Assert that float32 results agree, relative to the largest of them."""
    a, b = words(gpu).view(np.float32), words(wanted).view(np.float32)
    written = words(wanted) != POISON
    assert np.array_equal(written, words(gpu) != POISON), "other places were written"
    assert np.isfinite(a[written]).all()
    largest = np.abs(b[written]).max(initial=1e-6)
    assert np.abs(a[written] - b[written]).max(initial=0.0) <= tolerance * largest


def random_planes(layout: str, num_rows: int, num_cols: int, seed: int = 0) -> list[Array]:
    """Return a matrix in a layout: any quants, scales between 0.01 and 0.1, either sign."""
    rng = np.random.default_rng(seed)
    num_blocks = num_rows * num_cols // BLOCK
    if layout in ("f32", "f16", "bf16"):
        values = rng.standard_normal(num_rows * num_cols).astype(np.float32)
        if layout == "bf16":
            return [(values.view(np.uint32) >> 16).astype(np.uint16)]
        return [values.astype(np.float16) if layout == "f16" else values]
    planes: list[Array] = []
    for plane in LAYOUTS[layout].planes:
        num_bytes = plane.bytes(num_blocks)
        is_halves = plane.name == "super" or (plane.name == "scale" and "super" not in layout)
        if is_halves:
            scales = rng.uniform(0.01, 0.1, num_bytes // 2) * rng.choice([-1, 1], num_bytes // 2)
            if layout.endswith("_bf16"):
                planes.append((scales.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16))
            else:
                planes.append(scales.astype(np.float16))
        else:
            low, high = QUANTS.get(layout, (0, 256)) if plane.name == "quants" else (0, 256)
            planes.append(rng.integers(low, high, num_bytes).astype(np.uint8))
    return planes


def row_table(rows: Sequence[tuple[int, int, int, bool]]) -> Array:
    """Return a row table from (lane, position, token, is_valid)."""
    return np.array(
        [(lane, position, token, ROW_VALID * valid) for lane, position, token, valid in rows],
        np.uint32,
    )


def settings_table(**fields: float) -> Array:
    """Return the settings of one lane."""
    from leadout.sampling import Sampling

    return np.frombuffer(Sampling(**fields).pack(), np.uint32)  # type: ignore[arg-type]
