import numpy as np
import pytest
from compare import assert_close, poison, run_both


@pytest.mark.parametrize(("top", "size"), [(1, 4), (2, 96), (8, 1152)])
def test_mix_norm_sum_equals_its_twin(run_kernel, top, size) -> None:
    rows = 3
    rng = np.random.default_rng(size)
    x = rng.standard_normal((rows, size)).astype(np.float32)
    z = 50 * rng.standard_normal((rows, top, size)).astype(np.float32)
    mix = rng.uniform(0, 1, (rows, top)).astype(np.float32)
    weights = rng.standard_normal((2, size)).astype(np.float32)
    bindings = [x, weights[0], z, mix, weights[1], poison(rows, size)]
    numbers = {"D": size, "TOP": top, "EPS": 1e-6}
    gpu, twin = run_both(run_kernel, "mix_norm_sum", numbers, bindings, (rows, 1, 1))
    assert_close(gpu[5], twin[5])
