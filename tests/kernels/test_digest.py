import numpy as np
from compare import run_both


def digests(run_kernel, x: np.ndarray) -> np.ndarray:
    rows, size = x.shape
    bindings = [x, np.zeros((rows, 2), np.uint32)]
    gpu, twin = run_both(run_kernel, "digest", {"N": size}, bindings, (-(-size // 4096), rows, 1))
    assert np.array_equal(gpu[1], twin[1])
    return gpu[1].reshape(rows, 2)


def test_a_digest_tells_rows_apart_by_a_single_bit(run_kernel) -> None:
    x = np.random.default_rng(0).standard_normal((3, 5000)).astype(np.float32)
    x[1] = x[0]
    x[2] = x[0]
    x.view(np.uint32)[2, 4999] ^= 1
    result = digests(run_kernel, x)
    assert np.array_equal(result[0], result[1])
    assert (result[0] != result[2]).all()


def test_a_digest_tells_exchanged_values_apart(run_kernel) -> None:
    x = np.random.default_rng(1).standard_normal((2, 64)).astype(np.float32)
    x[1] = x[0]
    x[1, [3, 4]] = x[1, [4, 3]]
    result = digests(run_kernel, x)
    assert (result[0] != result[1]).all()
