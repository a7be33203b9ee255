"""Twins of qk_norm_rope, q_norm_rope, attention and attention_combine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leadout.devices.twins import Call, Floats, Words, twin
from leadout.devices.twins.norm import normalize
from leadout.kv_cache import TILE
from leadout.ops.attention import ATTENDING
from leadout.state import ROW_VALID

_DTYPES: dict[str, np.dtype[np.floating]] = {
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
}


@dataclass(frozen=True)
class Attending:
    """A layer's sizes, from the uniform behind the other bindings."""

    heads: int
    kv_heads: int
    dim: int
    window: int
    behind: int
    capacity: int
    slots: int
    scale: float


def _attending(call: Call) -> Attending:
    return Attending(*ATTENDING.unpack(call.bindings[-1].tobytes()))


def _caches(
    dtype: str, keys: Words, values: Words, kv_heads: int, dim: int, capacity: int
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """View the caches as [lane, kv head, tile, quad, position, 4] and [.., position, quad, 4]."""
    quads, tiles = dim // 4, capacity // TILE
    return (
        keys.view(_DTYPES[dtype]).reshape(-1, kv_heads, tiles, quads, TILE, 4),
        values.view(_DTYPES[dtype]).reshape(-1, kv_heads, tiles, TILE, quads, 4),
    )


def _turned(x: Floats, rows: Words, inv_freq: Floats) -> Floats:
    """Turn [rows, heads, dim] by the rows' positions."""
    half = x.shape[-1] // 2
    angles = rows[:, 1].astype(np.float32)[:, None] * inv_freq
    cosines, sines = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
    low, high = x[..., :half], x[..., half:]
    return np.concatenate([low * cosines - high * sines, high * cosines + low * sines], -1)


@twin
def q_norm_rope(call: Call) -> None:
    """Norm and turn queries."""
    heads, dim = call.integer("HEADS"), call.integer("D")
    rows = call.bindings[1].reshape(-1, 4)
    x = call.floats(0)[: len(rows) * heads * dim].reshape(len(rows), heads, dim)
    normed = normalize(x, call.number("EPS")) * call.floats(2)[:dim]
    call.floats(4)[: x.size] = _turned(normed, rows, call.floats(3)[: dim // 2]).ravel()


@twin
def qk_norm_rope(call: Call) -> None:
    """Norm and turn queries and keys; write keys and values to the cache."""
    heads, kv_heads, dim = call.integer("HEADS"), call.integer("KV_HEADS"), call.integer("D")
    eps, capacity = call.number("EPS"), call.integer("CAPACITY")
    rows = call.bindings[1].reshape(-1, 4)
    in_heads, first_value = call.integer("IN_HEADS"), call.integer("FIRST_VALUE")
    x = call.floats(0)[: len(rows) * in_heads * dim].reshape(len(rows), in_heads, dim)
    inv_freq = call.floats(4)[: dim // 2]
    queries = _turned(normalize(x[:, :heads], eps) * call.floats(2)[:dim], rows, inv_freq)
    call.floats(5)[: queries.size] = queries.ravel()
    new_keys = normalize(x[:, heads : heads + kv_heads], eps) * call.floats(3)[:dim]
    new_keys = _turned(new_keys, rows, inv_freq)
    new_values = x[:, first_value : first_value + kv_heads]
    if call.integer("NORM_VALUES", 0):
        new_values = normalize(new_values, eps)
    keys, values = _caches(
        call.args[0], call.bindings[6], call.bindings[7], kv_heads, dim, capacity
    )
    for r, (lane, position, _, flags) in enumerate(rows.tolist()):
        if flags & ROW_VALID:
            tile, slot = position % capacity // TILE, position % TILE
            keys[lane, :, tile, :, slot] = new_keys[r].reshape(kv_heads, -1, 4)
            values[lane, :, tile, slot] = new_values[r].reshape(kv_heads, -1, 4)


def _first_visible(position: int, window: int) -> int:
    return max(0, position + 1 - window) if window else 0


@twin
def attention(call: Call) -> None:
    """Softmax attention of every row over its visible positions."""
    mode, _, dtype = call.args
    layer = _attending(call)
    heads, kv_heads, dim, window = layer.heads, layer.kv_heads, layer.dim, layer.window
    behind, group, scale = layer.behind, heads // kv_heads, np.float32(layer.scale)
    rows = call.bindings[1].reshape(-1, 4)
    q = call.floats(0)[: len(rows) * heads * dim].reshape(-1, kv_heads, group, dim)
    caches = _caches(dtype, call.bindings[2], call.bindings[3], kv_heads, dim, layer.capacity)
    valid = [r for r in range(len(rows)) if rows[r, 3] & ROW_VALID]

    if mode == "rows":
        out = call.floats(4)[: q.size].reshape(q.shape)
        out[:] = 0.0
        for lane in {int(rows[r, 0]) for r in valid}:
            mine = [r for r in valid if rows[r, 0] == lane]
            positions = rows[mine, 1].astype(np.int64)
            first = _first_visible(int(positions.min()), window)
            keys, values, where = _visible(caches, lane, first, int(positions.max()) - behind)
            # [kv head, row * group, position]
            queries = q[mine].transpose(1, 0, 2, 3).reshape(kv_heads, -1, dim)
            scores = (scale * (queries @ keys.swapaxes(1, 2))).reshape(
                kv_heads, len(mine), group, -1
            )
            too_late = where > positions[:, None] - behind
            too_early = where <= positions[:, None] - window if window else False
            masked = np.broadcast_to((too_late | too_early)[None, :, None], scores.shape)
            scores[masked] = -np.inf
            p = np.exp(scores - scores.max(axis=-1, keepdims=True))
            total = p.sum(axis=-1, keepdims=True)
            mixed = p.reshape(kv_heads, len(mine) * group, -1) @ values
            mixed = mixed.reshape(kv_heads, len(mine), group, dim) / total
            out[mine] = mixed.transpose(1, 0, 2, 3)
        return

    slots = layer.slots
    part_o = call.floats(4)[: len(rows) * heads * slots * dim]
    part_o = part_o.reshape(len(rows), kv_heads, group, slots, dim)
    part_ml = call.floats(5)[: len(rows) * heads * slots * 2]
    part_ml = part_ml.reshape(len(rows), kv_heads, group, slots, 2)
    for r in valid:
        lane, position = int(rows[r, 0]), int(rows[r, 1])
        first = _first_visible(position, window)
        last = position - behind
        keys, values, where = _visible(caches, lane, first, last)
        tiles = len(where) // TILE
        scores = scale * (q[r] @ keys.swapaxes(1, 2))
        scores[..., (where < first) | (where > last)] = -np.inf
        scores = scores.reshape(kv_heads, group, tiles, TILE)
        m = scores.max(axis=-1, keepdims=True)
        p = np.exp(scores - m)
        per_tile = values.reshape(kv_heads, 1, tiles, TILE, dim)
        part_o[r, :, :, :tiles] = (p[..., None, :] @ per_tile)[..., 0, :]
        part_ml[r, :, :, :tiles, 0] = m[..., 0]
        part_ml[r, :, :, :tiles, 1] = p.sum(axis=-1)


def _visible(
    caches: tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]],
    lane: int,
    first: int,
    last: int,
) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Return the whole tiles that hold positions first to last of a lane.

    Returns:
        keys and values, [kv head, positions, dim] float32, and the positions, [positions];
        what lies outside of first to last is zero.
    """
    keys, values = caches
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


def _combine(weighted: Floats, m: Floats, total: Floats) -> Floats:
    """Add up tiles: weighted [..., tiles, dim], m and total [..., tiles]."""
    shrink = np.exp(m - m.max(axis=-1, keepdims=True))
    total = (shrink * total).sum(axis=-1, keepdims=True)
    return np.asarray((shrink[..., None] * weighted).sum(axis=-2) / total, dtype=np.float32)


@twin
def attention_combine(call: Call) -> None:
    """Add up what attention left per tile."""
    layer = _attending(call)
    heads, dim, slots = layer.heads, layer.dim, layer.slots
    rows = call.bindings[2].reshape(-1, 4)
    part_o = call.floats(0)[: len(rows) * heads * slots * dim].reshape(-1, heads, slots, dim)
    part_ml = call.floats(1)[: len(rows) * heads * slots * 2].reshape(-1, heads, slots, 2)
    out = call.floats(3)[: len(rows) * heads * dim].reshape(-1, heads, dim)
    for r, (_, position, _, flags) in enumerate(rows.tolist()):
        if flags & ROW_VALID:
            first = _first_visible(position, layer.window)
            tiles = (position - layer.behind) // TILE - first // TILE + 1
            ml = part_ml[r, :, :tiles]
            out[r] = _combine(part_o[r, :, :tiles], ml[..., 0], ml[..., 1])
        else:
            out[r] = 0.0
