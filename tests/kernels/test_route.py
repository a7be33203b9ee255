import numpy as np
import pytest
from compare import assert_close, poison, run_both


@pytest.mark.parametrize(("experts", "top"), [(128, 8), (8, 2), (5, 5), (512, 64)])
def test_route_equals_its_twin(run_kernel, experts, top) -> None:
    rng = np.random.default_rng(experts)
    scores = (3 * rng.standard_normal((4, experts))).astype(np.float32)
    scores[1] = np.round(scores[1])  # ties
    scores[2] = 7.0  # all alike
    scale = rng.uniform(0.5, 2.0, experts).astype(np.float32)
    gpu, twin = run_both(
        run_kernel,
        "route",
        {"EXPERTS": experts, "TOP": top},
        [scores, scale, poison(4, top), poison(4, top)],
        (4, 1, 1),
    )
    assert np.array_equal(gpu[2], twin[2])
    assert_close(gpu[3], twin[3])
    assert gpu[2].reshape(4, top)[2].tolist() == list(range(top)), "of equals, the lower first"
