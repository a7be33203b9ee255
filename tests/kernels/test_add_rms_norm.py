import numpy as np
import pytest
from compare import assert_close, poison, run_both


@pytest.mark.parametrize("size", [4, 32, 640, 1152])
@pytest.mark.parametrize("following", ["norm", "none"])
@pytest.mark.parametrize("scaling", ["plain", "scaled"])
def test_add_rms_norm_equals_its_twin(run_kernel, size, following, scaling) -> None:
    rng = np.random.default_rng(size)
    x, h = rng.standard_normal((2, 3, size)).astype(np.float32)
    post, weight = rng.standard_normal((2, size)).astype(np.float32)
    bindings = [x, post, h]
    if scaling == "scaled":
        bindings.append(np.array([0.37], np.float32))
    if following == "norm":
        bindings += [weight, poison(3, size)]
    variant = f"add_rms_norm.{following}.{scaling}"
    gpu, twin = run_both(run_kernel, variant, {"D": size, "EPS": 1e-6}, bindings, (3, 1, 1))
    assert_close(gpu[2], twin[2])
    assert_close(gpu[-1], twin[-1])
    assert not np.array_equal(gpu[2].view(np.float32), h.ravel()), "the stream was left alone"
