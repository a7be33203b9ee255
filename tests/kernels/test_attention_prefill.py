"""attention_prefill and attention_merge, one behind the other, against attention in float64."""

import numpy as np
import pytest
from compare import POISON, poison, row_table

from leadout.ops.attention import ATTENDING

SPLITS = 3

#: Relative to a row's largest value; 1.2e-6 was seen.
TOLERANCE = 1e-5

# heads, kv heads, dim, window, capacity, first position, rows, of which are padding in front
CASES = [
    (8, 1, 256, 512, 640, 1000, 11, 2),
    (8, 1, 512, 0, 320, 250, 9, 0),
    (8, 2, 256, 70, 192, 0, 21, 4),
    (4, 2, 64, 0, 192, 60, 70, 33),
    (3, 1, 8, 5, 64, 40, 24, 0),
    (1, 1, 40, 0, 128, 0, 5, 0),
]


def prefill_rows(lane: int, start: int, count: int, padding: int) -> np.ndarray:
    """Return a row table as state.pack_rows makes it."""
    valid = [(lane, start + i, 7, True) for i in range(count - padding)]
    return row_table([(0, 0, 0, False)] * padding + valid)


def reference(q, keys, values, rows, kv_heads, window, capacity, scale):
    """Return attention of [rows, heads, dim], row by row, in float64."""
    _, heads, dim = q.shape
    quads, tiles = dim // 4, capacity // 64
    keys = keys.reshape(-1, kv_heads, tiles, quads, 64, 4).transpose(0, 1, 2, 4, 3, 5)
    keys = keys.reshape(-1, kv_heads, capacity, dim).astype(np.float64)
    values = values.reshape(-1, kv_heads, capacity, dim).astype(np.float64)
    out = np.zeros(q.shape)
    for r, (lane, position, _, flags) in enumerate(rows.tolist()):
        if flags & 1:
            first = max(0, position + 1 - window) if window else 0
            slots = np.arange(first, position + 1) % capacity
            for h in range(heads):
                g = h // (heads // kv_heads)
                scores = scale * (keys[lane, g, slots] @ q[r, h].astype(np.float64))
                p = np.exp(scores - scores.max())
                out[r, h] = p @ values[lane, g, slots] / p.sum()
    return out


def inputs(case, dtype, rows):
    heads, kv_heads, dim, _, capacity, *_ = case
    rng = np.random.default_rng(dim)
    q = rng.standard_normal((len(rows), heads, dim)).astype(np.float32)
    caches = rng.standard_normal((2, 2 * kv_heads * capacity * dim))
    return q, caches.astype(np.float32 if dtype == "f32" else np.float16)


def run(run_kernel, case, dtype, q, caches, rows):
    """Return [rows, heads, dim] words as the two kernels left them."""
    heads, kv_heads, dim, window, capacity, *_ = case
    data = ATTENDING.pack(heads, kv_heads, dim, window, 0, capacity, SPLITS, dim**-0.5)
    attending = np.frombuffer(data, np.uint32)
    part_o, part_ml = poison(len(rows), heads, SPLITS, dim), poison(len(rows), heads, SPLITS, 2)
    size = 256 if dim <= 256 else 512
    blocks = -(-len(rows) * (heads // kv_heads) // 32)
    after = run_kernel(
        f"attention_prefill.{size}.{dtype}",
        {},
        [q, rows, caches[0], caches[1], part_o, part_ml, attending],
        (SPLITS, blocks, kv_heads),
    )
    merged = [after[4], after[5], rows, poison(len(rows), heads, dim), attending]
    o = run_kernel("attention_merge", {}, merged, (heads, len(rows), 1))[3]
    return o.reshape(len(rows), heads, dim)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_blocks_of_rows_attend_to_what_each_row_sees(run_kernel, case, dtype) -> None:
    _, kv_heads, dim, window, capacity, start, count, padding = case
    rows = prefill_rows(1, start, count, padding)
    q, caches = inputs(case, dtype, rows)
    o = run(run_kernel, case, dtype, q, caches, rows)
    assert not (o == POISON).any()
    want = reference(q, caches[0], caches[1], rows, kv_heads, window, capacity, dim**-0.5)
    assert (o[:padding] == 0).all()
    largest = np.abs(want).max(axis=-1, keepdims=True)
    assert (np.abs(o.view(np.float32) - want) <= TOLERANCE * largest).all()


@pytest.mark.parametrize("case", [CASES[0], CASES[3]])
def test_a_rows_bits_do_not_depend_on_the_rows_beside_it(run_kernel, case) -> None:
    start, count, padding = case[5:]
    rows = prefill_rows(1, start, count, padding)
    q, caches = inputs(case, "f32", rows)
    o = run(run_kernel, case, "f32", q, caches, rows)
    alone = run(run_kernel, case, "f32", q[-3:], caches, rows[-3:])
    assert np.array_equal(alone, o[-3:])


def test_what_no_row_sees_is_not_used(run_kernel) -> None:
    case = (4, 1, 64, 100, 256, 130, 16, 3)
    rows = prefill_rows(0, 130, 16, 3)
    q, caches = inputs(case, "f32", rows)
    before = run(run_kernel, case, "f32", q, caches, rows)
    unseen = np.r_[0 : 130 - 99, 143:256]
    keys = caches[0].reshape(2, 4, 16, 64, 4)
    keys[:, unseen // 64, :, unseen % 64] = np.nan
    caches[1].reshape(2, 256, 64)[:, unseen] = np.nan
    assert np.array_equal(run(run_kernel, case, "f32", q, caches, rows), before)
