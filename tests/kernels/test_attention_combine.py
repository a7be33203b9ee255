import numpy as np
import pytest
from compare import assert_close, poison, row_table, run_both

from leadout.ops.attention import ATTENDING


@pytest.mark.parametrize(("window", "behind"), [(0, 0), (100, 0), (102, 1)])
def test_attention_combine_equals_its_twin(run_kernel, window, behind) -> None:
    heads, dim, slots = 3, 40, 6
    rows = row_table([(0, 64, 0, True), (0, 300, 0, True), (0, 0, 0, False)])
    rng = np.random.default_rng(0)
    part_o = rng.standard_normal((len(rows), heads, slots, dim)).astype(np.float32)
    part_ml = rng.uniform(0.5, 40.0, (len(rows), heads, slots, 2)).astype(np.float32)
    sizes = ATTENDING.pack(heads, 1, dim, window, behind, 0, slots, 1.0)
    gpu, twin = run_both(
        run_kernel,
        "attention_combine",
        {},
        [part_o, part_ml, rows, poison(len(rows), heads, dim), np.frombuffer(sizes, np.uint32)],
        (heads, len(rows), 1),
    )
    assert_close(gpu[3], twin[3])
