import numpy as np
from compare import poison, run_both


def test_take_last_row_copies_that_row_and_nothing_else(run_kernel) -> None:
    x = np.arange(5 * 300, dtype=np.float32)
    gpu, twin = run_both(run_kernel, "take_last_row", {"D": 300}, [x, poison(2, 300)], (2, 1, 1))
    assert np.array_equal(gpu[1], twin[1])
    assert np.array_equal(gpu[1][:300].view(np.float32), x[1200:])
