import numpy as np
from compare import poison, row_table, run_both

from leadout.state import RESULT_WORDS, read_result

VOCAB, LANES, CAPACITY = 96, 2, 64


def accept(run_kernel, rows, state, choices, groups: int, drafts: int) -> list:
    constants = {
        "V": VOCAB, "LANES": LANES, "GROUPS": groups, "DRAFTS": drafts, "CAPACITY": CAPACITY,
    }  # fmt: skip
    bindings = [
        np.array(choices, np.uint32),
        rows,
        np.array(state, np.uint32),
        np.zeros((LANES, VOCAB // 32), np.uint32),
        np.zeros((LANES, CAPACITY), np.uint32),
        poison(LANES, RESULT_WORDS),
    ]
    gpu, twin = run_both(run_kernel, "accept", constants, bindings, (1, 1, 1))
    for a, b in zip(gpu, twin, strict=True):
        assert np.array_equal(a, b)
    return gpu


def cycle(run_kernel, drafts: list[int], choices: list[int], valid=None) -> tuple:
    """Run one lane's cycle from 10 known tokens, the last of which is 3."""
    valid = valid or [True] * len(drafts)
    rows = [(0, 9, 3, True)]
    rows += [(0, 10 + i, d, v) for i, (d, v) in enumerate(zip(drafts, valid, strict=True))]
    gpu = accept(run_kernel, row_table(rows), [[10, 3, 1, 0], [0] * 4], choices, 1, len(drafts))
    return read_result(gpu[5].tolist(), 0), gpu


def test_after_prefill_the_chosen_token_is_the_lanes_last(run_kernel) -> None:
    rows = row_table([(1, 1, 50, True)])
    _, _, state, seen, history, results = accept(
        run_kernel, rows, [[0] * 4, [2, 0, 0, 0]], [70], 1, 0
    )
    assert state.reshape(-1, 4)[1].tolist() == [3, 70, 1, 0]
    assert seen.tolist() == [0, 0, 0, 0, 0, 1 << 6]
    assert history.reshape(LANES, -1)[1, :4].tolist() == [0, 0, 70, 0]
    assert read_result(results.tolist(), 1).tokens == [70]
    assert read_result(results.tolist(), 0).tokens == []


def test_drafts_are_kept_up_to_the_first_that_differs(run_kernel) -> None:
    for accepted in range(5):
        drafts = [20, 21, 22, 23]
        choices = [20, 21, 22, 23, 24]
        if accepted < 4:
            choices[accepted] = 90
        result, gpu = cycle(run_kernel, drafts, choices)
        assert result.tokens == choices[: accepted + 1]
        assert result.num_drafted == 4
        assert gpu[2].reshape(-1, 4)[0].tolist() == [11 + accepted, choices[accepted], 1, 0]
        history = gpu[4].reshape(LANES, -1)[0]
        assert history[10 : 11 + accepted].tolist() == result.tokens
        assert not history[11 + accepted :].any()
        seen = np.unpackbits(gpu[3].view(np.uint8), bitorder="little")
        assert set(np.flatnonzero(seen)) == set(result.tokens)


def test_a_draft_behind_a_rejected_one_is_not_kept_even_if_it_fits(run_kernel) -> None:
    result, _ = cycle(run_kernel, [20, 21, 22], [90, 21, 22, 23])
    assert result.tokens == [90]


def test_a_draft_that_was_not_made_is_not_accepted(run_kernel) -> None:
    result, _ = cycle(run_kernel, [20, 21], [20, 21, 22], valid=[True, False])
    assert (result.tokens, result.num_drafted) == ([20, 21], 1)
    result, _ = cycle(run_kernel, [0, 0], [0, 21, 22], valid=[False, False])
    assert (result.tokens, result.num_drafted) == ([0], 0)


def test_lanes_accept_each_for_itself(run_kernel) -> None:
    rows = row_table([(0, 9, 3, True), (0, 10, 20, True), (1, 4, 8, True), (1, 5, 30, True)])
    gpu = accept(run_kernel, rows, [[10, 3, 1, 0], [5, 8, 1, 0]], [20, 21, 40, 41], 2, 1)
    results = gpu[5].tolist()
    assert [read_result(results, lane).tokens for lane in (0, 1)] == [[20, 21], [40]]
    assert gpu[2].reshape(-1, 4)[:, 0].tolist() == [12, 6]


def test_nothing_is_chosen_for_a_lane_whose_context_is_full(run_kernel) -> None:
    rows = row_table([(0, 63, 3, True), (1, 64, 8, False)])
    gpu = accept(run_kernel, rows, [[64, 3, 1, 0], [65, 8, 1, 0]], [11, 12], 2, 0)
    results = gpu[5].tolist()
    assert read_result(results, 0).tokens == [11]
    assert read_result(results, 1).tokens == []
    assert gpu[2].reshape(-1, 4)[1, 0] == 65
