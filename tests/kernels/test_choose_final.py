import numpy as np
from compare import poison, run_both


def test_the_best_chunk_wins_empty_ones_never_and_ties_go_to_the_lowest_id(run_kernel) -> None:
    vocab, chunks = 1000, 4
    values = np.array(
        [[-5.0, -2.0, -2.0, -9.0], [0.0, -7.0, 0.0, -8.0], [1.0, 2.0, 3.0, 0.5]], np.float32
    )
    ids = np.array([[3, 40, 500, 900], [vocab, 50, vocab, 901], [1, 2, 600, 902]], np.uint32)
    best = np.stack([values.view(np.uint32), ids], axis=-1)
    gpu, twin = run_both(
        run_kernel, "choose_final", {"V": vocab, "CHUNKS": chunks}, [best, poison(3)], (3, 1, 1)
    )
    assert gpu[1].tolist() == twin[1].tolist() == [40, 50, 600]
