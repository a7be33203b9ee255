import numpy as np
from compare import assert_close, poison, run_both


def test_gelu_mul_equals_its_twin_even_where_tanh_would_overflow(run_kernel) -> None:
    rows, size = 3, 70
    gate_up = np.random.default_rng(0).standard_normal((rows, 2 * size)).astype(np.float32)
    gate_up[0, :4] = [300.0, -300.0, 12.0, -12.0]
    gpu, twin = run_both(
        run_kernel, "gelu_mul", {"N": size}, [gate_up, poison(rows, size)], (2, rows, 1)
    )
    assert_close(gpu[1], twin[1])
