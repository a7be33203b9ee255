"""Log-probabilities of what was committed: those of NumPy, and of a row by itself."""

import numpy as np
import pytest
from compare import POISON, assert_close, row_table, settings_table
from stage import Stage

from leadout import ops, sampling
from leadout.state import (
    LOGPROB_WORDS,
    RESULT_WORDS,
    ROW_VALID,
    Tables,
    TokenLogprobs,
    read_logprobs,
)

#: More than two of a kernel's chunks, and no multiple of one.
VOCAB = 4096 + 4096 + 96

#: Of a log-probability, in nats; the largest seen is 2e-6.
TOLERANCE = 1e-5


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def told(
    run_stage, logits, choices, table, counts, settings, num_groups: int, num_drafts: int
) -> list[list[TokenLogprobs]]:
    """Return what each lane is told, which is what NumPy says."""
    stage, num_lanes = Stage(), len(counts)
    tables = Tables(num_lanes, logits.shape[1], 64)
    stage.hold(sampling.settings(num_lanes), np.concatenate(settings))
    results = np.full(tables.results_and_logprobs.bytes // 4, POISON, np.uint32)
    results[: num_lanes * RESULT_WORDS : RESULT_WORDS] = counts
    stage.hold(tables.results_and_logprobs, results)
    rows = stage.row_table(table)
    padding = np.zeros((rows.count - len(logits), logits.shape[1]), np.float32)
    x = stage.tensor("logits", np.concatenate([logits, padding]))
    y = stage.tensor("choices", np.resize(np.array(choices, np.uint32), rows.count))
    stage.add(ops.Logprobs("l", x, y, rows, tables, num_groups, num_drafts))
    played = run_stage(stage, takes=["logprobs"])
    gpu, numpy = (words["results"] for words in (played.gpu, played.numpy))
    written = numpy != POISON
    # Tokens without alternatives leave the places for these as they are.
    assert np.array_equal(gpu != POISON, written)
    head = num_lanes * RESULT_WORDS
    per_token = [words[head:].reshape(-1, LOGPROB_WORDS) for words in (gpu, numpy)]
    ids = slice(2, 2 + sampling.MAX_TOP_LOGPROBS)
    assert np.array_equal(per_token[0][:, ids], per_token[1][:, ids])
    for columns in (slice(1, 2), slice(ids.stop, None)):
        assert_close(per_token[0][:, columns], per_token[1][:, columns], TOLERANCE)
    live = {int(lane) for lane, _, _, flags in table if flags & ROW_VALID}
    asked = [lane in live and int(one[-1]) >> 8 for lane, one in enumerate(settings)]
    return [
        read_logprobs(gpu.tolist(), lane, count if asked[lane] else 0)
        for lane, count in enumerate(counts)
    ]


def lane_rows(lane: int, count: int) -> list[tuple[int, int, int, bool]]:
    return [(lane, 11 + i, 0, True) for i in range(count)]


@pytest.mark.parametrize("vocab", [96, 4096, VOCAB])
@pytest.mark.parametrize("num_top", [0, 1, 5, 20])
def test_logprobs_are_those_of_numpy(run_stage, vocab, num_top) -> None:
    logits = 4 * normal(3, 4, vocab)
    logits[1, 5:9] = 30  # equals: the lower id comes first
    logits[2, ::2] = -3.4e38  # suppressed
    table = row_table(lane_rows(0, 4))
    settings = [settings_table(logprobs=True, top_logprobs=num_top, temperature=0.3, seed=2)]
    (lane,) = told(run_stage, logits, [7, 6, 1, 0], table, [4], settings, 1, 3)
    wide = logits.astype(np.float64)
    wanted = wide - np.log(np.exp(wide - wide.max(1, keepdims=True)).sum(1, keepdims=True))
    wanted -= wide.max(1, keepdims=True)
    for row, (token, choice) in enumerate(zip(lane, [7, 6, 1, 0], strict=True)):
        assert token.logprob == pytest.approx(wanted[row, choice], abs=1e-4)
        order = np.argsort(-logits[row], kind="stable")[:num_top]
        assert [id_ for id_, _ in token.top] == order.tolist()
        assert [p for _, p in token.top] == pytest.approx(wanted[row, order].tolist(), abs=1e-4)


def test_a_row_has_the_same_bits_whatever_runs_beside_it(run_stage) -> None:
    logits = 4 * normal(5, 8, VOCAB)
    settings = [settings_table(logprobs=True, top_logprobs=20)]
    table = row_table(lane_rows(0, 8))
    (together,) = told(run_stage, logits, range(8), table, [8], settings, 1, 7)
    for row in (0, 3, 7):
        alone = told(
            run_stage, logits[row : row + 1], [row], table[row : row + 1], [1], settings, 1, 0
        )
        assert alone == [[together[row]]]


def test_only_lanes_that_ask_and_tokens_that_were_committed_are_told_of(run_stage) -> None:
    logits = normal(6, 6, 512)
    table = row_table([*lane_rows(1, 2), *lane_rows(0, 2), *lane_rows(2, 2)])
    ask = settings_table(logprobs=True, top_logprobs=2)
    settings = [ask, settings_table(), ask]
    # `told` asserts that nothing else is written, in the first lane for one of two rows.
    first, _, third = told(run_stage, logits, range(6), table, [1, 2, 2], settings, 3, 1)
    assert (len(first), len(third)) == (1, 2)
    table[4:, 3] = 0  # idle, but its results say otherwise
    assert told(run_stage, logits, range(6), table, [1, 2, 2], settings, 3, 1) == [first, [], []]
