"""The centroid head."""

import numpy as np
import pytest
from stage import Stage

from leadout import ops
from leadout.layouts import LAYOUTS

VOCAB, PER, TOP, ROWS = 96, 6, 3, 2


@pytest.mark.parametrize(
    ("size", "top"), [(2048, 32), (2048, 64), (4096, 1), (40, 40), (70, 4), (1, 1), (2500, 300)]
)
@pytest.mark.parametrize("is_software", [False, True])
def test_the_largest_in_order_and_ties_go_to_the_lower(run_stage, size, top, is_software) -> None:
    stage = Stage()
    scores = np.random.default_rng(size).standard_normal((3, size)).astype(np.float32)
    scores[1] = np.round(scores[1])
    scores[2] = 0.0
    y = stage.output("y", 3, top, dtype="u32")
    stage.add(ops.TopCentroids("t", stage.tensor("scores", scores), y))
    takes = ["solo_top_centroids" if is_software else "top_centroids"]
    played = run_stage(stage, is_software=is_software, takes=takes)
    played.assert_equal("y")
    assert played.integers(y)[2].tolist() == list(range(top))


def test_scores_that_defeat_the_bound_are_compared_one_by_one(run_stage) -> None:
    """The threads' best scores bound little where few threads have all the large ones."""
    stage = Stage()
    scores = np.random.default_rng(0).standard_normal((1, 8192)).astype(np.float32)
    scores.reshape(-1, 256)[:, :50] += 20
    y = stage.output("y", 1, 50, dtype="u32")
    stage.add(ops.TopCentroids("t", stage.tensor("scores", scores), y))
    run_stage(stage).assert_equal("y")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shards", [(), (40,)])
def test_candidates_of_the_chosen_centroids(run_stage, layout, shards) -> None:
    stage, rng = Stage(), np.random.default_rng(3)
    k = 256
    table = stage.matrix("table", layout, VOCAB, k, shards)
    ordering = stage.tensor("ordering", rng.permutation(VOCAB).astype(np.uint32))
    top = stage.tensor("top", np.array([[15, 0, 7], [3, 4, 9]], np.uint32))
    x = stage.tensor("x", rng.standard_normal((ROWS, k)).astype(np.float32))
    ids = stage.output("ids", ROWS, TOP * PER, dtype="u32")
    logits = stage.output("logits", ROWS, TOP * PER)
    stage.add(ops.CandidateLogits("c", table, ordering, top, x, ids, logits))
    played = run_stage(stage)
    played.assert_equal("ids")
    played.assert_close(logits)
