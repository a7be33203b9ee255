import numpy as np
import pytest
from compare import poison, run_both


@pytest.mark.parametrize(("size", "top"), [(2048, 32), (4096, 1), (40, 40), (70, 4)])
def test_top_centroids_are_the_largest_in_order_and_ties_go_to_the_lower(
    run_kernel, size, top
) -> None:
    scores = np.random.default_rng(size).standard_normal((3, size)).astype(np.float32)
    scores[1] = np.round(scores[1])
    scores[2] = 0.0
    gpu, twin = run_both(
        run_kernel,
        "top_centroids",
        {"TOP": top},
        [scores, poison(3, top)],
        (-(-size // 64), 3, 1),
    )
    assert np.array_equal(gpu[1], twin[1])
    assert gpu[1].reshape(3, top)[2].tolist() == list(range(top))
