import numpy as np
import pytest
from compare import assert_close, poison, run_both


@pytest.mark.parametrize("size", [4, 96, 1152])
def test_rms_norm_sum_equals_its_twin(run_kernel, size) -> None:
    rng = np.random.default_rng(size)
    x, z = rng.standard_normal((2, 3, size)).astype(np.float32)
    weights = rng.standard_normal((2, size)).astype(np.float32)
    bindings = [x, weights[0], 50 * z, weights[1], poison(3, size)]
    constants = {"D": size, "EPS": 1e-6}
    gpu, twin = run_both(run_kernel, "rms_norm_sum", constants, bindings, (3, 1, 1))
    assert_close(gpu[4], twin[4])
