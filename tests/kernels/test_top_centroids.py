import numpy as np
import pytest
from compare import poison, run_both

SIZES = [(2048, 32), (2048, 64), (4096, 1), (40, 40), (70, 4), (1, 1), (2500, 300)]


@pytest.mark.parametrize(("size", "top"), SIZES)
def test_top_centroids_are_the_largest_in_order_and_ties_go_to_the_lower(
    run_kernel, size, top
) -> None:
    scores = np.random.default_rng(size).standard_normal((3, size)).astype(np.float32)
    scores[1] = np.round(scores[1])  # with zeros of either sign, which are equal
    scores[2] = 0.0
    gpu, twin = run_both(
        run_kernel, "top_centroids", {"TOP": top}, [scores, poison(3, top)], (3, 1, 1)
    )
    assert np.array_equal(gpu[1], twin[1])
    assert gpu[1].reshape(3, top)[2].tolist() == list(range(top))


def test_scores_that_defeat_the_bound_are_compared_one_by_one(run_kernel) -> None:
    """The threads' best scores bound little where few threads have all the large ones."""
    scores = np.random.default_rng(0).standard_normal((1, 8192)).astype(np.float32)
    scores.reshape(-1, 256)[:, :50] += 20
    gpu, twin = run_both(
        run_kernel, "top_centroids", {"TOP": 50}, [scores, poison(1, 50)], (1, 1, 1)
    )
    assert np.array_equal(gpu[1], twin[1])
