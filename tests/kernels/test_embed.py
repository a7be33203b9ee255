import pytest
from compare import assert_close, poison, random_planes, row_table, run_both

from leadout.layouts import LAYOUTS


@pytest.mark.parametrize("layout", LAYOUTS)
def test_embed_equals_its_twin_and_leaves_other_shards_rows_alone(run_kernel, layout) -> None:
    n, k, stride = 20, 256, 320
    # Tokens 100 to 119 lie in this shard.
    rows = row_table([(0, 0, 100, True), (0, 1, 99, True), (0, 2, 119, True), (0, 3, 120, True)])
    constants = {"K": k, "N": n, "FIRST": 100, "SCALE": 16.5, "OUT_STRIDE": stride}
    bindings = [*random_planes(layout, n, k), rows, poison(len(rows), stride)]
    gpu, twin = run_both(run_kernel, f"embed.{layout}", constants, bindings, (1, len(rows), 1))
    assert_close(gpu[-1], twin[-1])
