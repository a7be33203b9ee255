"""A mixture of experts."""

import numpy as np
import pytest
from compare import COLUMNS
from stage import Stage

from leadout import ops
from leadout.layouts import LAYOUTS
from leadout.rows import padded

EXPERTS, TOP = 5, 2
CHOSEN = np.array([[4, 0], [2, 3], [1, 4]], np.uint32)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("experts", "top"), [(128, 8), (8, 2), (5, 5), (512, 64)])
def test_the_router_takes_the_best_and_of_equals_the_lower(run_stage, experts, top) -> None:
    stage, scores = Stage(), 3 * normal(experts, 4, experts)
    scores[1] = np.round(scores[1])  # ties
    scores[2] = 7.0  # all alike
    scale = np.random.default_rng(1).uniform(0.5, 2.0, experts).astype(np.float32)
    chosen, weights = stage.output("chosen", 4, top, dtype="u32"), stage.output("weights", 4, top)
    stage.add(
        ops.Route("r", stage.tensor("s", scores), stage.vector("scale", scale), chosen, weights)
    )
    played = run_stage(stage)
    played.assert_equal("chosen")
    played.assert_close(weights)
    assert played.integers(chosen)[2].tolist() == list(range(top))


def layer(stage: Stage, layout: str, n: int, k: int, shards=(), parts: int = 1) -> ops.ExpertLayer:
    """Return an expert layer of n outputs, kept in one matrix or in several."""
    made = [
        (stage.matrix(f"w{i}", layout, EXPERTS * n // parts, k, shards), i * n // parts)
        for i in range(parts)
    ]
    return ops.ExpertLayer(made, n, EXPERTS)


def down(stage: Stage, weights: ops.ExpertLayer, k: int, chosen: np.ndarray, prefill=False):
    x = stage.tensor("x", normal(1, *chosen.shape, k))
    y = stage.output("y", *chosen.shape, weights.num_outputs)
    rows = stage.count(len(chosen), prefill=prefill)
    stage.add(ops.ExpertLinear("d", weights, x, stage.tensor("chosen", chosen), rows, y))
    return y


def gate_up(stage: Stage, weights: ops.ExpertLayer, k: int, chosen: np.ndarray, prefill=False):
    x = stage.tensor("x", normal(1, len(chosen), k))
    y = stage.output("y", *chosen.shape, weights.num_outputs // 2)
    rows = stage.count(len(chosen), prefill=prefill)
    stage.add(ops.ExpertGatedLinear("g", weights, x, stage.tensor("chosen", chosen), rows, y))
    return y


#: Of an expert; a kernel is compiled for each number, for most of a second.
OUTPUTS = 44


@pytest.mark.parametrize(
    ("append", "layout"),
    [(down, layout) for layout in LAYOUTS]
    # How a layout is read does not depend on what is done with it.
    + [(gate_up, layout) for layout in ("f32", "q4_scale", "q8_super16")],
)
def test_chosen_experts_in_every_layout(run_stage, append, layout) -> None:
    k = COLUMNS[layout]
    stage = Stage()
    y = append(stage, layer(stage, layout, OUTPUTS, k), k, CHOSEN)
    run_stage(stage).assert_close(y)


@pytest.mark.parametrize("append", [down, gate_up])
def test_shards_write_the_outputs_they_hold(run_stage, append) -> None:
    """Cut within experts: rows 30 and 70 of 5 experts of 44 or 22 outputs."""
    k = COLUMNS["q8_scale"]
    for parts in (1, 2):
        stage = Stage()
        y = append(stage, layer(stage, "q8_scale", OUTPUTS, k, (30, 70), parts), k, CHOSEN)
        run_stage(stage).assert_close(y)


@pytest.mark.parametrize("append", [down, gate_up])
def test_many_rows(run_stage, append) -> None:
    rng = np.random.default_rng(0)
    chosen = np.stack([rng.permutation(EXPERTS)[:TOP] for _ in range(64)]).astype(np.uint32)
    chosen[:20] = (1, 3)  # one expert has many rows, another perhaps none
    # How a layout is read does not depend on what is done with it.
    for layout in ("f32", "q8_super16") if append is down else ("q4_scale",):
        stage = Stage()
        k = 256
        y = append(stage, layer(stage, layout, 76, k), k, chosen, prefill=True)
        run_stage(stage).assert_close(y)


@pytest.mark.parametrize("append", [down, gate_up])
def test_a_row_has_the_same_bits_whatever_rows_run_with_it(run_stage, append) -> None:
    """Rows that share experts too; the kernels are those of another test."""
    k = COLUMNS["q4_scale"]
    chosen = np.array([[4, 0], [0, 4], [1, 4], [4, 2], [3, 2], [0, 1], [2, 4], [4, 3]], np.uint32)

    def run(rows: slice) -> np.ndarray:
        stage = Stage()
        y = append(stage, layer(stage, "q4_scale", OUTPUTS, k), k, chosen[rows])
        x = normal(9, 8, *([TOP] if append is down else []), k)[rows]
        stage.contents["x"] = x.ravel().view(np.uint32).copy()
        return run_stage(stage).integers(y)

    together = run(slice(0, 8))
    for row in range(8):
        assert np.array_equal(run(slice(row, row + 1))[0], together[row])


def test_the_experts_of_a_row_are_added_by_their_weights(run_stage) -> None:
    rows, top, size = 3, 4, 300
    stage = Stage()
    x = stage.tensor("x", normal(0, rows, top, size))
    weights = np.random.default_rng(1).uniform(0, 1, (rows, top)).astype(np.float32)
    y = stage.output("y", rows, size)
    stage.add(ops.MixExperts("m", x, stage.tensor("weights", weights), y))
    run_stage(stage).assert_close(y)


@pytest.mark.parametrize(("rows", "prefill"), [(3, False), (32, True)])
def test_router_and_norms_share_a_dispatch(run_stage, rows, prefill) -> None:
    k, experts, eps = 32 * 17, 13, 1e-6
    stage, count = Stage(), stage_rows(rows)
    hidden = stage.tensor("hidden", 3 * normal(0, count, k))
    scaled, scores = stage.output("scaled", count, k), stage.output("scores", count, experts)
    normed = stage.output("normed", count, k)
    chosen, weights = stage.output("c", count, TOP, dtype="u32"), stage.output("m", count, TOP)
    proj = stage.linear("proj", "bf16", experts, k)
    of = stage.count(rows, prefill=prefill)
    norms = [stage.vector(f"n{i}", normal(i, k)) for i in range(2)]
    per_expert = stage.vector("scale", normal(5, experts))
    stage.add(ops.RmsNorm("s", hidden, norms[0], scaled, eps, k**-0.5))
    stage.add(ops.Linear("p", proj, scaled, of, scores))
    stage.add(ops.Route("r", scores, per_expert, chosen, weights))
    stage.add(ops.RmsNorm("n", hidden, norms[1], normed, eps))
    played = run_stage(stage, takes=["router"])
    played.assert_close(scores, weights, normed)
    played.assert_equal("c")


def stage_rows(rows: int) -> int:
    """Return how many rows a stage's tensors have when so many are wanted."""
    return rows if rows % 32 == 0 else padded(rows)


def test_experts_are_added_on_the_way_into_their_norm(run_stage) -> None:
    rows, top, size = 3, 4, 1300
    stage = Stage()
    x, z = stage.tensor("x", normal(0, rows, size)), stage.tensor("z", normal(1, rows, top, size))
    mix = np.random.default_rng(1).uniform(0, 1, (rows, top)).astype(np.float32)
    mixed, y = stage.output("mixed", rows, size), stage.output("y", rows, size)
    norms = [stage.vector(f"n{i}", normal(i, size)) for i in range(2)]
    stage.add(ops.MixExperts("m", z, stage.tensor("weights", mix), mixed))
    stage.add(ops.RmsNormSum("s", x, norms[0], mixed, norms[1], y, 1e-6))
    run_stage(stage, takes=["mix_norm_sum"]).assert_close(y)
