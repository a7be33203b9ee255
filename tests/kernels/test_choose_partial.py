import numpy as np
import pytest
from compare import poison, row_table, run_both, settings_table

VOCAB = 4096 + 4096 + 96
CHUNKS = 3

#: The noise goes through two logarithms, whose accuracy WGSL leaves to the device.
NOISE_TOLERANCE = 2e-5


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_the_best_of_every_chunk_is_the_twins(run_kernel, temperature) -> None:
    logits = np.random.default_rng(0).standard_normal((2, VOCAB)).astype(np.float32)
    thresholds = np.array([-3.4028234e38, 3.2], np.float32)  # the second leaves chunks empty
    rows = row_table([(0, 0, 0, True), (0, 11, 0, True), (0, 12, 0, True)])
    settings = settings_table(temperature=temperature, seed=1234)
    gpu, twin = run_both(
        run_kernel,
        "choose_partial",
        {"V": VOCAB, "FIRST_ROW": 1},
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
        "choose_partial",
        {"V": VOCAB},
        [logits, row_table([(0, 0, 0, True)]), settings_table(), poison(1), poison(CHUNKS, 2)],
        (CHUNKS, 1, 1),
    )
    assert gpu[4].reshape(-1, 2)[:, 1].tolist() == [0, 4096, 8192]
