import numpy as np
from compare import assert_close, poison, run_both


def test_gelu_times_equals_its_twin_on_a_layers_columns(run_kernel) -> None:
    rows, size, stride, offset = 3, 70, 300, 140
    rng = np.random.default_rng(0)
    x = 4 * rng.standard_normal((rows, size)).astype(np.float32)
    x[0, :2] = [300.0, -300.0]
    factors = rng.standard_normal((rows, stride)).astype(np.float32)
    constants = {"N": size, "STRIDE": stride, "OFFSET": offset}
    gpu, twin = run_both(
        run_kernel, "gelu_times", constants, [x, factors, poison(rows, size)], (2, rows, 1)
    )
    assert_close(gpu[2], twin[2])
