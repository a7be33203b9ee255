"""Twins of suppress and of the kernels that choose; what a choice means.

`penalised`, `threshold_of` and `noisy` are the definition; choose_few computes all of it in one
dispatch, and so does the twin of choose_final. What the two kernels before choose_final leave for
it, it does not need, so their twins do nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leadout.devices.twins import Call, Floats, Words, twin
from leadout.sampling import SETTINGS_BYTES
from leadout.devices.twins.draft import put_draft
from leadout.state import AHEAD_BIT, ROW_VALID

MOST_NEGATIVE = np.float32(-3.4028234e38)

# Fields of the Settings struct; keep in step with web/kernels/shared/settings.wgsl.
_SETTINGS = np.dtype(
    [
        ("temperature", "<f4"),
        ("top_k", "<u4"),
        ("top_p", "<f4"),
        ("min_p", "<f4"),
        ("repetition_penalty", "<f4"),
        ("seed", "<u4"),
        ("reserved", "<u4", (2,)),
    ]
)
assert _SETTINGS.itemsize == SETTINGS_BYTES


def _seen(seen: Words, lane: int, vocab_size: int) -> npt.NDArray[np.bool_]:
    words = seen[lane * vocab_size // 32 : (lane + 1) * vocab_size // 32]
    return np.unpackbits(words.view(np.uint8), bitorder="little").astype(np.bool_)


@twin
def suppress(call: Call) -> None:
    """Take ids out of the choice."""
    logits = call.floats(1).reshape(-1, call.integer("V"))
    logits[:, call.bindings[0][: call.integer("COUNT")]] = MOST_NEGATIVE


def penalised(
    logits: Floats, ids: Words, rows: Words, penalties: Floats, seen: Words, vocab_size: int
) -> Floats:
    """Return logits with those of ids scaled that occur at or before the row's position."""
    logits = logits.copy()
    for r, (lane, position, _, _) in enumerate(rows.tolist()):
        penalty = penalties[lane]
        if penalty == 1.0:
            continue
        occurs = _seen(seen, lane, vocab_size)
        for other_lane, other_position, token, flags in rows.tolist():
            if other_lane == lane and other_position <= position and flags & ROW_VALID:
                occurs[token] = True
        row, here = logits[r], occurs[ids[r]]
        row[here] = np.where(row > 0, row / penalty, row * penalty)[here]
    return logits


def keys_of(values: Floats) -> Words:
    """Return unsigned keys in the order of the floats."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    flip = np.where(bits >> 31 == 1, np.uint32(0xFFFFFFFF), np.uint32(0x80000000))
    return bits ^ flip


def value_of(key: int) -> np.float32:
    """Return the float of a key."""
    bits = key ^ (0x80000000 if key >> 31 else 0xFFFFFFFF)
    return np.uint32(bits).view(np.float32)


def _select_key(keys: Words, weights: npt.NDArray[np.int64], wanted: np.float32) -> int:
    """Return the largest key t such that the weights of keys ≥ t add up to `wanted`."""
    remaining, prefix = np.float32(wanted), 0
    for shift in (24, 16, 8, 0):
        here = keys >> np.uint32(shift)
        inside = np.ones(len(keys), bool) if shift == 24 else (here >> np.uint32(8)) == prefix
        buckets = (here[inside] & np.uint32(255)).astype(np.int64)
        counts = np.bincount(buckets, minlength=256)
        high = np.bincount(buckets, weights=(weights[inside] >> 14), minlength=256)
        low = np.bincount(buckets, weights=(weights[inside] & 16383), minlength=256)
        totals = high.astype(np.float32) * np.float32(16384.0) + low.astype(np.float32)
        chosen = 0
        for bucket in range(255, -1, -1):
            if counts[bucket] == 0:
                continue
            chosen = bucket
            if totals[bucket] >= remaining:
                break
            remaining -= totals[bucket]
        prefix = (prefix << 8) | chosen
    return prefix


def _total(keys: Words, masses: npt.NDArray[np.int64]) -> np.float32:
    """Add up masses as the kernel does: per bucket of the key's top byte, from the top down."""
    buckets = (keys >> np.uint32(24)).astype(np.int64)
    high = np.bincount(buckets, weights=(masses >> 14), minlength=256).astype(np.float32)
    low = np.bincount(buckets, weights=(masses & 16383), minlength=256).astype(np.float32)
    total = np.float32(0.0)
    for bucket in range(255, -1, -1):
        total += high[bucket] * np.float32(16384.0) + low[bucket]
    return total


def threshold_of(row: Floats, wanted: np.void) -> np.float32:
    """Return the smallest logit of a row that top-k, top-p and min-p leave in the choice."""
    temperature = wanted["temperature"]
    has_top_k = 0 < wanted["top_k"] < len(row)
    has_top_p, has_min_p = wanted["top_p"] < 1.0, wanted["min_p"] > 0.0
    if temperature == 0.0 or not (has_top_k or has_top_p or has_min_p):
        return MOST_NEGATIVE
    keys, largest = keys_of(row), row.max()
    threshold = 0
    if has_top_k:
        threshold = _select_key(keys, np.ones(len(row), np.int64), np.float32(wanted["top_k"]))
    if has_top_p:
        inside = keys >= threshold
        shares = np.exp((row[inside] - largest) / temperature) * np.float32(2**27)
        masses = shares.astype(np.int64)
        share = wanted["top_p"] * _total(keys[inside], masses)
        threshold = _select_key(keys[inside], masses, share)
    if has_min_p:
        least = np.float32(largest + temperature * np.log(wanted["min_p"]))
        threshold = max(threshold, int(keys_of(np.array([least]))[0]))
    return value_of(threshold)


def mix(value: Words) -> Words:
    """Return the hash of every word; see web/kernels/shared/noise.wgsl."""
    h: Words = value ^ (value >> np.uint32(16))
    h = h * np.uint32(0x7FEB352D)
    h = h ^ (h >> np.uint32(15))
    h = h * np.uint32(0x846CA68B)
    h ^= h >> np.uint32(16)
    return h


def gumbel(seed: int, position: int, vocab_size: int) -> Floats:
    """Return the noise of every token id at a position; see web/kernels/shared/noise.wgsl."""
    with np.errstate(over="ignore"):
        start = np.array([seed], np.uint32) + np.uint32(0x9E3779B9)
        key = mix(mix(start) + np.uint32(position))
        hashes = mix(np.add(key, np.arange(vocab_size, dtype=np.uint32), dtype=np.uint32))
    one = np.float32(1.0)
    v: Floats = (hashes.astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-32)
    v = np.minimum(v, np.float32(0.99999994))
    series = v * (one + v * (np.float32(0.5) + v * (np.float32(0.33333334) + v * np.float32(0.25))))
    noise: Floats = -np.log(np.where(v < np.float32(0.015625), series, -np.log(one - v)))
    return noise


def noisy(row: Floats, ids: Words, wanted: np.void, row_table: Words, vocab_size: int) -> Floats:
    """Return what the largest of is chosen: the logits themselves, or with temperature and noise."""
    if wanted["temperature"] == 0.0:
        return row
    position = int(row_table[1]) + int(row_table[3] >> AHEAD_BIT) + 1
    noise = gumbel(int(wanted["seed"]), position, vocab_size)
    values: Floats = row / wanted["temperature"] + noise[ids]
    return values


def _choices(call: Call) -> Words:
    """Return the choice of every row; logits, rows, settings and seen are bound first."""
    vocab_size, count = call.integer("V"), call.integer("COUNT")
    rows, settings = call.bindings[1].reshape(-1, 4), call.bindings[2].view(_SETTINGS)
    ids = np.broadcast_to(np.arange(count, dtype=np.uint32), (len(rows), count))
    if call.args[0] == "mapped":
        ids = call.bindings[-1][: len(rows) * count].reshape(len(rows), count)
    logits = penalised(
        call.floats(0)[: ids.size].reshape(ids.shape), ids, rows,
        settings["repetition_penalty"], call.bindings[3], vocab_size,
    )  # fmt: skip
    choices = np.zeros(len(rows), np.uint32)
    for r, row in enumerate(logits):
        wanted = settings[rows[r, 0]]
        candidates = np.flatnonzero(row >= threshold_of(row, wanted))
        values = noisy(row, ids[r], wanted, rows[r], vocab_size)[candidates]
        choices[r] = ids[r, candidates[values == values.max()]].min()
    return choices


@twin
def choose_few(call: Call) -> None:
    """The choice of every row, perhaps placed as a draft."""
    choices = _choices(call)
    if call.args[1] == "place":
        drafts, capacity = call.bindings[5][:2].tolist()
        put_draft(
            choices[: call.workgroups[0]], call.bindings[1], call.bindings[4], drafts, capacity
        )
    else:
        call.bindings[4][: len(choices)] = choices


@twin
def choose_partial(call: Call) -> None:
    """Nothing that the twin of choose_final needs."""


@twin
def choose_collect(call: Call) -> None:
    """Nothing that the twin of choose_final needs."""


@twin
def choose_final(call: Call) -> None:
    """The choice of every row."""
    choices = _choices(call)
    call.bindings[6][: len(choices)] = choices
