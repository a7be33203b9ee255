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

#: Columns of a matrix in a layout: an odd number of blocks, where its planes allow it.
COLUMNS = {
    name: BLOCK * (24 if layout.scaling in ("super", "super16") else 17)
    for name, layout in LAYOUTS.items()
}

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
    known = LAYOUTS[layout]
    if not known.is_quantised:
        return [stored(rng.standard_normal(num_rows * num_cols), known.floats)]
    planes: list[Array] = []
    *integers, floats = known.planes
    for plane in integers:
        has_bytes = plane.name == "quants" and known.bits == 8
        values = known.quants if has_bytes else range(256)
        made = rng.integers(values.start, values.stop, plane.bytes(num_blocks))
        planes.append(made.astype(np.uint8))
    count = floats.bytes(num_blocks) // 2
    scales = rng.uniform(0.01, 0.1, count) * rng.choice([-1, 1], count)
    return [*planes, stored(scales, known.floats)]


def stored(values: Array, floats: str) -> Array:
    """Return values as f32, f16 or bf16; the last are cut off."""
    if floats == "bf16":
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return values.astype({"f32": np.float32, "f16": np.float16}[floats])


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
