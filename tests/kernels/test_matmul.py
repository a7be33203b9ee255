import numpy as np
import pytest
from compare import assert_close, poison, random_planes, run_both, shape

from leadout.layouts import LAYOUTS


@pytest.mark.parametrize("layout", LAYOUTS)
def test_matmul_equals_its_twin_in_every_layout(run_kernel, layout) -> None:
    rows, k, n, stride = 64, 256, 70, 80
    x = np.random.default_rng(1).standard_normal((rows, k)).astype(np.float32)
    bindings = [*random_planes(layout, n, k), x, poison(rows, stride), shape(k, n, stride, 3)]
    gpu, twin = run_both(run_kernel, f"matmul.{layout}", {}, bindings, (2, 2, 1))
    assert_close(gpu[-2], twin[-2])


def test_a_soft_cap_bends_what_is_large(run_kernel) -> None:
    rows, k, n = 32, 64, 8
    x = 100 * np.random.default_rng(1).standard_normal((rows, k)).astype(np.float32)
    bindings = [*random_planes("f32", n, k), x, poison(rows, n), shape(k, n, n, softcap=30.0)]
    gpu, twin = run_both(run_kernel, "matmul.f32", {}, bindings, (1, 1, 1))
    assert_close(gpu[-2], twin[-2])
    assert 29 < np.abs(gpu[-2].view(np.float32)).max() <= 30
