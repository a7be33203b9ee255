import numpy as np
from compare import poison, run_both

LANES, DRAFTS, ROWS, CAPACITY = 4, 1, 16, 64


def test_active_lanes_begin_with_their_last_token_and_all_else_is_not_valid(run_kernel) -> None:
    state = np.array([[10, 7, 1, 0], [0, 0, 0, 0], [65, 8, 1, 0], [64, 9, 1, 0]], np.uint32)
    constants = {"LANES": LANES, "DRAFTS": DRAFTS, "ROWS": ROWS, "CAPACITY": CAPACITY}
    bindings = [state, poison(LANES, 4), poison(ROWS, 4)]
    gpu, twin = run_both(run_kernel, "begin_cycle", constants, bindings, (1, 1, 1))
    for a, b in zip(gpu, twin, strict=True):
        assert np.array_equal(a, b)
    lane_rows, rows = gpu[1].reshape(-1, 4), gpu[2].reshape(-1, 4)
    assert lane_rows[0].tolist() == [0, 9, 7, 1]
    assert lane_rows[3].tolist() == [3, 63, 9, 1]
    assert lane_rows[:, 3].tolist() == [1, 0, 0, 1], "idle lanes and full ones have no valid row"
    assert np.array_equal(rows[[0, 2, 4, 6]], lane_rows)
    others = [i for i in range(ROWS) if i not in (0, 2, 4, 6)]
    assert not rows[others].any()
