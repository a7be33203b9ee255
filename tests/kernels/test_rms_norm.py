import numpy as np
import pytest
from compare import assert_close, poison, run_both


@pytest.mark.parametrize("size", [4, 32, 640, 1152])
def test_rms_norm_equals_its_twin(run_kernel, size) -> None:
    rng = np.random.default_rng(size)
    x, weight = rng.standard_normal((3, size)), rng.standard_normal(size)
    x[1] *= 1e-4  # so small that eps counts
    bindings = [x.astype(np.float32), weight.astype(np.float32), poison(3, size)]
    for scale in ({}, {"SCALE": 0.125}):
        constants = {"D": size, "EPS": 1e-6, **scale}
        gpu, twin = run_both(run_kernel, "rms_norm", constants, bindings, (3, 1, 1))
        assert_close(gpu[2], twin[2])
