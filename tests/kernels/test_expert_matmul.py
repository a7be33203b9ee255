import numpy as np
import pytest
from compare import assert_close, poison, random_planes, run_both, words

from leadout.devices.twins import Call, load_twins
from leadout.layouts import LAYOUTS

EXPERTS, TOP, TILE = 5, 2, 16


def tiles_of(chosen: np.ndarray) -> list[np.ndarray]:
    """Return tiles and order, as expert_tiles makes them."""
    num_tiles = chosen.size // TILE + EXPERTS
    numbers = {"PAIRS": chosen.size, "EXPERTS": EXPERTS, "TILE": TILE, "TILES": num_tiles}
    bindings = [words(chosen), words(poison(chosen.size)), words(poison(num_tiles, 4))]
    load_twins()["expert_tiles"](Call((), numbers, bindings))
    return [bindings[2], bindings[1]]


def choices(rows: int) -> np.ndarray:
    """Expert 0 is chosen by every row, 4 by none."""
    others = np.random.default_rng(3).integers(1, 4, rows)
    return np.stack([np.zeros(rows), others], axis=1).astype(np.uint32)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("epilogue", ["none", "gelu_mul"])
def test_expert_matmul_equals_its_twin_in_every_layout(run_kernel, layout, epilogue) -> None:
    is_gated = epilogue == "gelu_mul"
    rows, n = 33, 44
    k = 32 * 8 if "super" in layout else 32 * 5
    stride, offset = (n // 2, 0) if is_gated else (60, 5)
    numbers = {
        "K": k, "N": n, "FIRST": 0, "COUNT": EXPERTS * n, "TOP": TOP,
        "SHARED_INPUT": int(is_gated), "OUT_STRIDE": stride, "OUT_OFFSET": offset,
    }  # fmt: skip
    tiles, order = tiles_of(choices(rows))
    x = np.random.default_rng(1).standard_normal((rows * (1 if is_gated else TOP), k))
    planes = random_planes(layout, EXPERTS * n, k)
    bindings = [*planes, tiles, order, x.astype(np.float32), poison(rows * TOP, stride)]
    variant = f"expert_matmul.{layout}.{epilogue}"
    gpu, twin = run_both(run_kernel, variant, numbers, bindings, (1, len(tiles) // 4, 1))
    assert_close(gpu[-1], twin[-1])


def test_a_shard_writes_the_outputs_it_holds_and_no_others(run_kernel) -> None:
    """Rows 30 to 69 of 5 experts of 24 outputs: parts of experts 1 and 2, none of the others."""
    rows, k, n = 20, 64, 24
    numbers = {
        "K": k, "N": n, "FIRST": 30, "COUNT": 40, "TOP": TOP, "SHARED_INPUT": 1,
        "OUT_STRIDE": n, "OUT_OFFSET": 0,
    }  # fmt: skip
    tiles, order = tiles_of(choices(rows))
    x = np.random.default_rng(1).standard_normal((rows, k)).astype(np.float32)
    bindings = [*random_planes("f32", 40, k), tiles, order, x, poison(rows * TOP, n)]
    grid = (1, len(tiles) // 4, 1)
    gpu, twin = run_both(run_kernel, "expert_matmul.f32.none", numbers, bindings, grid)
    assert_close(gpu[-1], twin[-1])
