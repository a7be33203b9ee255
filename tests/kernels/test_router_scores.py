import numpy as np
import pytest
from compare import assert_close, poison, random_planes, run_both

from leadout.layouts import LAYOUTS


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("tile", "outputs"), [(1, 2), (8, 4)])
def test_router_scores_equals_its_twin_in_every_layout(run_kernel, layout, tile, outputs) -> None:
    """The scores are some of a row's: the router's other experts lie elsewhere."""
    rows, n, stride, first = 2 * tile, 13, 20, 4
    k = 32 * 24 if "super" in layout else 32 * 17
    rng = np.random.default_rng(k)
    x = 3 * rng.standard_normal((rows, k)).astype(np.float32)
    weights = rng.standard_normal((2, k)).astype(np.float32)
    numbers = {"K": k, "N": n, "FIRST": first, "STRIDE": stride, "EPS": 1e-6, "SCALE": 0.25}
    bindings = [
        *random_planes(layout, n, k), x, *weights, poison(rows, stride), poison(rows, k),
    ]  # fmt: skip
    grid = (-(-n // outputs) + 1, rows // tile, 1)
    gpu, twin = run_both(run_kernel, f"router_scores.{layout}.{tile}", numbers, bindings, grid)
    assert_close(gpu[-2], twin[-2])
    assert_close(gpu[-1], twin[-1])


def test_a_row_has_the_same_bits_whatever_rows_run_with_it(run_kernel) -> None:
    rows, k, n = 5, 96, 4
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, k)).astype(np.float32)
    weights = rng.standard_normal((2, k)).astype(np.float32)
    planes = random_planes("bf16", n, k)
    numbers = {"K": k, "N": n, "STRIDE": n, "EPS": 1e-6}

    def run(part: np.ndarray) -> list[np.ndarray]:
        bindings = [*planes, part, *weights, poison(len(part), n), poison(len(part), k)]
        results = run_kernel("router_scores.bf16.1", numbers, bindings, (3, len(part), 1))
        return [result.reshape(len(part), -1) for result in results[-2:]]

    together = run(x)
    for row in range(rows):
        alone = run(x[row : row + 1])
        assert all(np.array_equal(a[0], t[row]) for a, t in zip(alone, together, strict=True))
