import numpy as np
from compare import poison, row_table, run_both

from leadout.state import RESULT_WORDS


def test_each_lane_keeps_the_row_behind_its_last_token(run_kernel) -> None:
    size, stride, offset, drafts = 300, 640, 320, 2
    rows = [(lane, 4 + i, 0, lane != 2) for lane in (1, 0, 2, 3) for i in range(1 + drafts)]
    x = np.random.default_rng(0).standard_normal((len(rows), size)).astype(np.float32)
    results = np.zeros((4, RESULT_WORDS), np.uint32)
    results[:, 0] = [3, 1, 2, 0]
    constants = {
        "D": size, "DRAFTS": drafts, "OUT_STRIDE": stride, "OUT_OFFSET": offset,
        "RESULT_WORDS": RESULT_WORDS,
    }  # fmt: skip
    bindings = [x, row_table(rows), results, poison(4, stride)]
    gpu, twin = run_both(run_kernel, "take_accepted", constants, bindings, (2, 4, 1))
    assert np.array_equal(gpu[3], twin[3])
    kept = gpu[3].view(np.float32).reshape(4, stride)[:, offset : offset + size]
    assert np.array_equal(kept[1], x[0])
    assert np.array_equal(kept[0], x[5])
    untouched = gpu[3].reshape(4, stride)[2:]
    assert (untouched == poison(2, stride)).all(), "idle and full lanes keep what they have"
