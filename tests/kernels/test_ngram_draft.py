import numpy as np
import pytest
from compare import row_table, run_both

CAPACITY, ROWS = 600, 8


def draft(run_kernel, histories, drafts: int, valid=True, capacity: int = CAPACITY) -> list:
    lanes = len(histories)
    table = np.full((lanes, capacity), 777, np.uint32)
    rows = []
    for lane, history in enumerate(histories):
        table[lane, : len(history)] = history
        rows.append((lane, len(history) - 1, history[-1], valid))
    constants = {
        "DRAFTS": drafts, "CAPACITY": capacity, "LONGEST": 4, "SHORTEST": 2,
    }  # fmt: skip
    bindings = [row_table(rows), table, np.zeros((ROWS, 4), np.uint32)]
    gpu, twin = run_both(run_kernel, "ngram_draft", constants, bindings, (lanes, 1, 1))
    assert np.array_equal(gpu[2], twin[2])
    return gpu[2].reshape(-1, 4).tolist()


def drafted(rows: list, lane: int, drafts: int) -> list[int]:
    first = lane * (1 + drafts)
    return [row[2] for row in rows[first + 1 : first + 1 + drafts] if row[3]]


def test_what_followed_the_longest_and_latest_match_is_drafted(run_kernel) -> None:
    #          match of 2             match of 3, earlier than the next   match of 3     the end
    history = [5, 6, 90, 91, 1, 4, 5, 6, 80, 81, 82, 9, 4, 5, 6, 70, 71, 72, 8, 4, 5, 6]
    rows = draft(run_kernel, [history], 3)
    assert drafted(rows, 0, 3) == [70, 71, 72]
    assert rows[0] == [0] * 4, "the lane's own row is begin_cycle's"
    assert [row[1] for row in rows[1:4]] == [22, 23, 24]


def test_a_draft_that_reaches_the_present_goes_on_in_the_same_rhythm(run_kernel) -> None:
    rows = draft(run_kernel, [[7, 1, 2, 3, 1, 2, 3]], 7)
    assert drafted(rows, 0, 7) == [1, 2, 3, 1, 2, 3, 1]


@pytest.mark.parametrize("history", [[5], [5, 6], [1, 2, 3, 4, 9, 4], [4, 4]])
def test_without_a_match_of_two_nothing_is_drafted(run_kernel, history) -> None:
    assert drafted(draft(run_kernel, [history], 3), 0, 3) == []


def test_an_idle_lane_drafts_nothing(run_kernel) -> None:
    rows = draft(run_kernel, [[1, 2, 1, 2], [3, 4, 3, 4]], 2, valid=False)
    assert [row[3] for row in rows] == [0] * ROWS


def test_every_lane_looks_at_its_own_text(run_kernel) -> None:
    rows = draft(run_kernel, [[1, 2, 30, 1, 2], [1, 2, 40, 1, 2]], 1)
    assert (drafted(rows, 0, 1), drafted(rows, 1, 1)) == ([30], [40])
    assert [row[3] for row in rows[4:]] == [0] * 4


def test_a_long_text_is_searched_whole(run_kernel) -> None:
    history = [*range(100, 680), 100, 101]
    assert drafted(draft(run_kernel, [history], 2), 0, 2) == [102, 103]


def test_nothing_is_drafted_past_the_context(run_kernel) -> None:
    rows = draft(run_kernel, [[1, 2, 3, 1, 2, 3]], 4, capacity=8)
    assert drafted(rows, 0, 4) == [1, 2]
