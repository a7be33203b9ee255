import numpy as np
import pytest
from compare import assert_close, poison, random_planes, run_both

from leadout.layouts import LAYOUTS

VOCAB, PER, TOP, ROWS = 96, 6, 3, 2


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("first", [0, 40])
def test_candidate_logits_equal_their_twin_and_a_shard_leaves_others_alone(
    run_kernel, layout, first
) -> None:
    rng = np.random.default_rng(3)
    k, n = 256, VOCAB - first
    ordering = rng.permutation(VOCAB).astype(np.uint32)
    top = np.array([[15, 0, 7], [3, 4, 9]], np.uint32)
    x = rng.standard_normal((ROWS, k)).astype(np.float32)
    count = TOP * PER
    gpu, twin = run_both(
        run_kernel,
        f"candidate_logits.{layout}",
        {"K": k, "FIRST": first, "N": n, "PER": PER, "TOP": TOP},
        [*random_planes(layout, n, k), ordering, top, x, poison(ROWS, count), poison(ROWS, count)],
        (3, ROWS, 1),
    )
    assert np.array_equal(gpu[-2], twin[-2])
    assert_close(gpu[-1], twin[-1])
