import numpy as np
import pytest
from compare import assert_close, poison, run_both


@pytest.mark.parametrize("size", [4, 32, 640, 1152])
def test_add_rms_norm_equals_its_twin(run_kernel, size) -> None:
    rng = np.random.default_rng(size)
    x, h = rng.standard_normal((2, 3, size)).astype(np.float32)
    post, following = rng.standard_normal((2, size)).astype(np.float32)
    bindings = [x, post, following, h, poison(3, size)]
    gpu, twin = run_both(run_kernel, "add_rms_norm", {"D": size, "EPS": 1e-6}, bindings, (3, 1, 1))
    assert_close(gpu[3], twin[3])
    assert_close(gpu[4], twin[4])
