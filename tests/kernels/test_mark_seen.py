import numpy as np
from compare import row_table, run_both


def test_mark_seen_sets_the_bits_of_valid_rows_and_keeps_others(run_kernel) -> None:
    vocab = 96
    rows = row_table(
        [(0, 0, 5, True), (1, 0, 5, True), (0, 1, 37, True), (0, 2, 64, False), (1, 1, 95, True)]
        * 20
    )
    seen = np.zeros((2, vocab // 32), np.uint32)
    seen[0, 0] = 1
    gpu, twin = run_both(
        run_kernel, "mark_seen", {"V": vocab, "ROWS": len(rows)}, [rows, seen], (2, 1, 1)
    )
    assert np.array_equal(gpu[1], twin[1])
    assert gpu[1].tolist() == [1 | 1 << 5, 1 << 5, 0, 1 << 5, 0, 1 << 31]
