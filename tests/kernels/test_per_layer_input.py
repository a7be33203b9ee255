import numpy as np
import pytest
from compare import assert_close, poison, run_both


@pytest.mark.parametrize(("size", "layers"), [(32, 3), (256, 5), (260, 1)])
def test_per_layer_input_equals_its_twin(run_kernel, size, layers) -> None:
    rows = 2
    rng = np.random.default_rng(size)
    projected, embedded = rng.standard_normal((2, rows, layers, size)).astype(np.float32)
    weight = rng.standard_normal(size).astype(np.float32)
    gpu, twin = run_both(
        run_kernel,
        "per_layer_input",
        {"D": size, "EPS": 1e-6, "SCALE": 0.02},
        [projected, embedded, weight, poison(rows, layers, size)],
        (layers, rows, 1),
    )
    assert_close(gpu[3], twin[3])
