"""The rows of a cycle, and what it commits."""

import numpy as np
import pytest
from compare import poison, row_table
from stage import Stage

from leadout import ops
from leadout.state import (
    AHEAD_BIT,
    MAX_COUNT,
    RESULT_WORDS,
    ROW_OF_DRAFTER,
    ROW_VALID,
    Tables,
    pack_given,
    read_drafts,
    read_result,
)

VOCAB, LANES, CAPACITY = 96, 2, 64
TABLES = Tables(LANES, VOCAB, CAPACITY)
STATE_TABLES = ("rows", "state", "seen", "history", "results")


def accept(run_stage, rows, state, choices, groups: int, drafts: int, here=None, seen=None) -> list:
    stage = Stage()
    table = stage.row_table(rows)
    stage.hold(TABLES.state, np.array(state, np.uint32))
    seen = np.zeros(TABLES.seen.bytes // 4, np.uint32) if seen is None else seen
    stage.hold(TABLES.seen, seen)
    stage.hold(TABLES.history, np.zeros((LANES, CAPACITY), np.uint32))
    stage.hold(TABLES.results, poison(LANES, RESULT_WORDS))
    choices = stage.tensor("choices", np.array(choices, np.uint32))
    slots = None
    if here is not None:
        slots = stage.tensor("slots", np.isin(np.arange(VOCAB), here).astype(np.uint32))
    stage.add(ops.Accept("a", choices, table, TABLES, groups, drafts, slots))
    played = run_stage(stage)
    played.assert_equal(*STATE_TABLES)
    return [played.gpu[name] for name in ("choices", *STATE_TABLES)]


def cycle(run_stage, drafts: list[int], choices: list[int], valid=None, here=None) -> tuple:
    """Run one lane's cycle from 10 known tokens, the last of which is 3."""
    valid = valid or [True] * len(drafts)
    rows = [(0, 9, 3, True)]
    rows += [(0, 10 + i, d, v) for i, (d, v) in enumerate(zip(drafts, valid, strict=True))]
    state = [[10, 3, 1, 0], [0] * 4]
    gpu = accept(run_stage, row_table(rows), state, choices, 1, len(drafts), here)
    return read_result(gpu[5].tolist(), 0), gpu


def test_after_prefill_the_chosen_token_is_the_lanes_last(run_stage) -> None:
    rows = row_table([(1, 1, 50, True)])
    _, _, state, seen, history, results = accept(
        run_stage, rows, [[0] * 4, [2, 0, 0, 0]], [70], 1, 0
    )
    assert state.reshape(-1, 4)[1].tolist() == [3, 70, 1, 0]
    lanes = seen.reshape(LANES, -1)
    assert lanes[1, :3].tolist() == [0, 0, 1 << 6]
    assert seen.sum() == 1 << 6, "nothing is counted where nobody asked"
    assert history.reshape(LANES, -1)[1, :4].tolist() == [0, 0, 70, 0]
    assert read_result(results.tolist(), 1).tokens == [70]
    assert read_result(results.tolist(), 0).tokens == []


def test_drafts_are_kept_up_to_the_first_that_differs(run_stage) -> None:
    for accepted in range(5):
        drafts = [20, 21, 22, 23]
        choices = [20, 21, 22, 23, 24]
        if accepted < 4:
            choices[accepted] = 90
        result, gpu = cycle(run_stage, drafts, choices)
        assert result.tokens == choices[: accepted + 1]
        assert result.num_drafted == 4
        assert gpu[2].reshape(-1, 4)[0].tolist() == [11 + accepted, choices[accepted], 1, 0]
        history = gpu[4].reshape(LANES, -1)[0]
        assert history[10 : 11 + accepted].tolist() == result.tokens
        assert not history[11 + accepted :].any()
        bits = gpu[3].view(np.uint8)[: TABLES.moves_offset]
        seen = np.unpackbits(bits, bitorder="little")
        assert set(np.flatnonzero(seen)) == set(result.tokens)


def test_a_lane_counts_what_it_generated_up_to_16_bits(run_stage) -> None:
    seen = np.zeros((LANES, TABLES.seen_bytes // 4), np.uint32)
    words = seen[:, TABLES.moves_offset // 4 : TABLES.masks_offset // 4]
    bias = np.uint32(0xFFF0 << 16)  # stays as it is
    words[1, [20, 21, 22]] = bias + np.array([0, 7, MAX_COUNT], np.uint32)
    rows = row_table([(1, 9, 21, True), *((1, 10 + i, 20 + i, True) for i in range(3))])
    state = [[0] * 4, [10, 21, 1, 1]]
    gpu = accept(run_stage, rows, state, [20, 21, 22, 20], 1, 3, seen=seen.reshape(-1))
    found = gpu[3].reshape(LANES, -1)[:, TABLES.moves_offset // 4 : TABLES.masks_offset // 4]
    found = found - (words & 0xFFFF0000)
    assert found[1, [20, 21, 22]].tolist() == [2, 8, MAX_COUNT]
    assert found.sum() == 2 + 8 + MAX_COUNT
    assert gpu[2].reshape(-1, 4)[1].tolist() == [14, 20, 1, 1]


def test_a_draft_behind_a_rejected_one_is_not_kept_even_if_it_fits(run_stage) -> None:
    result, _ = cycle(run_stage, [20, 21, 22], [90, 21, 22, 23])
    assert result.tokens == [90]


def test_a_draft_that_was_not_made_is_not_accepted(run_stage) -> None:
    result, _ = cycle(run_stage, [20, 21], [20, 21, 22], valid=[True, False])
    assert (result.tokens, result.num_drafted) == ([20, 21], 1)
    result, _ = cycle(run_stage, [0, 0], [0, 21, 22], valid=[False, False])
    assert (result.tokens, result.num_drafted) == ([0], 0)


def test_rows_count_up_to_the_first_that_has_no_row_of_a_paged_table(run_stage) -> None:
    drafts, choices = [20, 21, 22], [20, 21, 22, 23]
    for lost, tokens, missing in (
        ([], [20, 21, 22, 23], []),
        ([22], [20, 21, 22], [22]),
        ([21], [20, 21], [21]),
        ([20, 22], [20], [20, 22]),
    ):
        here = [id_ for id_ in (3, *drafts) if id_ not in lost]
        result, gpu = cycle(run_stage, drafts, choices, here=here)
        assert (result.tokens, result.missing) == (tokens, missing)
        assert result.num_drafted == len(tokens) - 1
        assert gpu[2].reshape(-1, 4)[0].tolist() == [10 + len(tokens), tokens[-1], 1, 0]
    result, _ = cycle(run_stage, drafts, [20, 90, 22, 23], here=[3, 20, 21])
    assert (result.tokens, result.num_drafted, result.missing) == ([20, 90], 2, [22])


def test_a_cycle_whose_first_token_has_no_row_changes_nothing(run_stage) -> None:
    drafts, choices = [20, 21, 22, 23, 24, 25, 26], [20, 21, 22, 23, 24, 25, 26, 27]
    for here, missing in (([21], [3, 20, *drafts[2:]]), ([], [3, *drafts]), (drafts, [3])):
        result, gpu = cycle(run_stage, drafts, choices, here=here)
        assert (result.tokens, result.num_drafted, result.missing) == ([], 0, missing)
        assert gpu[2].tolist() == [10, 3, 1, 0, 0, 0, 0, 0]
        assert not gpu[3].any()
        assert not gpu[4].any()
    valid = [True, *[False] * 6]
    result, _ = cycle(run_stage, drafts, choices, valid, here=[])
    assert result.missing == [3, 20], "rows that are not valid want nothing"


def test_a_lane_without_its_rows_leaves_others_alone(run_stage) -> None:
    rows = row_table([(0, 9, 3, True), (0, 10, 20, True), (1, 4, 8, True), (1, 5, 30, True)])
    state = [[10, 3, 1, 0], [5, 8, 1, 0]]
    gpu = accept(run_stage, rows, state, [20, 21, 40, 41], 2, 1, here=[8, 20, 30])
    results = [read_result(gpu[5].tolist(), lane) for lane in (0, 1)]
    assert [(one.tokens, one.missing) for one in results] == [([], [3]), ([40], [])]
    assert gpu[2].reshape(-1, 4)[:, 0].tolist() == [10, 6]


def test_lanes_accept_each_for_itself(run_stage) -> None:
    rows = row_table([(0, 9, 3, True), (0, 10, 20, True), (1, 4, 8, True), (1, 5, 30, True)])
    gpu = accept(run_stage, rows, [[10, 3, 1, 0], [5, 8, 1, 0]], [20, 21, 40, 41], 2, 1)
    results = gpu[5].tolist()
    assert [read_result(results, lane).tokens for lane in (0, 1)] == [[20, 21], [40]]
    assert gpu[2].reshape(-1, 4)[:, 0].tolist() == [12, 6]


def test_nothing_is_chosen_for_a_lane_whose_context_is_full(run_stage) -> None:
    rows = row_table([(0, 63, 3, True), (1, 64, 8, False)])
    gpu = accept(run_stage, rows, [[64, 3, 1, 0], [65, 8, 1, 0]], [11, 12], 2, 0)
    results = gpu[5].tolist()
    assert read_result(results, 0).tokens == [11]
    assert read_result(results, 1).tokens == []
    assert gpu[2].reshape(-1, 4)[1, 0] == 65


def test_active_lanes_begin_with_their_last_token_and_all_else_is_not_valid(run_stage) -> None:
    tables, stage = Tables(4, VOCAB, CAPACITY), Stage()
    state = np.array([[10, 7, 1, 0], [0, 0, 0, 0], [65, 8, 1, 0], [64, 9, 1, 0]], np.uint32)
    stage.hold(tables.state, state)
    stage.hold(tables.turns, np.arange(4, dtype=np.uint32))
    lane_rows = stage.row_table(poison(4, 4), "lane_rows")
    rows = stage.row_table(poison(16, 4))
    stage.add(ops.BeginCycle("b", lane_rows, rows, tables, 1))
    played = run_stage(stage)
    played.assert_equal("state", "lane_rows", "rows")
    lane_rows, rows = played.gpu["lane_rows"].reshape(-1, 4), played.gpu["rows"].reshape(-1, 4)
    assert rows[0].tolist() == [0, 9, 7, 1]
    assert rows[6].tolist() == [3, 63, 9, 1]
    valid = rows[[0, 2, 4, 6], 3].tolist()
    assert valid == [1, 0, 0, 1], "idle lanes and full ones have no valid row"
    assert np.array_equal(lane_rows[:, :3], rows[[0, 2, 4, 6], :3])
    assert lane_rows[:, 3].tolist() == [ROW_OF_DRAFTER | one for one in valid]
    others = [i for i in range(16) if i not in (0, 2, 4, 6)]
    assert not rows[others].any()


def place(run_stage, lane_rows, ahead: int) -> tuple[list, list]:
    """Place the second draft of each lane, behind `ahead` others."""
    stage = Stage()
    lane_rows[:, 3] |= ROW_OF_DRAFTER | ahead << AHEAD_BIT
    choices = stage.tensor("choices", np.array([70, 71], np.uint32))
    lane_rows = stage.row_table(lane_rows, "lane_rows")
    stage.add(ops.PlaceDraft("p", choices, lane_rows, stage.row_table(poison(8, 4)), TABLES, 2))
    played = run_stage(stage)
    played.assert_equal("choices", "lane_rows", "rows")
    return tuple(played.gpu[name].reshape(-1, 4).tolist() for name in ("lane_rows", "rows"))


def test_a_draft_stands_behind_its_lane_and_the_drafter_stays_at_its_position(run_stage) -> None:
    lane_rows, rows = place(run_stage, row_table([(0, 5, 11, True), (1, 9, 12, False)]), 1)
    flags = ROW_OF_DRAFTER | 2 << AHEAD_BIT
    assert lane_rows == [[0, 5, 70, ROW_VALID | flags], [1, 9, 71, flags]]
    assert rows[2] == [0, 7, 70, 1]
    assert rows[5] == [1, 11, 71, 0], "a draft of an idle lane is not valid"
    untouched = poison(8, 4).tolist()
    assert [rows[i] == untouched[i] for i in range(8)].count(False) == 2


def test_a_draft_past_the_context_is_not_valid(run_stage) -> None:
    _, rows = place(run_stage, row_table([(0, 62, 11, True), (1, 61, 12, True)]), 1)
    assert [rows[2][3], rows[5][3]] == [0, 1]


def test_drafts_that_the_host_gives_stand_behind_their_lanes(run_stage) -> None:
    """As many as there are rows for, and none past the context or behind an idle lane."""
    lanes, drafts = 3, 3
    tables = Tables(lanes, VOCAB, CAPACITY)
    given = [pack_given([50, 51]), pack_given(range(60, 67)), pack_given([70, 71, 72])]
    for last, num_valid in ((20, 3), (CAPACITY - 2, 1), (CAPACITY - 1, 0)):
        stage = Stage()
        # The lanes take part in another order than theirs, and one is idle.
        groups = [(2, 5, 1, False), (1, last, 9, True), (0, 11, 8, True)]
        lane_rows = stage.row_table(row_table(groups), "lane_rows")
        rows = stage.row_table(np.zeros((3 * (1 + drafts), 4), np.uint32), "verified")
        stage.hold(tables.given, np.frombuffer(b"".join(given), np.uint32))
        stage.add(ops.PlaceGiven("p", lane_rows, rows, tables, drafts))
        played = run_stage(stage)
        played.assert_equal("verified")
        found = played.gpu["verified"].reshape(-1, 4)[: 3 * (1 + drafts)].reshape(3, -1, 4)
        assert not found[0].any()
        placed = [[1, last + 1 + i, 60 + i, 1] for i in range(num_valid)]
        assert found[1, 1 : 1 + num_valid].tolist() == placed
        assert not found[1, 1 + num_valid :].any()
        assert found[2, 1:].tolist() == [[0, 12, 50, 1], [0, 13, 51, 1], [0, 0, 0, 0]]
        assert read_drafts(played.gpu["verified"].tolist(), 2, drafts) == [50, 51]


def test_each_lane_keeps_the_row_behind_its_last_token(run_stage) -> None:
    size, stride, offset, drafts = 300, 640, 320, 2
    tables, stage = Tables(4, VOCAB, CAPACITY), Stage()
    rows = [(lane, 4 + i, 0, lane != 2) for lane in (1, 0, 2, 3) for i in range(1 + drafts)]
    x = np.random.default_rng(0).standard_normal((len(rows), size)).astype(np.float32)
    results = np.zeros((4, RESULT_WORDS), np.uint32)
    results[:, 0] = [3, 1, 2, 0]
    stage.hold(tables.results, results)
    y = stage.output("y", 4, stride)
    rows = stage.row_table(row_table(rows))
    stage.add(ops.TakeAccepted("t", stage.tensor("x", x), rows, tables, y, offset, 4, drafts))
    played = run_stage(stage)
    played.assert_equal("y")
    kept = played.floats(y)[:, offset : offset + size]
    assert np.array_equal(kept[1], x[0])
    assert np.array_equal(kept[0], x[5])
    untouched = played.gpu["y"].reshape(4, stride)[2:]
    assert (untouched == poison(2, stride)).all(), "idle and full lanes keep what they have"


def ngram(run_stage, histories, drafts: int, valid=True, capacity: int = 600) -> list:
    lanes = len(histories)
    tables, stage = Tables(lanes, VOCAB, capacity), Stage()
    table = np.full((lanes, capacity), 777, np.uint32)
    rows = []
    for lane, history in enumerate(histories):
        table[lane, : len(history)] = history
        rows.append((lane, len(history) - 1, history[-1], valid))
    stage.hold(tables.history, table)
    lane_rows = stage.rows(rows, "lane_rows")
    stage.add(
        ops.NgramDraft("n", lane_rows, stage.row_table(np.zeros((8, 4), np.uint32)), tables, drafts)
    )
    played = run_stage(stage)
    played.assert_equal("rows")
    return played.gpu["rows"].reshape(-1, 4).tolist()


def drafted(rows: list, lane: int, drafts: int) -> list[int]:
    first = lane * (1 + drafts)
    return [row[2] for row in rows[first + 1 : first + 1 + drafts] if row[3]]


def test_what_followed_the_longest_and_latest_match_is_drafted(run_stage) -> None:
    #          match of 2             match of 3, earlier than the next   match of 3     the end
    history = [5, 6, 90, 91, 1, 4, 5, 6, 80, 81, 82, 9, 4, 5, 6, 70, 71, 72, 8, 4, 5, 6]
    rows = ngram(run_stage, [history], 3)
    assert drafted(rows, 0, 3) == [70, 71, 72]
    assert rows[0] == [0] * 4, "the lane's own row is begin_cycle's"
    assert [row[1] for row in rows[1:4]] == [22, 23, 24]


def test_a_draft_that_reaches_the_present_goes_on_in_the_same_rhythm(run_stage) -> None:
    rows = ngram(run_stage, [[7, 1, 2, 3, 1, 2, 3]], 7)
    assert drafted(rows, 0, 7) == [1, 2, 3, 1, 2, 3, 1]


@pytest.mark.parametrize("history", [[5], [5, 6], [1, 2, 3, 4, 9, 4], [4, 4]])
def test_without_a_match_of_two_nothing_is_drafted(run_stage, history) -> None:
    assert drafted(ngram(run_stage, [history], 3), 0, 3) == []


def test_an_idle_lane_drafts_nothing(run_stage) -> None:
    rows = ngram(run_stage, [[1, 2, 1, 2], [3, 4, 3, 4]], 2, valid=False)
    assert [row[3] for row in rows] == [0] * 8


def test_every_lane_looks_at_its_own_text(run_stage) -> None:
    rows = ngram(run_stage, [[1, 2, 30, 1, 2], [1, 2, 40, 1, 2]], 1)
    assert (drafted(rows, 0, 1), drafted(rows, 1, 1)) == ([30], [40])
    assert [row[3] for row in rows[4:]] == [0] * 4


def test_a_long_text_is_searched_whole(run_stage) -> None:
    history = [*range(100, 680), 100, 101]
    assert drafted(ngram(run_stage, [history], 2), 0, 2) == [102, 103]


def test_nothing_is_drafted_past_the_context(run_stage) -> None:
    rows = ngram(run_stage, [[1, 2, 3, 1, 2, 3]], 4, capacity=8)
    assert drafted(rows, 0, 4) == [1, 2]
