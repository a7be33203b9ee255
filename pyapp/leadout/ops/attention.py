"""Queries, keys and values, and attention over the cache."""

from __future__ import annotations

import struct

from leadout.kv_cache import TILE, KvCache, tiles_of_window
from leadout.layouts import Vector
from leadout.ops.grid import activations
from leadout.plan import Binding, PlanBuilder
from leadout.rows import Rows

#: Layout of the struct in web/kernels/shared/attending.wgsl; keep in step.
ATTENDING = struct.Struct("<IIIIIIIf")


def qk_norm_rope(
    b: PlanBuilder,
    qkv: Binding,
    q_norm: Vector,
    k_norm: Vector,
    inv_freq: Binding,
    q: Binding,
    cache: KvCache,
    num_heads: int,
    rows: Rows,
    eps: float,
    label: str,
    *,
    has_values: bool = True,
    norm_values: bool = False,
) -> None:
    """Norm and turn queries and keys; keys and values go to the cache.

    Args:
        b: gets the dispatch.
        qkv: [rows, queries | keys | values] float32, without values when `has_values` is false.
        q_norm: weight of the queries' norm.
        k_norm: weight of the keys' norm.
        inv_freq: [head_dim / 2] float32, the angle per position of each pair.
        q: [rows, num_heads, head_dim] float32, the result.
        cache: of the layer.
        num_heads: query heads.
        rows: of the pass.
        eps: of the norms.
        label: for profiles.
        has_values: false where the keys, as they are before norm and rope, are the values too.
        norm_values: values get a norm without weight.
    """
    kv_heads = cache.num_key_value_heads
    b.dispatch(
        f"qk_norm_rope.{cache.dtype}",
        {
            "HEADS": num_heads,
            "KV_HEADS": kv_heads,
            "D": cache.head_dim,
            "EPS": eps,
            "CAPACITY": cache.capacity,
            "IN_HEADS": num_heads + (2 if has_values else 1) * kv_heads,
            "FIRST_VALUE": num_heads + (kv_heads if has_values else 0),
            "NORM_VALUES": int(norm_values),
        },
        [
            qkv,
            rows.table,
            q_norm.binding,
            k_norm.binding,
            inv_freq,
            q,
            cache.keys,
            cache.values,
        ],
        (num_heads + 2 * kv_heads, rows.count, 1),
        label,
    )


def q_norm_rope(
    b: PlanBuilder,
    x: Binding,
    q_norm: Vector,
    inv_freq: Binding,
    q: Binding,
    num_heads: int,
    rows: Rows,
    eps: float,
    label: str,
) -> None:
    """Norm and turn queries, for a layer that reads another one's cache."""
    b.dispatch(
        "q_norm_rope",
        {"HEADS": num_heads, "D": q_norm.length, "EPS": eps},
        [x, rows.table, q_norm.binding, inv_freq, q],
        (num_heads, rows.count, 1),
        label,
    )


def attention(
    b: PlanBuilder,
    q: Binding,
    cache: KvCache,
    o: Binding,
    num_heads: int,
    scale: float,
    rows: Rows,
    label: str,
    *,
    behind: int = 0,
    window: int | None = None,
) -> None:
    """o[r] = attention of row r's queries over the cache.

    In prefill a workgroup takes a row; few rows are spread over workgroups by tiles of the cache,
    which needs the plan's param "kv_tiles".

    Args:
        b: gets the dispatches.
        q: [rows, num_heads, head_dim] float32.
        cache: to read.
        o: [rows, num_heads, head_dim] float32.
        num_heads: query heads.
        scale: of the scores.
        rows: of the pass.
        label: for profiles.
        behind: the last visible position is the row's own minus this.
        window: the first visible position is the row's own + 1 - window; None: as the cache says,
            0: position 0.
    """
    window = cache.window if window is None else window
    group = num_heads // cache.num_key_value_heads
    shared_heads = next(heads for heads in (4, 2, 1) if group % heads == 0)
    slots = tiles_of_window(window) if window else cache.capacity // TILE
    attending = b.uniforms.binding(
        ATTENDING.pack(
            num_heads,
            cache.num_key_value_heads,
            cache.head_dim,
            window,
            behind,
            cache.capacity,
            slots,
            scale,
        )
    )
    inputs = [q, rows.table, cache.keys, cache.values]
    head_groups = num_heads // shared_heads
    if rows.is_prefill:
        variant = f"attention.rows.{shared_heads}.{cache.dtype}"
        b.dispatch(variant, {}, [*inputs, o, attending], (1, head_groups, rows.count), label)
        return
    part_o = activations(b, "part_o", rows.count * num_heads * slots, cache.head_dim)
    part_ml = activations(b, "part_ml", rows.count * num_heads * slots, 2)
    b.dispatch(
        f"attention.tiles.{shared_heads}.{cache.dtype}",
        {},
        [*inputs, part_o, part_ml, attending],
        (slots if window else "kv_tiles", head_groups, rows.count),
        label,
    )
    b.dispatch(
        "attention_combine",
        {},
        [part_o, part_ml, rows.table, o, attending],
        (num_heads, rows.count, 1),
        label + ".combine",
    )


def visible_tiles(position: int) -> int:
    """Return the value of the param "kv_tiles" for rows up to this position."""
    return position // TILE + 1
