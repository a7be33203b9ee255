import numpy as np
from compare import poison, run_both


def test_fill_keeps_and_sets_the_bits_it_was_told_to(run_kernel) -> None:
    constants = {"SEED": 9, "KEEP": 0x807FFFFF, "SET": 0x3C000000}
    gpu, twin = run_both(run_kernel, "fill", constants, [poison(6000)], (2, 1, 1))
    assert np.array_equal(gpu[0], twin[0])
    values = np.abs(gpu[0].view(np.float32))
    assert values.min() >= 2**-7
    assert values.max() < 2**-6
    assert len(np.unique(gpu[0])) > 5900
