"""Queries, keys and values, and attention over the cache."""

import dataclasses

import numpy as np
import pytest
from compare import TOLERANCE
from stage import Stage

from leadout import ops
from leadout.kv_cache import KvCache

EPS = 1e-6

#: Half-precision caches may round a value at the border the other way: one unit in the last place.
F16_TOLERANCE = 1e-3

# Query heads, kv heads, values a head.
HEADS = [(4, 1, 256), (2, 2, 64), (8, 1, 512), (3, 1, 8)]


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def a_cache(kv_heads: int, dim: int, window: int, capacity: int, dtype: str = "f32") -> KvCache:
    return KvCache("kv", 2, kv_heads, dim, window, capacity, dtype)


@pytest.mark.parametrize(
    ("heads", "kv_heads", "dim", "dtype"),
    [(*heads, "f32") for heads in HEADS] + [(*heads, "f16") for heads in HEADS[:1]],
)
@pytest.mark.parametrize(
    ("has_values", "norm_values"), [(True, False), (True, True), (False, True)]
)
def test_norm_rope_and_cache_at_small_and_large_positions(
    run_stage, heads, kv_heads, dim, dtype, has_values, norm_values
) -> None:
    stage = Stage()
    # A ring: position 100,000 has a slot too. The last row is padding and writes nothing.
    rows = stage.rows([(0, 0, 9, True), (1, 77, 9, True), (0, 100_000, 9, True), (1, 5, 9, False)])
    x = stage.tensor("x", normal(dim, 4, heads + (2 if has_values else 1) * kv_heads, dim))
    q_norm, k_norm = (stage.vector(name, normal(len(name), dim)) for name in ("q", "k_norm"))
    inv_freq = (10_000.0 ** (-np.arange(dim // 2) * 2 / dim)).astype(np.float32)
    inv_freq[3 * dim // 8 :] = 0.0  # a tail that is not turned
    inv_freq = stage.tensor("inv_freq", inv_freq)
    cache = stage.cache(a_cache(kv_heads, dim, 64, 128, dtype))
    y = stage.output("y", 4, heads, dim)
    first_value = heads + (kv_heads if has_values else 0)
    stage.add(
        ops.WriteKv("w", x, k_norm, inv_freq, cache, rows, heads, first_value, EPS, norm_values)
    )
    stage.add(ops.NormRope("q", x, q_norm, inv_freq, rows, y, EPS))
    played = run_stage(stage)
    played.assert_close(y)
    for name in (cache.keys.buffer, cache.values.buffer):
        gpu, wanted = played.gpu[name], played.numpy[name]
        written = wanted != stage.contents[name]
        assert np.array_equal(written, gpu != stage.contents[name])
        a, b = (
            words[written].view(np.float16 if dtype == "f16" else np.float32)
            for words in (gpu, wanted)
        )
        difference = np.abs(a.astype(np.float32) - b.astype(np.float32)).max()
        assert difference <= (F16_TOLERANCE if dtype == "f16" else 2e-5) * np.abs(b).max()


@pytest.mark.parametrize(("heads", "dim"), [(4, 256), (1, 8), (3, 512)])
def test_queries_alone_with_a_tail_that_is_not_turned(run_stage, heads, dim) -> None:
    stage = Stage()
    rows = stage.rows([(0, 0, 9, True), (1, 77, 9, True), (0, 100_000, 9, True), (1, 5, 9, False)])
    inv_freq = (1e6 ** (-np.arange(dim // 2) * 2 / dim)).astype(np.float32)
    inv_freq[dim // 8 :] = 0.0
    x, weight = stage.tensor("x", normal(dim, 4, heads, dim)), stage.vector("w", normal(1, dim))
    y = stage.output("y", 4, heads, dim)
    stage.add(ops.NormRope("q", x, weight, stage.tensor("f", inv_freq), rows, y, EPS))
    run_stage(stage, takes=["q_norm_rope"]).assert_close(y)


# Query heads, kv heads, values a head, window, capacity, behind.
CASES = [
    (4, 1, 256, 0, 256, 0),
    (4, 2, 32, 70, 192, 0),
    (8, 1, 512, 5, 64, 1),
    (3, 1, 8, 512, 640, 0),
    (8, 2, 32, 0, 320, 1),
    (8, 1, 32, 102, 192, 1),
]

#: For a cache of halves, each number of heads that share a workgroup, and the largest heads.
CASES_AND_DTYPES = [(case, "f32") for case in CASES] + [(case, "f16") for case in CASES[1:4]]


def attending(
    case, dtype, positions, *, prefill=False, has_norm=True, writes=False
) -> tuple[Stage, ops.Attention]:
    """Return a stage of rows (lane, position, is_valid) that attend to a full cache."""
    heads, kv_heads, dim, window, capacity, behind = case
    stage = Stage()
    rows = [(lane, position, 0, valid) for lane, position, valid in positions]
    rows = stage.rows(rows, prefill=prefill)
    cache = stage.cache(a_cache(kv_heads, dim, window, capacity, dtype), seed=heads)
    x = stage.tensor("x", normal(dim, rows.count, heads + 2 * kv_heads, dim))
    inv_freq = (10_000.0 ** (-np.arange(dim // 2) * 2 / dim)).astype(np.float32)
    inv_freq = stage.tensor("inv_freq", inv_freq)
    if writes:
        k_norm = stage.vector("k_norm", normal(4, dim))
        places = heads, heads + kv_heads
        stage.add(ops.WriteKv("w", x, k_norm, inv_freq, cache, rows, *places, EPS, True))
    if has_norm:
        q = stage.output("q", rows.count, heads, dim)
        q_norm = stage.vector("q_norm", normal(3, dim))
        stage.add(ops.NormRope("n", x, q_norm, inv_freq, rows, q, EPS))
    else:
        q = stage.tensor("q", normal(dim, rows.count, heads, dim))
    y = stage.output("y", rows.count, heads, dim)
    op = ops.Attention("a", q, cache, rows, y, dim**-0.5, behind, window)
    stage.add(op)
    return stage, op


def few_rows(case) -> tuple[list[tuple[int, int, bool]], int]:
    """Return rows of two lanes, the neighbours longer and shorter, and the last position."""
    _, _, _, window, capacity, _ = case
    last = 1000 if window else capacity - 1
    rows = [(1, 1, True), (1, 63, True), (0, 64, True), (1, last, True), (0, 9, False)]
    return [*rows, (0, 17, True), (0, 18, True), (1, 0, False)], last


@pytest.mark.parametrize(("case", "dtype"), CASES_AND_DTYPES)
def test_few_rows_of_lanes_longer_and_shorter(run_stage, case, dtype) -> None:
    rows, last = few_rows(case)
    stage, op = attending(case, dtype, rows)
    # More positions than any row sees do no harm.
    for more in (0, 200) if dtype == "f32" else (0,):
        played = run_stage(stage, num_positions=last + 1 + more, takes=["attention_segments"])
        played.assert_close(op.y)


@pytest.mark.parametrize(("case", "dtype"), CASES_AND_DTYPES)
def test_few_rows_on_a_software_adapter(run_stage, case, dtype) -> None:
    rows, _ = few_rows(case)
    stage, op = attending(case, dtype, rows)
    run_stage(stage, is_software=True, takes=["q_norm_rope", "solo_attention"]).assert_close(op.y)


def test_queries_that_are_ready_have_a_kernel_too(run_stage) -> None:
    stage, op = attending(CASES[1], "f32", few_rows(CASES[1])[0], has_norm=False)
    run_stage(stage, takes=["solo_attention"]).assert_close(op.y)


@pytest.mark.parametrize(
    ("case", "dtype"), [(case, "f16" if case in CASES[1:4:2] else "f32") for case in CASES]
)
def test_rows_write_their_keys_and_attend_to_them(run_stage, case, dtype) -> None:
    """A verify pass: rows one behind the other, across the border of a tile."""
    rows = [(0, 62 + i, True) for i in range(3)] if case[4] > 64 else [(0, 5, True)]
    stage, op = attending(case, dtype, rows, writes=True)
    played = run_stage(stage, num_positions=65, takes=["write_and_attend"])
    played.assert_close(op.y, tolerance=F16_TOLERANCE if dtype == "f16" else TOLERANCE)


# Segments of 32, 64, 128 and 192 positions, through a window of 64 and of 32.
LONG_CASES = [
    ((2, 1, 8, 0, 17_024, 0), [4095, 4096, 8192, 16_384]),
    ((1, 1, 8, 4200, 8192, 1), [4150, 4199, 8191]),
]


@pytest.mark.parametrize(("case", "positions"), LONG_CASES)
def test_long_contexts_are_cut_into_longer_segments(run_stage, case, positions) -> None:
    stage, op = attending(case, "f32", [(0, position, True) for position in positions])
    run_stage(stage, num_positions=positions[-1] + 1).assert_close(op.y)


@pytest.mark.parametrize("case", CASES)
def test_a_row_has_the_same_bits_whatever_runs_beside_it(run_stage, case) -> None:
    _, _, _, window, capacity, _ = case
    last = 1000 if window else capacity - 1
    rows = [(0, 40, True), (1, last, True), (0, 41, True), (1, 30, True)]
    rows += [(0, last, True), (1, 31, True), (0, 1, True), (1, 2, True)]
    stage, op = attending(case, "f32", rows)
    together = run_stage(stage, num_positions=last + 1).integers(op.y)
    for count in (1, 2, 4):
        part, few = attending(case, "f32", rows[:count])
        part.contents["x"] = stage.contents["x"][: part.contents["x"].size]
        alone = run_stage(part, num_positions=max(row[1] for row in rows[:count]) + 1)
        assert np.array_equal(alone.integers(few.y), together[:count])


def test_many_rows_go_through_the_scratch_in_turns(run_stage, monkeypatch) -> None:
    rows, last = few_rows(CASES[1])
    stage, op = attending(CASES[1], "f32", rows)
    at_once = run_stage(stage, num_positions=last + 1).integers(op.y)
    monkeypatch.setattr("leadout.lowering.attention.PARTS_BYTES", 3 * 4 * 4 * 4 * 32)
    in_turns = run_stage(stage, num_positions=last + 1).integers(op.y)
    assert np.array_equal(in_turns, at_once)


@pytest.mark.parametrize(("case", "dtype"), CASES_AND_DTYPES)
@pytest.mark.parametrize("is_software", [False, True])
def test_a_prefill_pass_padded_in_front(run_stage, case, dtype, is_software) -> None:
    _, _, _, window, capacity, _ = case
    first = 980 if window else capacity - 40
    rows = [(1, 0, False)] * 3 + [(1, first + i, True) for i in range(29)]
    if first < 2:
        rows = [(1, 0, False)] * 20 + [(1, 1 + i, True) for i in range(12)]
    stage, op = attending(case, dtype, rows, prefill=True)
    takes = ["q_norm_rope", "solo_attention" if is_software else "attention_prefill"]
    run_stage(stage, is_software=is_software, takes=takes).assert_close(op.y)


def test_rows_that_are_not_valid_give_zeros(run_stage) -> None:
    for prefill in (False, True):
        rows = [(0, 5, False)] * (31 if prefill else 3) + [(0, 20, True)]
        stage, op = attending(CASES[1], "f32", rows, prefill=prefill)
        y = run_stage(stage, num_positions=21).floats(op.y)
        assert not y[:-1].any()
        assert y[-1].any()


def test_what_lies_beyond_a_row_does_not_count(run_stage) -> None:
    """Keys of rejected drafts, or of another text: even infinities."""
    stage, op = attending(CASES[1], "f32", [(0, 20, True)])
    wanted = run_stage(stage, num_positions=21).integers(op.y)
    keys = stage.contents[op.cache.keys.buffer].view(np.float32)
    keys.reshape(2, 2, 3, -1, 64, 4)[0, :, 0, :, 21:] = np.inf
    values = stage.contents[op.cache.values.buffer].view(np.float32)
    values.reshape(2, 2, 3, 64, -1)[0, :, 0, 21:] = np.nan
    assert np.array_equal(run_stage(stage, num_positions=21).integers(op.y), wanted)


@pytest.mark.parametrize("case", [case for case in CASES if case[2] % 32 == 0])
def test_the_layer_behind_attention_reads_packed_rows(run_stage, case) -> None:
    heads, _, dim, *_, behind = case
    rows, last = few_rows(case)
    # The layer compiles for 8 rows many times as long as for 2: one that adds in several turns.
    rows = rows if dim == 512 else rows[2:4]
    stage, op = attending(case, "f32", rows, writes=not behind)
    flat = dataclasses.replace(op.y, shape=(len(rows), heads * dim))
    y = stage.output("out", len(rows), 20)
    stage.add(ops.Linear("o", stage.linear("w", "q4_scale", 20, heads * dim), flat, op.rows, y))
    takes = ["attend_linear" if behind else "write_attend_linear"]
    run_stage(stage, num_positions=last + 1, takes=takes).assert_close(y, tolerance=4e-4)
