import numpy as np
import pytest
from compare import poison


@pytest.mark.parametrize(
    ("rows", "top", "experts", "tile"), [(256, 8, 128, 16), (32, 2, 4, 16), (40, 3, 300, 8)]
)
def test_tiles_hold_every_pair_once_beside_its_expert(run_kernel, rows, top, experts, tile) -> None:
    rng = np.random.default_rng(rows)
    most = experts // 2 if experts > 4 else experts
    chosen = np.array([rng.permutation(most)[:top] for _ in range(rows)], np.uint32)
    num_tiles = chosen.size // tile + experts
    numbers = {"PAIRS": chosen.size, "EXPERTS": experts, "TILE": tile, "TILES": num_tiles}
    bindings = [chosen, poison(chosen.size), poison(num_tiles, 4)]
    _, order, tiles = run_kernel("expert_tiles", numbers, bindings, (1, 1, 1))

    assert np.array_equal(np.sort(order), np.arange(chosen.size))
    end, experts_seen = 0, []
    for expert, first, count, _ in tiles.reshape(-1, 4):
        if count == 0:
            continue
        assert first == end
        assert count <= tile
        assert (chosen.reshape(-1)[order[first : first + count]] == expert).all()
        end += count
        experts_seen.append(expert)
    assert end == chosen.size
    assert experts_seen == sorted(experts_seen)
    wanted = np.bincount(chosen.reshape(-1), minlength=experts)
    assert len(experts_seen) == (-(-wanted // tile)).sum(), "only an expert's last tile has room"
