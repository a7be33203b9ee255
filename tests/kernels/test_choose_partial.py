import numpy as np
import pytest
from compare import poison, row_table, run_both, settings_table

from leadout.state import AHEAD_BIT

VOCAB = 4096 + 4096 + 96
CHUNKS = 3

#: The noise goes through two logarithms, whose accuracy WGSL leaves to the device.
NOISE_TOLERANCE = 2e-5


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_the_best_of_every_chunk_is_the_twins(run_kernel, temperature) -> None:
    logits = np.random.default_rng(0).standard_normal((2, VOCAB)).astype(np.float32)
    thresholds = np.array([-3.4028234e38, 3.2], np.float32)  # the second leaves chunks empty
    rows = row_table([(0, 11, 0, True), (0, 12, 0, True)])
    settings = settings_table(temperature=temperature, seed=1234)
    gpu, twin = run_both(
        run_kernel,
        "choose_partial.all",
        {"V": VOCAB, "COUNT": VOCAB},
        [logits, rows, settings, thresholds, poison(2, CHUNKS, 2)],
        (CHUNKS, 2, 1),
    )
    a, b = gpu[4].reshape(-1, 2), twin[4].reshape(-1, 2)
    assert np.array_equal(a[:, 1], b[:, 1])
    values = a[:, 0].copy().view(np.float32), b[:, 0].copy().view(np.float32)
    assert np.allclose(*values, rtol=0, atol=NOISE_TOLERANCE)
    if temperature > 0:
        assert (b[CHUNKS:, 1] == VOCAB).any(), "no empty chunk was tested"


def test_of_equal_logits_the_lowest_id_wins(run_kernel) -> None:
    logits = np.zeros((1, VOCAB), np.float32)
    gpu, _ = run_both(
        run_kernel,
        "choose_partial.all",
        {"V": VOCAB, "COUNT": VOCAB},
        [logits, row_table([(0, 0, 0, True)]), settings_table(), poison(1), poison(CHUNKS, 2)],
        (CHUNKS, 1, 1),
    )
    assert gpu[4].reshape(-1, 2)[:, 1].tolist() == [0, 4096, 8192]


@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize("ahead", [0, 2])
def test_candidates_get_the_noise_of_their_own_ids(run_kernel, temperature, ahead) -> None:
    """A drafter that considers a part of the vocabulary must meet the target's noise."""
    rng = np.random.default_rng(2)
    count, vocab = 200, 512
    ids = np.stack([rng.permutation(vocab)[:count] for _ in range(2)]).astype(np.uint32)
    logits = rng.standard_normal((2, count)).astype(np.float32)
    moved = row_table([(0, 7 + ahead, 0, True), (0, 9 + ahead, 0, True)])
    rows = row_table([(0, 7, 0, True), (0, 9, 0, True)])
    rows[:, 3] |= ahead << AHEAD_BIT
    settings = settings_table(temperature=temperature, seed=5)
    thresholds = np.array([-0.5, -3.4028234e38], np.float32)
    bindings = [logits, rows, settings, thresholds, poison(2, 1, 2), ids]
    constants = {"V": vocab, "COUNT": count}
    gpu, twin = run_both(run_kernel, "choose_partial.mapped", constants, bindings, (1, 2, 1))
    assert np.array_equal(gpu[4].reshape(2, 2)[:, 1], twin[4].reshape(2, 2)[:, 1])

    full = np.full((2, vocab), -1e9, np.float32)
    np.put_along_axis(full, ids.astype(np.int64), logits, axis=1)
    whole, _ = run_both(
        run_kernel,
        "choose_partial.all",
        {"V": vocab, "COUNT": vocab},
        [full, moved, settings, thresholds, poison(2, 1, 2)],
        (1, 2, 1),
    )
    assert np.array_equal(gpu[4], whole[4])


def test_of_equal_candidates_the_lowest_id_wins(run_kernel) -> None:
    ids = np.array([[90, 7, 300, 8]], np.uint32)
    logits = np.zeros((1, 4), np.float32)
    bindings = [logits, row_table([(0, 0, 0, True)]), settings_table(), poison(1), poison(1, 2)]
    constants = {"V": 512, "COUNT": 4}
    gpu, twin = run_both(
        run_kernel, "choose_partial.mapped", constants, [*bindings, ids], (1, 1, 1)
    )
    assert gpu[4][1] == twin[4][1] == 7
