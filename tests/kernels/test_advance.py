import numpy as np
from compare import poison, row_table, run_both

VOCAB, LANES = 96, 2


def advance(run_kernel, rows, state, choices, first_row, capacity) -> list:
    constants = {
        "V": VOCAB, "LANES": LANES, "CHOICES": len(choices), "FIRST_ROW": first_row,
        "CAPACITY": capacity,
    }  # fmt: skip
    seen = np.zeros((LANES, VOCAB // 32), np.uint32)
    bindings = [np.array(choices, np.uint32), rows, np.array(state, np.uint32), seen]
    gpu, twin = run_both(run_kernel, "advance", constants, [*bindings, poison(LANES, 4)], (1, 1, 1))
    for a, b in zip(gpu, twin, strict=True):
        assert np.array_equal(a, b)
    return gpu


def test_after_prefill_the_chosen_token_is_the_next_row(run_kernel) -> None:
    rows = row_table([(0, 0, 0, False), (1, 0, 2, True), (1, 1, 50, True)])
    _, table, state, seen, results = advance(
        run_kernel, rows, [[0, 0, 0, 0], [2, 0, 0, 0]], [70], 2, 64
    )
    assert table.reshape(-1, 4)[1].tolist() == [1, 2, 70, 1]
    assert table.reshape(-1, 4)[0, 3] == 0, "an idle lane's row is not valid"
    assert state.reshape(-1, 4)[1].tolist() == [3, 70, 1, 0]
    assert seen.tolist() == [0, 0, 0, 0, 0, 1 << 6]
    assert results.reshape(-1, 4).tolist() == [[0, 0, 0, 0], [1, 70, 0, 0]]


def test_a_decode_step_moves_every_active_lane(run_kernel) -> None:
    rows = row_table([(0, 9, 3, True), (1, 4, 8, True)])
    _, table, state, _, results = advance(
        run_kernel, rows, [[10, 3, 1, 0], [5, 8, 1, 0]], [11, 12], 0, 64
    )
    assert table.reshape(-1, 4).tolist() == [[0, 10, 11, 1], [1, 5, 12, 1]]
    assert state.reshape(-1, 4)[:, 0].tolist() == [11, 6]
    assert results.reshape(-1, 4)[:, 1].tolist() == [11, 12]


def test_a_full_context_leaves_the_lane_without_a_valid_row(run_kernel) -> None:
    rows = row_table([(0, 63, 3, True), (1, 64, 8, False)])
    _, table, state, _, results = advance(
        run_kernel, rows, [[64, 3, 1, 0], [65, 8, 1, 0]], [11, 12], 0, 64
    )
    assert table.reshape(-1, 4)[:, 3].tolist() == [0, 0]
    assert results.reshape(-1, 4)[:, 0].tolist() == [1, 0], "nothing is chosen for a full lane"
    assert state.reshape(-1, 4)[1, 0] == 65
