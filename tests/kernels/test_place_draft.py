import numpy as np
from compare import poison, row_table, run_both

from leadout.state import AHEAD_BIT

LANES, DRAFTS, ROWS, CAPACITY = 2, 2, 8, 64


def place(run_kernel, lane_rows, ahead: int) -> tuple[list, list]:
    """Place the draft behind `ahead` others."""
    lane_rows[:, 3] |= ahead << AHEAD_BIT
    constants = {"LANES": LANES, "DRAFTS": DRAFTS, "CAPACITY": CAPACITY}
    bindings = [np.array([70, 71], np.uint32), lane_rows, poison(ROWS, 4)]
    gpu, twin = run_both(run_kernel, "place_draft", constants, bindings, (1, 1, 1))
    for a, b in zip(gpu, twin, strict=True):
        assert np.array_equal(a, b)
    return gpu[1].reshape(-1, 4).tolist(), gpu[2].reshape(-1, 4).tolist()


def test_a_draft_stands_behind_its_lane_and_the_drafter_stays_at_its_position(run_kernel) -> None:
    lane_rows, rows = place(run_kernel, row_table([(0, 5, 11, True), (1, 9, 12, False)]), 1)
    assert lane_rows == [[0, 5, 70, 1 | 2 << AHEAD_BIT], [1, 9, 71, 2 << AHEAD_BIT]]
    assert rows[2] == [0, 7, 70, 1]
    assert rows[5] == [1, 11, 71, 0], "a draft of an idle lane is not valid"
    untouched = poison(ROWS, 4).tolist()
    assert [rows[i] == untouched[i] for i in range(ROWS)].count(False) == 2


def test_a_draft_past_the_context_is_not_valid(run_kernel) -> None:
    _, rows = place(run_kernel, row_table([(0, 62, 11, True), (1, 61, 12, True)]), 1)
    assert [rows[2][3], rows[5][3]] == [0, 1]
