import numpy as np
import pytest
from compare import assert_close, poison, random_planes, run_both, shape

from leadout.layouts import LAYOUTS

ROWS = [1, 2, 4, 8]


def inputs(layout: str, rows: int, k: int, n: int, stride: int) -> list:
    x = np.random.default_rng(1).standard_normal((rows, k)).astype(np.float32)
    return [*random_planes(layout, n, k), x, poison(rows, stride)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("form", ["wide", "deep"])
def test_matvec_equals_its_twin_in_every_layout(run_kernel, layout, rows, form) -> None:
    # 20 outputs fill a part of their last workgroup; 17 blocks leave some lanes with one more part.
    k, n, stride = 32 * 24 if "super" in layout else 32 * 17, 20, 30
    bindings = [*inputs(layout, rows, k, n, stride), shape(k, n, stride, 5)]
    variant = f"matvec.{layout}.{rows}.{form}.none"
    gpu, twin = run_both(run_kernel, variant, {}, bindings, (10, 1, 1))
    assert_close(gpu[-2], twin[-2])


def test_a_soft_cap_bends_what_is_large(run_kernel) -> None:
    k, n = 64, 8
    planes = random_planes("f32", n, k)
    x = 100 * np.random.default_rng(1).standard_normal((2, k)).astype(np.float32)
    bindings = [*planes, x, poison(2, n), shape(k, n, n, softcap=30.0)]
    gpu, twin = run_both(run_kernel, "matvec.f32.2.deep.none", {}, bindings, (4, 1, 1))
    assert_close(gpu[-2], twin[-2])
    assert 29 < np.abs(gpu[-2].view(np.float32)).max() <= 30


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("form", ["wide", "deep"])
def test_the_gated_epilogue_equals_its_twin(run_kernel, layout, form) -> None:
    k, n = 256, 36
    bindings = [*inputs(layout, 2, k, n, n // 2), shape(k, n, n // 2)]
    variant = f"matvec.{layout}.2.{form}.gelu_mul"
    gpu, twin = run_both(run_kernel, variant, {}, bindings, (10, 2, 1))
    assert_close(gpu[-2], twin[-2])


@pytest.mark.parametrize("layout", ["f32", "q4_super", "q8_scale"])
def test_a_row_has_the_same_bits_in_every_variant(run_kernel, layout) -> None:
    """However many rows run with it; what its form is, all passes agree on."""
    k, n = 512, 16
    rng = np.random.default_rng(2)
    planes, x = random_planes(layout, n, k), rng.standard_normal((8, k)).astype(np.float32)
    results = {
        (rows, form): run_kernel(
            f"matvec.{layout}.{rows}.{form}.none",
            {},
            [*planes, x[:rows], poison(rows, n), shape(k, n, n)],
            (8, 1, 1),
        )[-2].reshape(rows, n)
        for rows in ROWS
        for form in ("wide", "deep")
    }
    for (rows, form), result in results.items():
        assert np.array_equal(result, results[8, form][:rows])
