"""Kernels for queries, keys and values, and for attention over the cache."""

from __future__ import annotations

import struct

from leadout import ops
from leadout.lowering.builder import PlanBuilder, ceil
from leadout.lowering.kernel import Run, kernel
from leadout.ops import Tensor
from leadout.plan import Param

#: Layout of the struct in web/kernels/shared/attending.wgsl; keep in step.
ATTENDING = struct.Struct("<IIIIIIIfI")

#: Layout of the struct in web/kernels/shared/segments.wgsl; keep in step.
DECODING = struct.Struct("<IIIIIIIIffI")

#: The most bytes of scratch for what segments leave; more rows go through several dispatches.
PARTS_BYTES = 64 << 20

#: In how many parts the tiles of the cache are taken in prefill: blocks of 256 rows alone do not
#: fill a large GPU. On an NVIDIA H100, 256 rows at position 32,768 take 11.1 ms whole, 5.5 ms in
#: two parts or four (head_dim 512, 8 heads; tests/bench/LOG.md). A row's bits depend on it.
PREFILL_SPLITS = 2


def _share_queries(run: Run) -> bool:
    """Return whether keys, values and queries come of one projection, under one table."""
    write, norm = run.ops
    return bool(
        run.feeds(0, "x", 1, "x")
        and run.feeds(0, "inv_freq", 1, "inv_freq")
        and run.feeds(0, "eps", 1, "eps")
        and write.first_key == norm.y.shape[1]
    )


@kernel(ops.WriteKv, ops.NormRope, when=_share_queries)
def qk_norm_rope(b: PlanBuilder, write: ops.WriteKv, norm: ops.NormRope) -> None:
    """A workgroup a row and head, of queries, keys or values."""
    cache, heads = write.cache, norm.y.shape[1]
    b.dispatch(
        f"qk_norm_rope.{cache.dtype}.{b.caps.norm_threads}",
        [
            write.x,
            write.rows.table,
            norm.weight.binding,
            write.k_norm.binding,
            write.inv_freq,
            norm.y,
            cache.keys,
            cache.values,
        ],
        (heads + 2 * cache.num_key_value_heads, write.rows.count, 1),
        norm.label,
        {
            "HEADS": heads,
            "KV_HEADS": cache.num_key_value_heads,
            "D": cache.head_dim,
            "EPS": write.eps,
            "CAPACITY": cache.capacity,
            "IN_HEADS": write.x.shape[1],
            "FIRST_VALUE": write.first_value,
            "NORM_VALUES": int(write.norm_values),
        },
    )


@kernel(ops.WriteKv)
def kv_norm_rope(b: PlanBuilder, op: ops.WriteKv) -> None:
    """A workgroup a row and head, of keys or values."""
    cache = op.cache
    b.dispatch(
        f"kv_norm_rope.{cache.dtype}.{b.caps.norm_threads}",
        [op.x, op.rows.table, op.k_norm.binding, op.inv_freq, cache.keys, cache.values],
        (2 * cache.num_key_value_heads, op.rows.count, 1),
        op.label,
        {
            "KV_HEADS": cache.num_key_value_heads,
            "IN_HEADS": op.x.shape[1],
            "FIRST_KEY": op.first_key,
            "FIRST_VALUE": op.first_value,
            "NORM_VALUES": int(op.norm_values),
            "D": cache.head_dim,
            "EPS": op.eps,
            "CAPACITY": cache.capacity,
        },
    )


@kernel(ops.NormRope)
def q_norm_rope(b: PlanBuilder, op: ops.NormRope) -> None:
    """A workgroup a row and head."""
    _, heads, dim = op.y.shape
    b.dispatch(
        f"q_norm_rope.{b.caps.norm_threads}",
        [op.x, op.rows.table, op.weight.binding, op.inv_freq, op.y],
        (heads, op.rows.count, 1),
        op.label,
        {"HEADS": heads, "IN_HEADS": op.x.shape[1], "D": dim, "EPS": op.eps},
    )


def _shared_heads(op: ops.Attention) -> int:
    """Return how many query heads a workgroup takes, all of one kv head."""
    group = op.q.shape[1] // op.cache.num_key_value_heads
    return next(heads for heads in (4, 2, 1) if group % heads == 0)


@kernel(ops.Attention, when=lambda run: run.ops[0].rows.is_prefill and not run.caps.is_software)
def attention_prefill(b: PlanBuilder, op: ops.Attention) -> None:
    """Many rows: a workgroup a block of them and a part of the cache's tiles."""
    cache, (rows, heads, dim) = op.cache, op.q.shape
    variant = f"attention_prefill.{256 if dim <= 256 else 512}.{cache.dtype}"
    part_o = b.scratch("prefill_o", rows, heads, PREFILL_SPLITS, dim)
    part_ml = b.scratch("prefill_ml", rows, heads, PREFILL_SPLITS, 2)
    attending = b.uniform(
        ATTENDING.pack(
            heads,
            cache.num_key_value_heads,
            dim,
            op.window,
            op.behind,
            cache.capacity,
            PREFILL_SPLITS,
            op.scale,
            op.reaches,
        )
    )
    queries = rows * heads // cache.num_key_value_heads
    blocks = b.groups(variant, queries, "BLOCK_QUERIES")
    b.dispatch(
        variant,
        [op.q, op.rows.table, cache.keys, cache.values, part_o, part_ml, attending],
        (PREFILL_SPLITS, blocks, cache.num_key_value_heads),
        op.label,
    )
    groups = b.groups("attention_merge", heads * dim // 4, "WORKGROUP_QUADS")
    b.dispatch(
        "attention_merge",
        [part_o, part_ml, op.rows.table, op.y, attending],
        (groups, rows, 1),
        op.label + ".merge",
    )


def decodes(run: Run) -> bool:
    """Return whether few rows' queries go through norm and rope straight into attention."""
    norm = next(op for op in run.ops if isinstance(op, ops.NormRope))
    attend = next(op for op in run.ops if isinstance(op, ops.Attention))
    return bool(
        not run.caps.is_software
        and not attend.rows.is_prefill
        and norm.y == attend.q
        and run.drops(norm.y)
    )


@kernel(ops.WriteKv, ops.NormRope, ops.Attention, when=decodes)
def write_and_attend(
    b: PlanBuilder, write: ops.WriteKv, norm: ops.NormRope, attend: ops.Attention
) -> None:
    """Few rows of a layer with a cache of its own."""
    kv_norm_rope(b, write)
    emit_segments(b, norm, attend)


@kernel(ops.NormRope, ops.Attention, when=decodes)
def attention_segments(b: PlanBuilder, norm: ops.NormRope, attend: ops.Attention) -> None:
    """Few rows: a workgroup a segment of the cache, and what they found added up."""
    emit_segments(b, norm, attend)


def emit_segments(
    b: PlanBuilder, norm: ops.NormRope, attend: ops.Attention, packed: Tensor | None = None
) -> None:
    """Append attention of few rows; its output is packed instead if there is memory for it."""
    cache, (_, num_heads, dim) = attend.cache, attend.q.shape
    heads = _shared_heads(attend)
    variant = f"attention_segments.{heads}.{cache.dtype}"
    smallest = b.caps.constant(variant, "SMALLEST_SEGMENT")
    most = b.caps.constant(variant, "MAX_SEGMENTS")
    segments: int | Param
    if attend.window:
        # One more where the window begins within a segment.
        segments = slots = min(ceil(attend.window - 1, smallest), most) + 1
    else:
        slots = min(ceil(cache.capacity, smallest), most)
        segments = Param("kv_segments", smallest, most=most)
    row_bytes = 4 * num_heads * slots * dim
    at_once = min(attend.rows.count, max(1, PARTS_BYTES // row_bytes))
    for first in range(0, attend.rows.count, at_once):
        count = min(at_once, attend.rows.count - first)
        part_o = b.scratch("part_o", count, num_heads, slots, dim)
        part_ml = b.scratch("part_ml", count, num_heads, slots, 2)
        decoding = b.uniform(
            DECODING.pack(
                num_heads,
                cache.num_key_value_heads,
                attend.window,
                attend.behind,
                cache.capacity,
                slots,
                norm.x.shape[1] * dim // 4,
                first,
                attend.scale,
                norm.eps,
                attend.reaches,
            )
        )
        b.dispatch(
            variant,
            [
                norm.x,
                attend.rows.table,
                cache.keys,
                cache.values,
                norm.weight.binding,
                norm.inv_freq,
                part_o,
                part_ml,
                decoding,
            ],
            (count * num_heads // heads, segments, 1),
            attend.label,
            {"D": dim},
        )
        combine = f"attention_combine.{'packed' if packed else 'plain'}"
        groups = b.groups(combine, dim // 4, "QUADS_OF_GROUP")
        b.dispatch(
            combine,
            [part_o, part_ml, attend.rows.table, packed or attend.y, decoding],
            (groups, num_heads, count),
            attend.label + ".combine",
            {"D": dim},
        )


@kernel(ops.Attention)
def solo_attention(b: PlanBuilder, op: ops.Attention) -> None:
    """A thread a row and head: on the CPU, and where nothing else fits."""
    cache, (rows, num_heads, dim) = op.cache, op.q.shape
    decoding = DECODING.pack(
        num_heads,
        cache.num_key_value_heads,
        op.window,
        op.behind,
        cache.capacity,
        0,
        num_heads * dim // 4,
        0,
        op.scale,
        0.0,
        op.reaches,
    )
    variant = f"solo_attention.{cache.dtype}"
    b.dispatch(
        variant,
        [op.q, op.rows.table, cache.keys, cache.values, op.y, b.uniform(decoding)],
        (b.groups(variant, num_heads), rows, 1),
        op.label,
    )
