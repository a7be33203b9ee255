"""Queries, keys and values, and attention over the cache."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leadout import ops
from leadout.devices.numpy_ops import Floats, Memory, Words, meaning
from leadout.devices.numpy_ops.norm import normalize
from leadout.kv_cache import TILE, KvCache
from leadout.state import REACH_BIT, ROW_VALID

_DTYPES: dict[str, np.dtype[np.floating]] = {
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
}


def _views(
    cache: KvCache, memory: Memory
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """View the caches as [lane, kv head, tile, quad, position, 4] and [.., position, quad, 4]."""
    quads, tiles, dtype = cache.head_dim // 4, cache.capacity // TILE, _DTYPES[cache.dtype]
    keys, values = memory.view(cache.keys).view(dtype), memory.view(cache.values).view(dtype)
    return (
        keys.reshape(-1, cache.num_key_value_heads, tiles, quads, TILE, 4),
        values.reshape(-1, cache.num_key_value_heads, tiles, TILE, quads, 4),
    )


def _turned(x: Floats, rows: Words, inv_freq: Floats) -> Floats:
    """Turn [rows, heads, dim] by the rows' positions."""
    half = x.shape[-1] // 2
    angles = rows[:, 1].astype(np.float32)[:, None] * inv_freq
    cosines, sines = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
    low, high = x[..., :half], x[..., half:]
    return np.concatenate([low * cosines - high * sines, high * cosines + low * sines], -1)


@meaning(ops.NormRope)
def norm_rope(op: ops.NormRope, memory: Memory) -> None:
    """Norm and turn the first heads."""
    rows, y = memory.rows(op.rows), memory.floats(op.y)
    heads = memory.floats(op.x)[:, : y.shape[1]]
    normed = normalize(heads, op.eps) * memory.vector(op.weight)
    y[:] = _turned(normed, rows, memory.floats(op.inv_freq))


@meaning(ops.WriteKv)
def write_kv(op: ops.WriteKv, memory: Memory) -> None:
    """Norm and turn keys; write keys and values to the cache."""
    cache, x, rows = op.cache, memory.floats(op.x), memory.rows(op.rows)
    heads = cache.num_key_value_heads
    new_keys = x[:, op.first_key : op.first_key + heads]
    new_keys = normalize(new_keys, op.eps) * memory.vector(op.k_norm)
    new_keys = _turned(new_keys, rows, memory.floats(op.inv_freq))
    new_values = x[:, op.first_value : op.first_value + heads]
    if op.norm_values:
        new_values = normalize(new_values, op.eps)
    keys, values = _views(cache, memory)
    for r, (lane, position, _, flags) in enumerate(rows.tolist()):
        if flags & ROW_VALID:
            tile, slot = position % cache.capacity // TILE, position % TILE
            keys[lane, :, tile, :, slot] = new_keys[r].reshape(heads, -1, 4)
            values[lane, :, tile, slot] = new_values[r].reshape(heads, -1, 4)


@meaning(ops.Attention)
def attention(op: ops.Attention, memory: Memory) -> None:
    """Softmax attention of every row over its visible positions; of few rows, one by one."""
    cache, rows = op.cache, memory.rows(op.rows)
    q, y = memory.floats(op.q), memory.floats(op.y)
    y[:] = 0.0
    valid = [r for r in range(len(rows)) if rows[r, 3] & ROW_VALID]
    views = _views(cache, memory)
    if op.rows.is_prefill:
        groups = [[r for r in valid if rows[r, 0] == lane] for lane in {rows[r, 0] for r in valid}]
    else:
        groups = [[r] for r in valid]
    for mine in groups:
        y[mine] = _attend(op, q[mine], rows[mine], views)


def _attend(
    op: ops.Attention,
    q: Floats,
    rows: Words,
    views: tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]],
) -> Floats:
    """Return the attention of some rows of one lane together, [rows, heads, dim]."""
    kv_heads, (count, heads, dim) = op.cache.num_key_value_heads, q.shape
    positions = rows[:, 1].astype(np.int64)
    ends = positions + op.reaches * (rows[:, 3] >> REACH_BIT) - op.behind
    first = max(0, int(positions.min()) + 1 - op.window) if op.window else 0
    keys, values, where = _visible(views, int(rows[0, 0]), first, int(ends.max()))
    # [kv head, row * group, position]
    group = heads // kv_heads
    queries = q.reshape(count, kv_heads, group, dim).transpose(1, 0, 2, 3)
    scores = queries.reshape(kv_heads, -1, dim) @ keys.swapaxes(1, 2)
    scores = (np.float32(op.scale) * scores).reshape(kv_heads, count, group, -1)
    masked = where > ends[:, None]
    if op.window:
        masked = masked | (where <= positions[:, None] - op.window)
    np.copyto(scores, -np.inf, where=masked[None, :, None])
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    total = p.sum(axis=-1, keepdims=True)
    mixed = p.reshape(kv_heads, count * group, -1) @ values
    mixed = np.asarray(mixed.reshape(kv_heads, count, group, dim) / total, np.float32)
    return mixed.transpose(1, 0, 2, 3).reshape(count, heads, dim)


def _visible(
    views: tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]],
    lane: int,
    first: int,
    last: int,
) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Return the whole tiles that hold positions first to last of a lane.

    Returns:
        keys and values, [kv head, positions, dim] float32, and the positions, [positions];
        what lies outside of first to last is zero.
    """
    keys, values = views
    tiles = np.arange(first // TILE, last // TILE + 1)
    slots = tiles % keys.shape[2]
    shape = (keys.shape[1], len(tiles) * TILE, keys.shape[3] * 4)
    k = keys[lane][:, slots].transpose(0, 1, 3, 2, 4).reshape(shape).astype(np.float32)
    v = values[lane][:, slots].reshape(shape).astype(np.float32)
    where = (tiles[:, None] * TILE + np.arange(TILE)).ravel()
    outside = (where < first) | (where > last)
    k[:, outside] = 0.0
    v[:, outside] = 0.0
    return k, v, where
