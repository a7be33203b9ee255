import numpy as np
import pytest
from compare import assert_close, poison, row_table, run_both

#: Half-precision caches may round a value at the border the other way: one unit in the last place.
F16_TOLERANCE = 1e-3

CASES = [(4, 1, 256), (2, 2, 32), (8, 1, 512), (3, 1, 8)]


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), CASES)
@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize(
    ("has_values", "norm_values"), [(True, False), (True, True), (False, True)]
)
def test_qk_norm_rope_equals_its_twin_at_small_and_large_positions(
    run_kernel, heads, kv_heads, dim, dtype, has_values, norm_values
) -> None:
    capacity, lanes = 128, 2
    # A ring: position 100,000 has a slot too. The last row is padding and writes nothing.
    rows = row_table([(0, 0, 9, True), (1, 77, 9, True), (0, 100_000, 9, True), (1, 5, 9, False)])
    rng = np.random.default_rng(dim)
    in_heads = heads + (2 if has_values else 1) * kv_heads
    qkv = rng.standard_normal((len(rows), in_heads * dim)).astype(np.float32)
    q_weight, k_weight = rng.standard_normal((2, dim)).astype(np.float32)
    inv_freq = (10_000.0 ** (-np.arange(dim // 2) * 2 / dim)).astype(np.float32)
    cache_words = lanes * kv_heads * capacity * dim // (1 if dtype == "f32" else 2)
    constants = {
        "HEADS": heads, "KV_HEADS": kv_heads, "D": dim, "EPS": 1e-6, "CAPACITY": capacity,
        "IN_HEADS": in_heads,
        "FIRST_VALUE": heads + (kv_heads if has_values else 0), "NORM_VALUES": int(norm_values),
    }  # fmt: skip
    bindings = [qkv, rows, q_weight, k_weight, inv_freq]
    bindings += [poison(len(rows) * heads * dim), poison(cache_words), poison(cache_words)]
    grid = (heads + 2 * kv_heads, len(rows), 1)
    gpu, twin = run_both(run_kernel, f"qk_norm_rope.{dtype}", constants, bindings, grid)
    assert_close(gpu[5], twin[5])
    for cache in (6, 7):
        if dtype == "f32":
            assert_close(gpu[cache], twin[cache])
        else:
            a, b = gpu[cache].view(np.float16), twin[cache].view(np.float16)
            written = np.repeat(twin[cache] != bindings[cache], 2)
            assert np.array_equal(a[~written].view(np.uint16), b[~written].view(np.uint16))
            difference = np.abs(a[written].astype(np.float32) - b[written].astype(np.float32))
            assert difference.max() <= F16_TOLERANCE * np.abs(b[written]).max()
