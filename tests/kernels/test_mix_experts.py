import numpy as np
from compare import assert_close, poison, run_both


def test_mix_experts_equals_its_twin(run_kernel) -> None:
    rows, top, size = 3, 4, 300
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, top, size)).astype(np.float32)
    weights = rng.uniform(0, 1, (rows, top)).astype(np.float32)
    bindings = [x, weights, poison(rows, size)]
    gpu, twin = run_both(run_kernel, "mix_experts", {"D": size, "TOP": top}, bindings, (2, rows, 1))
    assert_close(gpu[2], twin[2])
