"""The choice of a token."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leadout import ops, sampling
from leadout.devices.numpy_ops import Floats, Memory, Words, meaning
from leadout.sampling import (
    BANNED,
    BIAS_PARTS,
    MASKS_FLAG,
    MOVES_FLAG,
    PENALTY_PARTS,
    SETTINGS_BYTES,
)
from leadout.state import AHEAD_BIT, MAX_COUNT, ROW_OF_DRAFTER, ROW_VALID, Tables

MOST_NEGATIVE = np.float32(-3.4028234e38)

# Keep in step with web/kernels/shared/candidates.wgsl.
BANNED_LOGIT = np.float32(-1e30)

# Fields of the Settings struct; keep in step with web/kernels/shared/settings.wgsl.
SETTINGS = np.dtype(
    [
        ("temperature", "<f4"),
        ("top_k", "<u4"),
        ("top_p", "<f4"),
        ("min_p", "<f4"),
        ("repetition_penalty", "<f4"),
        ("seed", "<u4"),
        ("presence_penalty", "<i2"),
        ("frequency_penalty", "<i2"),
        ("flags", "u1"),
        ("logprobs", "u1"),
        ("reserved", "u1", (2,)),
    ]
)
assert SETTINGS.itemsize == SETTINGS_BYTES


def _seen(seen: Words, lane: int, tables: Tables) -> tuple[npt.NDArray[np.bool_], Words]:
    """Return which ids occur in a lane's tokens, and the words of all ids."""
    start, num_bits = lane * tables.seen_bytes // 4, tables.moves_offset // 4
    bits = seen[start : start + num_bits].view(np.uint8)
    words = seen[start + num_bits : start + tables.masks_offset // 4]
    return np.unpackbits(bits, bitorder="little").astype(np.bool_), words


def _mask(row: Words, seen: Words, tables: Tables) -> npt.NDArray[np.bool_]:
    """Return which ids may stand behind a row."""
    start = tables.mask_offset(int(row[0]), int(row[1]) + 1) // 4
    bits = seen[start : start + tables.mask_bytes // 4].view(np.uint8)
    return np.unpackbits(bits, bitorder="little").astype(np.bool_)


@meaning(ops.Suppress)
def suppress(op: ops.Suppress, memory: Memory) -> None:
    """Take ids out of the choice."""
    memory.floats(op.logits)[:, memory.words(op.ids)] = MOST_NEGATIVE


@meaning(ops.Choose)
def choose(op: ops.Choose, memory: Memory) -> None:
    """Penalise, move, filter, add noise, take the best; of equals, the lowest id."""
    vocab_size, rows = op.tables.vocab_size, memory.rows(op.rows)
    settings = memory.view(sampling.settings(op.tables.num_lanes)).view(SETTINGS)
    logits, choices = memory.floats(op.logits), memory.words(op.y)
    for r, raw in enumerate(logits):
        row, wanted = raw, settings[rows[r, 0]]
        ids = np.arange(vocab_size) if op.ids is None else memory.words(op.ids)[r].astype(np.int64)
        penalty = wanted["repetition_penalty"]
        seen = memory.view(op.tables.seen)
        if penalty != 1.0:
            occurs = _occurring(rows, r, seen, op.tables)[ids]
            row = np.where(occurs, np.where(row > 0, row / penalty, row * penalty), row)
        if wanted["flags"] & MOVES_FLAG:
            row = _moved(row, _words_with_drafts(rows, r, seen, op.tables)[ids], wanted)
        if wanted["flags"] & MASKS_FLAG and not rows[r, 3] & ROW_OF_DRAFTER:
            row = np.where(_mask(rows[r], seen, op.tables)[ids], row, MOST_NEGATIVE)
        values, inside = row, np.ones(len(row), bool)
        if wanted["temperature"] != 0.0:
            position = int(rows[r, 1]) + int(rows[r, 3] >> AHEAD_BIT) + 1
            noise = gumbel(int(wanted["seed"]), position, vocab_size)
            with np.errstate(over="ignore"):  # ids that are suppressed or masked
                values = row / wanted["temperature"] + noise[ids]
            inside = row >= threshold_of(row, wanted)
        candidates = np.flatnonzero(inside)
        best = candidates[values[candidates] == values[candidates].max()]
        choices[r] = ids[best].min()


def _words_with_drafts(rows: Words, r: int, seen: Words, tables: Tables) -> Words:
    """Return the words of all ids, with what is drafted at or before row r's position counted."""
    lane, position = int(rows[r, 0]), int(rows[r, 1])
    words = _seen(seen, lane, tables)[1].copy()
    own = [row for row in rows.tolist() if row[0] == lane and row[3] & ROW_VALID]
    for place, (_, other_position, token, flags) in enumerate(own):
        # A lane's first row holds a known token, unless it stands ahead of its position.
        is_draft = place > 0 or flags >> AHEAD_BIT > 0
        if is_draft and other_position <= position and words[token] & MAX_COUNT < MAX_COUNT:
            words[token] += np.uint32(1)
    return words


def _moved(row: Floats, words: Words, wanted: np.void) -> Floats:
    """Return logits with presence and frequency penalty and biases; see candidates.wgsl."""
    counts = (words & MAX_COUNT).astype(np.int32)
    biases = words.view(np.int32) >> 16
    presence, frequency = int(wanted["presence_penalty"]), int(wanted["frequency_penalty"])
    sums = biases * (PENALTY_PARTS // BIAS_PARTS) - presence * (counts > 0) - frequency * counts
    moved: Floats = row + sums.astype(np.float32) / np.float32(PENALTY_PARTS)
    return np.where(biases == BANNED, BANNED_LOGIT, moved)


def _occurring(rows: Words, r: int, seen: Words, tables: Tables) -> npt.NDArray[np.bool_]:
    """Return which ids occur at or before row r's position: its history, or rows of this pass."""
    lane, position = int(rows[r, 0]), int(rows[r, 1])
    occurs = _seen(seen, lane, tables)[0]
    for other_lane, other_position, token, flags in rows.tolist():
        if other_lane == lane and other_position <= position and flags & ROW_VALID:
            occurs[token] = True
    return occurs


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
    """Return the smallest logit that top-k, top-p and min-p leave in the choice.

    In this order, on softmax(logits / temperature): top-k keeps the k largest logits, and those
    equal to the smallest of them; top-p keeps, of those, the fewest largest whose share of the
    probability reaches top_p, and equals; min-p keeps those with at least min_p times the largest
    probability. Mass is counted in whole numbers, 2^-27 of the largest probability.
    """
    temperature = wanted["temperature"]
    has_top_k = 0 < wanted["top_k"] < len(row)
    has_top_p, has_min_p = wanted["top_p"] < 1.0, wanted["min_p"] > 0.0
    if temperature == 0.0 or not (has_top_k or has_top_p or has_min_p):
        return MOST_NEGATIVE
    keys, largest = keys_of(row), row.max()
    threshold = 0
    if has_top_k:
        ones = np.ones(len(row), np.int64)
        threshold = _select_key(keys, ones, np.float32(wanted["top_k"]))
    if has_top_p:
        inside = keys >= threshold
        with np.errstate(over="ignore"):  # ids that are suppressed or masked
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
