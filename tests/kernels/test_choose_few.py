"""Choosing a draft and placing it in one dispatch; the choice itself is in test_choose.py."""

import numpy as np
import pytest
from compare import poison, row_table, run_both, settings_table

from leadout.state import AHEAD_BIT

VOCAB, LANES, DRAFTS, ROWS, CAPACITY = 512, 2, 2, 8, 64
COUNT = 130


def place(run_kernel, lane_rows, ahead: int, kind: str, **fields) -> tuple[list, list, list]:
    """Choose and place the draft behind `ahead` others; also return what was chosen."""
    rng = np.random.default_rng(ahead)
    count = VOCAB if kind == "all" else COUNT
    logits = rng.standard_normal((len(lane_rows), count)).astype(np.float32)
    ids = [rng.permutation(VOCAB)[:COUNT].astype(np.uint32) for _ in lane_rows]
    lane_rows[:, 3] |= ahead << AHEAD_BIT
    constants = {"V": VOCAB, "COUNT": count}
    sizes = np.array([DRAFTS, CAPACITY, 0, 0], np.uint32)
    settings = np.concatenate([settings_table(seed=1, **fields), settings_table(seed=2, **fields)])
    seen = np.zeros((LANES, VOCAB // 32), np.uint32)
    bindings = [logits, lane_rows, settings, seen]
    mapped = [] if kind == "all" else [np.stack(ids)]
    gpu, twin = run_both(
        run_kernel,
        f"choose_few.{kind}.place.4",
        constants,
        [*bindings, poison(ROWS, 4), sizes, *mapped],
        (LANES, 1, 1),
    )
    for a, b in zip(gpu, twin, strict=True):
        assert np.array_equal(a, b)
    choice, _ = run_both(
        run_kernel,
        f"choose_few.{kind}.choose.4",
        constants,
        [*bindings, poison(len(lane_rows)), *mapped],
        (len(lane_rows), 1, 1),
    )
    return gpu[1].reshape(-1, 4).tolist(), gpu[4].reshape(-1, 4).tolist(), choice[4].tolist()


@pytest.mark.parametrize("kind", ["all", "mapped"])
@pytest.mark.parametrize("fields", [{}, {"temperature": 1.0, "top_k": 64, "top_p": 0.95}])
def test_a_draft_stands_behind_its_lane_and_the_drafter_stays_at_its_position(
    run_kernel, kind, fields
) -> None:
    lane_rows = row_table([(0, 5, 11, True), (1, 9, 12, False), (0, 0, 0, False)])
    lane_rows, rows, (first, second, _) = place(run_kernel, lane_rows, 1, kind, **fields)
    assert lane_rows[:2] == [[0, 5, first, 1 | 2 << AHEAD_BIT], [1, 9, second, 2 << AHEAD_BIT]]
    assert lane_rows[2] == [0, 0, 0, 1 << AHEAD_BIT], "a row past the lanes is not touched"
    assert rows[2] == [0, 7, first, 1]
    assert rows[5] == [1, 11, second, 0], "a draft of an idle lane is not valid"
    untouched = poison(ROWS, 4).tolist()
    assert [rows[i] == untouched[i] for i in range(ROWS)].count(False) == 2


def test_a_draft_past_the_context_is_not_valid(run_kernel) -> None:
    lane_rows = row_table([(0, 62, 11, True), (1, 61, 12, True)])
    _, rows, _ = place(run_kernel, lane_rows, 1, "mapped")
    assert [rows[2][3], rows[5][3]] == [0, 1]


def test_the_penalty_counts_the_token_before(run_kernel) -> None:
    lane_rows = row_table([(0, 5, 11, True), (1, 9, 12, True)])
    *_, plain = place(run_kernel, lane_rows.copy(), 0, "all")
    lane_rows[:, 2] = plain
    _, _, penalised = place(run_kernel, lane_rows, 0, "all", repetition_penalty=100.0)
    assert all(a != b for a, b in zip(plain, penalised, strict=True))
