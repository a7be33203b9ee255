import numpy as np
from compare import run_both


def test_suppressed_ids_are_never_the_largest_and_others_keep_their_logits(run_kernel) -> None:
    logits = np.random.default_rng(0).standard_normal((2, 200)).astype(np.float32)
    ids = np.array([0, 7, 199], np.uint32)
    gpu, twin = run_both(run_kernel, "suppress", {"V": 200, "COUNT": 3}, [ids, logits], (1, 2, 1))
    assert np.array_equal(gpu[1], twin[1])
    after = gpu[1].view(np.float32).reshape(2, 200)
    assert (after[:, ids] < -3e38).all()
    others = np.delete(np.arange(200), ids)
    assert np.array_equal(after[:, others], logits[:, others])
