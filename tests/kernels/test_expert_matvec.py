import numpy as np
import pytest
from compare import assert_close, poison, random_planes, run_both

from leadout.layouts import LAYOUTS

EXPERTS, TOP = 5, 2

#: Expert 4 is chosen by one row, 2 by two, 0 by five, which is more than are computed at a time.
CHOSEN = np.array([[4, 0], [2, 0], [1, 0], [0, 2], [3, 0]], np.uint32)


def constants(k: int, n: int, **changes: int) -> dict[str, int]:
    return {
        "K": k, "N": n, "FIRST": 0, "COUNT": EXPERTS * n, "TOP": TOP, "SHARED_INPUT": 1,
        "OUT_STRIDE": n, "OUT_OFFSET": 0, **changes,
    }  # fmt: skip


def inputs(rows: int, k: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((rows, k)).astype(np.float32)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("epilogue", ["none", "gelu_mul"])
def test_expert_matvec_equals_its_twin_in_every_layout(run_kernel, layout, epilogue) -> None:
    """With an input a pair and columns of others beside the result, or none of that."""
    is_gated = epilogue == "gelu_mul"
    k, n = 32 * 24 if "super" in layout else 32 * 17, 44
    stride, offset = (n // 2, 0) if is_gated else (60, 5)
    numbers = constants(k, n, SHARED_INPUT=int(is_gated), OUT_STRIDE=stride, OUT_OFFSET=offset)
    x = inputs(len(CHOSEN) * (1 if is_gated else TOP), k)
    bindings = [*random_planes(layout, EXPERTS * n, k), CHOSEN, x, poison(CHOSEN.size, stride)]
    variant = f"expert_matvec.{layout}.{epilogue}"
    gpu, twin = run_both(run_kernel, variant, numbers, bindings, (2, CHOSEN.size, 1))
    assert_close(gpu[-1], twin[-1])


def test_columns_that_workgroup_memory_cannot_hold_at_once(run_kernel) -> None:
    k, n = 4096, 4
    planes = random_planes("f32", EXPERTS * n, k)
    bindings = [*planes, CHOSEN, inputs(len(CHOSEN), k), poison(CHOSEN.size, n)]
    gpu, twin = run_both(
        run_kernel, "expert_matvec.f32.none", constants(k, n), bindings, (1, CHOSEN.size, 1)
    )
    assert_close(gpu[-1], twin[-1])


def test_a_shard_writes_the_outputs_it_holds_and_no_others(run_kernel) -> None:
    """Rows 30 to 69 of 5 experts of 24 outputs: parts of experts 1 and 2, none of the others."""
    k, n = 64, 24
    numbers = constants(k, n, FIRST=30, COUNT=40)
    bindings = [*random_planes("f32", 40, k), CHOSEN, inputs(5, k), poison(CHOSEN.size, n)]
    gpu, twin = run_both(
        run_kernel, "expert_matvec.f32.none", numbers, bindings, (1, CHOSEN.size, 1)
    )
    assert_close(gpu[-1], twin[-1])


def test_a_row_has_the_same_bits_whatever_rows_run_with_it(run_kernel) -> None:
    """Experts are shared by one to nine rows; there are more pairs than a workgroup looks at."""
    k, n, rows = 1088, 8, 34
    rng = np.random.default_rng(2)
    chosen = np.array([rng.permutation(EXPERTS)[:TOP] for _ in range(rows)], np.uint32)
    planes, x = random_planes("q8_scale", EXPERTS * n, k), inputs(rows, k)

    def run(part: slice) -> np.ndarray:
        count = len(chosen[part])
        bindings = [*planes, chosen[part], x[part], poison(count, TOP, n)]
        grid = (1, count * TOP, 1)
        return run_kernel("expert_matvec.q8_scale.none", constants(k, n), bindings, grid)[-1]

    together = run(slice(0, rows)).reshape(rows, -1)
    for row in (0, 1, 5, 33):
        assert np.array_equal(run(slice(row, row + 1)), together[row])
    assert np.array_equal(run(slice(0, 8)).reshape(8, -1), together[:8])
