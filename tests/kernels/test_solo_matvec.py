import numpy as np
import pytest
from compare import assert_close, poison, random_planes, run_both, shape

from leadout.layouts import LAYOUTS

ROWS = [1, 2, 4, 8]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rows", [1, 8])
def test_solo_matvec_equals_its_twin_in_every_layout(run_kernel, layout, rows) -> None:
    # 37 outputs fill a part of their last workgroup, and of the last thread's.
    k, n, stride = 256, 37, 50
    x = np.random.default_rng(1).standard_normal((2 * rows, k)).astype(np.float32)
    bindings = [*random_planes(layout, n, k), x, poison(2 * rows, stride), shape(k, n, stride, 5)]
    variant = f"solo_matvec.{layout}.{rows}.none"
    gpu, twin = run_both(run_kernel, variant, {}, bindings, (3, 2, 1))
    assert_close(gpu[-2], twin[-2])


def test_a_soft_cap_bends_what_is_large(run_kernel) -> None:
    k, n = 64, 8
    x = 100 * np.random.default_rng(1).standard_normal((2, k)).astype(np.float32)
    bindings = [*random_planes("f32", n, k), x, poison(2, n), shape(k, n, n, softcap=30.0)]
    gpu, twin = run_both(run_kernel, "solo_matvec.f32.2.none", {}, bindings, (1, 1, 1))
    assert_close(gpu[-2], twin[-2])
    assert 29 < np.abs(gpu[-2].view(np.float32)).max() <= 30


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_gated_epilogue_equals_its_twin(run_kernel, layout) -> None:
    k, n = 256, 38
    x = np.random.default_rng(1).standard_normal((4, k)).astype(np.float32)
    bindings = [*random_planes(layout, n, k), x, poison(4, n // 2), shape(k, n, n // 2)]
    gpu, twin = run_both(run_kernel, f"solo_matvec.{layout}.2.gelu_mul", {}, bindings, (3, 2, 1))
    assert_close(gpu[-2], twin[-2])


@pytest.mark.parametrize("layout", ["f32", "q4_super", "q8_scale"])
@pytest.mark.parametrize("epilogue", ["none", "gelu_mul"])
def test_a_row_has_the_same_bits_in_every_variant(run_kernel, layout, epilogue) -> None:
    """However many rows run with it, prefill's many among them."""
    k, n = 512, 16
    rng = np.random.default_rng(2)
    planes, x = random_planes(layout, n, k), rng.standard_normal((16, k)).astype(np.float32)
    results = [
        run_kernel(
            f"solo_matvec.{layout}.{rows}.{epilogue}",
            {},
            [*planes, x, poison(16, n), shape(k, n, n)],
            (1, 16 // rows, 1),
        )[-2]
        for rows in ROWS
    ]
    for result in results:
        assert np.array_equal(result, results[0])
