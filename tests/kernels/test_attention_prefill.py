"""Blocks of prefill rows against tiles of the cache; test_attention.py has the general cases."""

import dataclasses

import numpy as np
import pytest
from stage import Stage
from test_attention import a_cache, normal

from leadout import ops
from leadout.state import REACH_BIT

# Query heads, kv heads, values a head, window, capacity, first position, rows, padding in front.
CASES = [
    (8, 1, 256, 512, 640, 1000, 32, 2),
    (8, 1, 512, 0, 320, 250, 32, 0),
    (8, 2, 256, 70, 192, 0, 32, 4),
    (4, 2, 64, 0, 192, 60, 96, 33),
    (3, 1, 8, 5, 64, 20, 32, 0),
    (1, 1, 40, 0, 128, 0, 32, 27),
]


def prefill(case, dtype: str = "f32", first: int = 0) -> tuple[Stage, ops.Attention]:
    """Return a stage of a pass as state.pack_rows makes it, from its row `first` on."""
    heads, kv_heads, dim, window, capacity, start, count, padding = case
    stage = Stage()
    rows = [(0, 0, 0, False)] * padding + [(1, start + i, 7, True) for i in range(count - padding)]
    rows = stage.rows(rows[first:], prefill=True)
    q = stage.tensor("q", normal(dim, count, heads, dim)[first:])
    cache = stage.cache(a_cache(kv_heads, dim, window, capacity, dtype), seed=heads)
    y = stage.output("y", count - first, heads, dim)
    op = ops.Attention("a", q, cache, rows, y, dim**-0.5, 0, window)
    stage.add(op)
    return stage, op


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_every_row_attends_to_what_it_sees(run_stage, case, dtype) -> None:
    stage, op = prefill(case, dtype)
    played = run_stage(stage, takes=["attention_prefill"])
    played.assert_close(op.y)
    assert not played.floats(op.y)[: case[-1]].any()


def test_a_rows_bits_do_not_depend_on_the_rows_beside_it(run_stage) -> None:
    case = (3, 1, 64, 70, 192, 300, 64, 0)
    stage, op = prefill(case)
    together = run_stage(stage).integers(op.y)
    part, few = prefill(case, first=32)
    assert np.array_equal(run_stage(part).integers(few.y), together[32:])


def test_what_no_row_sees_does_not_count(run_stage) -> None:
    case = (4, 1, 64, 100, 256, 130, 32, 3)
    stage, op = prefill(case)
    wanted = run_stage(stage).integers(op.y)
    unseen = np.r_[0 : 130 - 99, 130 + 29 : 256]
    keys = stage.contents[op.cache.keys.buffer].view(np.float32).reshape(2, 4, 16, 64, 4)
    keys[:, unseen // 64, :, unseen % 64] = np.nan
    stage.contents[op.cache.values.buffer].view(np.float32).reshape(2, 256, 64)[:, unseen] = np.nan
    assert np.array_equal(run_stage(stage).integers(op.y), wanted)


# Query heads, kv heads, values a head, window, capacity, first position, rows, padding in front.
@pytest.mark.parametrize("is_software", [False, True])
@pytest.mark.parametrize("reaches", [True, False])
@pytest.mark.parametrize(
    "case", [(4, 2, 64, 0, 320, 60, 96, 3), (4, 1, 64, 40, 192, 200, 64, 0)], ids=["full", "window"]
)
def test_rows_see_as_far_as_they_reach_in_layers_that_have_it_so(
    run_stage, case, reaches, is_software
) -> None:
    heads, kv_heads, dim, window, capacity, start, count, padding = case
    spans = ((padding + 2, padding + 9), (padding + 20, count - 3))  # over blocks of 8 or 16 rows
    stage = Stage()
    table = np.array([(1, start + i - padding, 7, i >= padding) for i in range(count)], np.uint32)
    for first, end in spans:
        table[first:end, 3] |= np.arange(end - first, dtype=np.uint32)[::-1] << REACH_BIT
    rows = stage.row_table(table, prefill=True)
    q = stage.tensor("q", normal(dim, count, heads, dim))
    cache = stage.cache(a_cache(kv_heads, dim, window, capacity), seed=heads)
    y = stage.output("y", count, heads, dim)
    stage.add(ops.Attention("a", q, cache, rows, y, dim**-0.5, 0, window, reaches))
    name = "solo_attention" if is_software else "attention_prefill"
    played = run_stage(stage, is_software=is_software, takes=[name])
    played.assert_close(y)
    blind = dataclasses.replace(stage.program.build().ops[0], reaches=False)
    plain = Stage()
    plain.contents = stage.contents
    plain.add(blind)
    unlike = played.floats(y) != run_stage(plain, is_software=is_software).floats(y)
    changed = {int(row) for row in np.nonzero(unlike.any(axis=(1, 2)))[0]}
    # The last row of a span reaches nowhere.
    assert changed == ({r for a, b in spans for r in range(a, b - 1)} if reaches else set())
