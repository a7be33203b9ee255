import numpy as np
import pytest
from compare import assert_close, poison, row_table, run_both


@pytest.mark.parametrize(("heads", "dim"), [(4, 256), (1, 8), (3, 512)])
def test_q_norm_rope_equals_its_twin_with_a_tail_that_is_not_turned(run_kernel, heads, dim) -> None:
    rows = row_table([(0, 0, 9, True), (1, 77, 9, True), (0, 100_000, 9, True), (1, 5, 9, False)])
    rng = np.random.default_rng(dim)
    x = rng.standard_normal((len(rows), heads * dim)).astype(np.float32)
    weight = rng.standard_normal(dim).astype(np.float32)
    inv_freq = (1e6 ** (-np.arange(dim // 2) * 2 / dim)).astype(np.float32)
    inv_freq[dim // 8 :] = 0.0
    gpu, twin = run_both(
        run_kernel,
        "q_norm_rope",
        {"HEADS": heads, "D": dim, "EPS": 1e-6},
        [x, rows, weight, inv_freq, poison(len(rows) * heads * dim)],
        (heads, len(rows), 1),
    )
    assert_close(gpu[4], twin[4])
