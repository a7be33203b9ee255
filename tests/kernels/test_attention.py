import numpy as np
import pytest
from compare import assert_close, poison, row_table, run_both

from leadout.ops.attention import ATTENDING

# heads, kv heads, dim, shared heads of the variant, window, capacity
CASES = [
    (4, 1, 256, 4, 0, 256),
    (4, 2, 32, 2, 70, 192),
    (8, 1, 512, 4, 5, 64),
    (3, 1, 8, 1, 512, 640),
]


def inputs(heads, kv_heads, dim, capacity, dtype, rows) -> list:
    rng = np.random.default_rng(dim)
    q = rng.standard_normal((len(rows), heads, dim)).astype(np.float32)
    caches = rng.standard_normal((2, 2 * kv_heads * capacity * dim))
    caches = caches.astype(np.float32 if dtype == "f32" else np.float16)
    return [q, rows, caches[0], caches[1]]


def attending(heads, kv_heads, dim, window, capacity, behind=0, slots=0) -> np.ndarray:
    data = ATTENDING.pack(heads, kv_heads, dim, window, behind, capacity, slots, dim**-0.5)
    return np.frombuffer(data, np.uint32)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_attention_over_all_tiles_equals_its_twin(run_kernel, case, dtype) -> None:
    heads, kv_heads, dim, shared, window, capacity = case
    last = 1000 if window else capacity - 1
    rows = row_table([(1, 0, 0, True), (1, 63, 0, True), (1, last, 0, True), (0, 9, 0, False)])
    bindings = [*inputs(heads, kv_heads, dim, capacity, dtype, rows), poison(len(rows), heads, dim)]
    bindings.append(attending(heads, kv_heads, dim, window, capacity))
    gpu, twin = run_both(
        run_kernel,
        f"attention.rows.{shared}.{dtype}",
        {},
        bindings,
        (1, heads // shared, len(rows)),
    )
    assert_close(gpu[4], twin[4])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("behind", [0, 1])
def test_attention_per_tile_equals_its_twin_and_its_grid_may_be_too_large(
    run_kernel, case, behind
) -> None:
    heads, kv_heads, dim, shared, window, capacity = case
    last = 1000 if window else capacity - 1
    slots = (window + 62) // 64 + 1 if window else capacity // 64
    rows = row_table([(0, 64, 0, True), (1, last, 0, True), (0, 9, 0, False)])
    bindings = [
        *inputs(heads, kv_heads, dim, capacity, "f32", rows),
        poison(len(rows), heads, slots, dim),
        poison(len(rows), heads, slots, 2),
        attending(heads, kv_heads, dim, window, capacity, behind, slots),
    ]
    gpu, twin = run_both(
        run_kernel,
        f"attention.tiles.{shared}.f32",
        {},
        bindings,
        (slots + 3, heads // shared, len(rows)),
    )
    assert_close(gpu[4], twin[4])
    assert_close(gpu[5], twin[5])
