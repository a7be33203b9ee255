import numpy as np
import pytest
from compare import assert_close, poison, random_planes, run_both

from leadout.layouts import LAYOUTS

EXPERTS, TOP, ROWS = 5, 2, 3


def inputs(layout: str, k: int, n: int, count: int, is_shared: bool) -> list:
    rng = np.random.default_rng(1)
    chosen = np.array([[4, 0], [2, 3], [1, 4]], np.uint32)
    x = rng.standard_normal((ROWS * (1 if is_shared else TOP), k)).astype(np.float32)
    return [*random_planes(layout, count, k), chosen, x]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("is_shared", [True, False])
def test_expert_matvec_equals_its_twin_in_every_layout(run_kernel, layout, is_shared) -> None:
    k, n, stride = 32 * 24 if "super" in layout else 32 * 17, 22, 30
    constants = {
        "K": k, "N": n, "FIRST": 0, "COUNT": EXPERTS * n, "TOP": TOP,
        "SHARED_INPUT": int(is_shared), "OUT_STRIDE": stride, "OUT_OFFSET": 5,
    }  # fmt: skip
    bindings = [*inputs(layout, k, n, EXPERTS * n, is_shared), poison(ROWS, TOP, stride)]
    gpu, twin = run_both(run_kernel, f"expert_matvec.{layout}", constants, bindings, (3, TOP, ROWS))
    assert_close(gpu[-1], twin[-1])


def test_a_shard_writes_the_outputs_it_holds_and_no_others(run_kernel) -> None:
    """Rows 30 to 69 of 5 experts of 22 outputs: parts of experts 1 and 3, and all of 2."""
    k, n = 64, 22
    constants = {
        "K": k, "N": n, "FIRST": 30, "COUNT": 40, "TOP": TOP, "SHARED_INPUT": 1,
        "OUT_STRIDE": n, "OUT_OFFSET": 0,
    }  # fmt: skip
    bindings = [*inputs("f32", k, n, 40, True), poison(ROWS, TOP, n)]
    gpu, twin = run_both(run_kernel, "expert_matvec.f32", constants, bindings, (3, TOP, ROWS))
    assert_close(gpu[-1], twin[-1])


def test_a_row_has_the_same_bits_whatever_rows_run_with_it(run_kernel) -> None:
    k, n = 64, 8
    constants = {
        "K": k, "N": n, "FIRST": 0, "COUNT": EXPERTS * n, "TOP": TOP, "SHARED_INPUT": 1,
        "OUT_STRIDE": n, "OUT_OFFSET": 0,
    }  # fmt: skip
    *planes, chosen, x = inputs("q8_scale", k, n, EXPERTS * n, True)

    def run(rows: slice) -> np.ndarray:
        count = rows.stop - rows.start
        bindings = [*planes, chosen[rows], x[rows], poison(count, TOP, n)]
        variant = "expert_matvec.q8_scale"
        return run_kernel(variant, constants, bindings, (1, TOP, count))[-1].reshape(count, -1)

    together = run(slice(0, 3))
    for row in range(3):
        assert np.array_equal(run(slice(row, row + 1))[0], together[row])
