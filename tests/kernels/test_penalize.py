import numpy as np
import pytest
from compare import row_table, run_both, settings_table

VOCAB = 544  # no multiple of a workgroup's 256


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_penalize_counts_history_and_earlier_rows_but_no_later_ones(run_kernel, penalty) -> None:
    logits = np.random.default_rng(0).standard_normal((3, VOCAB)).astype(np.float32)
    seen = np.zeros((2, VOCAB // 32), np.uint32)
    seen[1, 2] = 0b101  # ids 64 and 66 of lane 1
    settings = np.concatenate([settings_table(), settings_table(repetition_penalty=penalty)])
    # Id 9 comes with the last row only.
    rows = row_table([(1, 7, 5, True), (1, 8, 6, True), (1, 9, 9, True)])
    gpu, twin = run_both(
        run_kernel,
        "penalize.all",
        {"V": VOCAB, "COUNT": VOCAB},
        [rows, settings, seen, logits],
        (3, 3, 1),
    )
    assert np.allclose(gpu[3].view(np.float32), twin[3].view(np.float32), rtol=1e-6, atol=0)
    changed = gpu[3].reshape(3, VOCAB) != logits.view(np.uint32)
    wanted = [{5, 64, 66}, {5, 6, 64, 66}, {5, 6, 9, 64, 66}] if penalty != 1.0 else [set()] * 3
    assert [set(np.flatnonzero(row).tolist()) for row in changed] == wanted


def test_penalize_finds_candidates_by_their_ids(run_kernel) -> None:
    rng = np.random.default_rng(1)
    ids = rng.permutation(VOCAB)[: 2 * 70].reshape(2, 70).astype(np.uint32)
    logits = rng.standard_normal((2, 70)).astype(np.float32)
    seen = np.zeros((1, VOCAB // 32), np.uint32)
    for token in (ids[0, 3], ids[0, 40], ids[1, 69]):
        seen[0, token // 32] |= np.uint32(1 << int(token % 32))
    rows = row_table([(0, 4, int(ids[0, 5]), True), (0, 5, int(ids[1, 6]), True)])
    settings = settings_table(repetition_penalty=1.7)
    constants = {"V": VOCAB, "COUNT": 70}
    bindings = [rows, settings, seen, logits, ids]
    gpu, twin = run_both(run_kernel, "penalize.mapped", constants, bindings, (1, 2, 1))
    assert np.allclose(gpu[3].view(np.float32), twin[3].view(np.float32), rtol=1e-6, atol=0)
    changed = gpu[3].reshape(2, 70) != logits.view(np.uint32)
    assert set(np.flatnonzero(changed[0])) == {3, 5, 40}
    assert set(np.flatnonzero(changed[1])) == {6, 69}
