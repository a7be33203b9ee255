import numpy as np
import pytest
from compare import assert_close, poison, random_planes, run_both

from leadout.layouts import LAYOUTS


@pytest.mark.parametrize("layout", LAYOUTS)
def test_matmul_equals_its_twin_in_every_layout(run_kernel, layout) -> None:
    rows, k, n, stride = 64, 256, 70, 80
    x = np.random.default_rng(1).standard_normal((rows, k)).astype(np.float32)
    constants = {"K": k, "N": n, "OUT_STRIDE": stride, "OUT_OFFSET": 3}
    bindings = [*random_planes(layout, n, k), x, poison(rows, stride)]
    gpu, twin = run_both(run_kernel, f"matmul.{layout}", constants, bindings, (2, 2, 1))
    assert_close(gpu[-1], twin[-1])
