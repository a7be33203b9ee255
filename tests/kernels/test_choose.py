"""The choice of a token, by all kernels that make one, against its definition in NumPy.

The noise goes through two logarithms and masses through an exponential, whose accuracy WGSL leaves
to the device: with the logits of these tests that changes no choice.
"""

import numpy as np
import pytest
from choosing import WAYS, Case, repeated
from compare import row_table, settings_table

from leadout.ops.choice import FOUND_WORDS, PART
from leadout.state import AHEAD_BIT

VOCAB = 5024  # two parts, the second not full
LISTED = 2048

SETTINGS = [
    {},
    {"temperature": 1.0},
    {"temperature": 0.0, "top_k": 5},
    {"temperature": 0.7, "top_k": 1},
    {"temperature": 0.7, "top_k": 64},
    {"temperature": 1.0, "top_k": 200, "top_p": 0.95},
    {"temperature": 1.0, "top_k": 1000},
    {"temperature": 1.3, "top_k": 4000, "top_p": 0.9},
    {"temperature": 1.0, "top_k": VOCAB},
    {"temperature": 1.3, "top_p": 0.9},
    {"temperature": 1.0, "top_p": 0.0001},
    {"temperature": 1.0, "top_p": 0.999},
    {"temperature": 1.0, "min_p": 0.05},
    {"temperature": 0.8, "top_p": 0.9, "min_p": 0.02},
    {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.02},
    {"temperature": 1.0, "top_k": 64, "top_p": 0.95, "repetition_penalty": 1.3},
    {"temperature": 0.0, "repetition_penalty": 1.3},
    {"temperature": 0.5, "repetition_penalty": 0.8},
]


def kinds_of_logits(count: int) -> np.ndarray:
    """Return rows of logits: spread, tied, nearly flat, flat, peaked, and clustered."""
    rng = np.random.default_rng(3)
    logits = 4 * rng.standard_normal((6, count)).astype(np.float32)
    logits[1] = np.round(logits[1])
    logits[2] /= 40
    logits[3] = -2.5
    logits[4, rng.integers(0, count, 5)] += 15
    logits[5, : count // 4] += 12
    return logits


def case_of(count: int, fields: dict, ids=None) -> Case:
    rows = row_table([(0, 3 + i, 7 * i, True) for i in range(6)])
    seen = np.random.default_rng(1).integers(0, 2**32, (1, VOCAB // 32)).astype(np.uint32)
    return Case(kinds_of_logits(count), rows, settings_table(seed=9, **fields), VOCAB, ids, seen)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fields", SETTINGS, ids=str)
def test_choices_equal_the_twins(run_kernel, fields, way) -> None:
    case = case_of(VOCAB, fields)
    assert case.gpus(run_kernel, way) == case.twins()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fields", SETTINGS[3::4], ids=str)
def test_choices_among_candidates_equal_the_twins(run_kernel, fields, way) -> None:
    count = 1301
    rng = np.random.default_rng(2)
    ids = np.stack([rng.permutation(VOCAB)[:count] for _ in range(6)]).astype(np.uint32)
    case = case_of(count, fields, ids)
    assert case.gpus(run_kernel, way) == case.twins()


def test_lists_that_are_too_short_were_tested(run_kernel) -> None:
    overflown = case_of(VOCAB, {"temperature": 1.0, "top_k": 64})
    overflown.gpus(run_kernel, "many")
    assert (overflown.listed > LISTED).any()
    short = case_of(VOCAB, {"temperature": 1.3, "top_k": 4000})
    short.gpus(run_kernel, "many")
    assert (short.listed < 4000).any()
    unreached = case_of(VOCAB, {"temperature": 1.0, "top_p": 0.999})
    unreached.gpus(run_kernel, "many")
    assert (unreached.listed[[0, 2]] < LISTED).all()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("fields", "num_kept"), [({"top_k": 6}, 6), ({"top_k": 1}, 1)])
def test_top_k_keeps_exactly_the_k_largest(run_kernel, fields, num_kept, way) -> None:
    """So hot that the noise alone decides among those that are kept."""
    logits = np.random.default_rng(4).standard_normal(VOCAB).astype(np.float32)
    case = repeated(logits, 48, VOCAB, temperature=100.0, **fields)
    wanted = np.argsort(-logits)[:num_kept]
    assert set(case.gpus(run_kernel, way)) == set(wanted.tolist())


@pytest.mark.parametrize("way", WAYS)
def test_top_k_keeps_all_that_equal_the_smallest_kept(run_kernel, way) -> None:
    logits = np.random.default_rng(5).standard_normal(VOCAB).astype(np.float32)
    logits[[5, 700, 4500]] = 9.0
    logits[[6, 4800, 4900]] = 8.0
    case = repeated(logits, 40, VOCAB, temperature=100.0, top_k=4)
    assert set(case.gpus(run_kernel, way)) == {5, 700, 4500, 6, 4800, 4900}


@pytest.mark.parametrize("way", WAYS)
def test_top_p_keeps_the_fewest_tokens_that_reach_the_share(run_kernel, way) -> None:
    logits = np.full(VOCAB, -20.0, np.float32)
    for i, share in enumerate([0.3, 0.25, 0.2, 0.11, 0.06]):
        logits[1000 * i] = np.log(share)
    case = repeated(logits * 30, 32, VOCAB, temperature=30.0, top_p=0.8)
    assert set(case.gpus(run_kernel, way)) == {0, 1000, 2000, 3000}


@pytest.mark.parametrize("way", WAYS)
def test_of_equal_logits_the_lowest_id_wins(run_kernel, way) -> None:
    logits = np.zeros((1, VOCAB), np.float32)
    logits[0, [4097, 4700]] = 1.0
    case = Case(logits, row_table([(0, 0, 0, True)]), settings_table(), VOCAB)
    assert case.gpus(run_kernel, way) == [4097]
    case.logits = np.zeros((1, VOCAB), np.float32)
    assert case.gpus(run_kernel, way) == [0]


@pytest.mark.parametrize("way", WAYS)
def test_of_equal_candidates_the_lowest_id_wins(run_kernel, way) -> None:
    ids = np.array([[90, 7, 300, 8]], np.uint32)
    rows = row_table([(0, 0, 0, True)])
    case = Case(np.zeros((1, 4), np.float32), rows, settings_table(), 512, ids)
    assert case.gpus(run_kernel, way) == [7]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fields", [{}, {"temperature": 0.8}, {"temperature": 0.8, "top_k": 30}])
@pytest.mark.parametrize("ahead", [0, 2])
def test_candidates_get_the_noise_of_their_own_ids(run_kernel, fields, ahead, way) -> None:
    """A drafter that considers a part of the vocabulary must meet the target's noise."""
    rng = np.random.default_rng(2)
    count, vocab = 200, 512
    ids = np.stack([rng.permutation(vocab)[:count] for _ in range(2)]).astype(np.uint32)
    logits = rng.standard_normal((2, count)).astype(np.float32)
    moved = row_table([(0, 7 + ahead, 0, True), (0, 9 + ahead, 0, True)])
    rows = row_table([(0, 7, 0, True), (0, 9, 0, True)])
    rows[:, 3] |= ahead << AHEAD_BIT
    settings = settings_table(seed=5, **fields)
    full = np.full((2, vocab), -1e9, np.float32)
    np.put_along_axis(full, ids.astype(np.int64), logits, axis=1)
    some = Case(logits, rows, settings, vocab, ids).gpus(run_kernel, way)
    assert some == Case(full, moved, settings, vocab).gpus(run_kernel, way)


@pytest.mark.parametrize("way", WAYS)
def test_the_penalty_counts_history_and_earlier_rows_but_no_later_ones(run_kernel, way) -> None:
    vocab = 544
    logits = np.full((3, vocab), -50.0, np.float32)
    logits[:, [5, 6, 9, 64, 66, 100]] = [9.5, 9.4, 9.3, 9.2, 9.1, 8.0]
    seen = np.zeros((2, vocab // 32), np.uint32)
    seen[1, 2] = 0b101  # ids 64 and 66 of lane 1
    # Id 9 comes with the last row only.
    rows = row_table([(1, 7, 5, True), (1, 8, 6, True), (1, 9, 9, True)])
    for penalty, wanted in [(1.0, [5, 5, 5]), (1.3, [6, 9, 100])]:
        settings = np.concatenate([settings_table(), settings_table(repetition_penalty=penalty)])
        case = Case(logits, rows, settings, vocab, seen=seen)
        assert case.gpus(run_kernel, way) == case.twins() == wanted


@pytest.mark.parametrize("way", WAYS)
def test_the_penalty_makes_negative_logits_smaller(run_kernel, way) -> None:
    vocab = 544
    logits = np.full((1, vocab), -50.0, np.float32)
    logits[0, [3, 4]] = [-1.0, -1.2]
    settings = settings_table(repetition_penalty=1.3)
    case = Case(logits, row_table([(0, 4, 3, True)]), settings, vocab)
    assert case.gpus(run_kernel, way) == [4]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_few_candidates_are_enough(run_kernel, count, way) -> None:
    rng = np.random.default_rng(count)
    ids = rng.permutation(32)[:count].astype(np.uint32).reshape(1, count)
    logits = rng.standard_normal((1, count)).astype(np.float32)
    for fields in ({}, {"temperature": 1.0, "top_k": 64, "top_p": 0.95}, {"temperature": 1.0}):
        settings = settings_table(seed=3, **fields)
        case = Case(logits, row_table([(0, 0, 0, True)]), settings, 32, ids)
        assert case.gpus(run_kernel, way) == case.twins()


@pytest.mark.parametrize("way", WAYS)
def test_a_rows_choice_does_not_depend_on_the_rows_beside_it(run_kernel, way) -> None:
    fields = {"temperature": 1.0, "top_k": 64, "top_p": 0.95}
    together = case_of(VOCAB, fields)
    alone = []
    for r in range(6):
        case = case_of(VOCAB, fields)
        case.logits, case.rows = case.logits[r : r + 1], case.rows[r : r + 1]
        alone += case.gpus(run_kernel, way)
    assert together.gpus(run_kernel, way) == alone


def test_what_python_and_kernels_share_has_one_size() -> None:
    assert FOUND_WORDS == 4 + 3 * 1024 + 2 * LISTED
    assert PART == 4 * 256 * 4
