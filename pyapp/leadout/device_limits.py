"""Refuses, before any weight is read, a load whose buffers a device cannot bind or hold.

Weights are not looked at here: they are split as the device needs it (checkpoint/load_plan.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from leadout.devices.base import DeviceInfo
from leadout.errors import DeviceLimitError
from leadout.kv_cache import TILE, KvCache, capacity_for
from leadout.kv_rings import KvRings
from leadout.passes import PREFILL_ROWS
from leadout.plan import BufferSpec
from leadout.rows import FEW_ROWS


def check_caches(caches: Iterable[KvCache], max_binding_bytes: int, context_length: int) -> None:
    """Refuse a context whose caches a device cannot bind.

    Args:
        caches: of all layers.
        max_binding_bytes: the device's limit.
        context_length: what was asked for.

    Raises:
        DeviceLimitError: naming the context that would fit, and with how many requests at once
            this one would.
    """
    known = tuple(caches)
    largest = max(known, key=lambda cache: cache.bytes)
    if largest.bytes <= max_binding_bytes:
        return
    num_lanes = largest.num_lanes
    fitting = {
        lanes: _longest_bound(known, max_binding_bytes, context_length, lanes)
        for lanes in FEW_ROWS
        if lanes <= num_lanes
    }
    shorter = fitting[num_lanes]
    fewer = max((lanes for lanes in fitting if fitting[lanes] == context_length), default=None)
    ways, changes = [], []
    if shorter:
        ways.append(f"a context of {shorter}")
        changes.append("a shorter context_length")
    if fewer is not None:
        ways.append(f"this one with parallel {fewer}")
        changes.append("a smaller parallel")
    elif not shorter:
        fewer = max((lanes for lanes in fitting if fitting[lanes]), default=None)
        if fewer is not None:
            ways.append(f"a context of {fitting[fewer]} with parallel {fewer}")
            changes += ["a shorter context_length and a smaller parallel"]
    at_once = f" for {num_lanes} requests at once" if num_lanes > 1 else ""
    half = " Half-precision caches (kv_dtype f16) take half." if largest.dtype == "f32" else ""
    raise DeviceLimitError(
        f"A context of {context_length} tokens{at_once} needs {largest.bytes:,} bytes for the keys "
        f"of one layer ({largest.name}), and this device binds at most {max_binding_bytes:,}; "
        f"{' or '.join(ways) or 'no context'} fits. "
        f"{'Load the model with ' + ' or '.join(changes) if changes else 'Take a smaller model'}."
        f"{half}",
        needed_bytes=largest.bytes,
        max_binding_bytes=max_binding_bytes,
        context_length=context_length,
        fitting_context_length=shorter,
        fitting_parallel=fewer,
    )


def check_buffers(
    info: DeviceInfo, caches: Sequence[KvCache], buffers: Mapping[str, BufferSpec], rings: KvRings
) -> None:
    """Refuse what else a load allocates beside its weights, where a device has no room for it.

    Args:
        info: the device's.
        caches: of all layers.
        buffers: of all Plans, those of the caches among them.
        rings: places for copies of rings.

    Raises:
        DeviceLimitError: naming what is too large, and what would help.
    """
    _check_rings(rings, info.max_buffer_bytes)
    if info.kernels:  # NumPy binds nothing
        of_caches = {name for cache in caches for name in cache.buffers()}
        others = {name: spec.bytes for name, spec in buffers.items() if name not in of_caches}
        limit = min(info.max_binding_bytes, info.max_buffer_bytes)
        _check_largest(others, limit, num_lanes=caches[0].num_lanes)


def can_bind(caches: Iterable[KvCache], max_binding_bytes: int) -> bool:
    """Return whether a device can bind each cache."""
    return all(cache.bytes <= max_binding_bytes for cache in caches)


def resized(
    caches: Iterable[KvCache], context_length: int, num_lanes: int | None = None
) -> list[KvCache]:
    """Return caches as they are for another context, and for other lanes if these are given."""
    return [
        dataclasses.replace(
            cache,
            capacity=capacity_for(context_length, cache.window, PREFILL_ROWS[-1]),
            num_lanes=num_lanes or cache.num_lanes,
        )
        for cache in caches
    ]


def longest_that_fits(fits: Callable[[int], bool], longest: int) -> int:
    """Return the longest context that fits, a multiple of a cache's tile or all of `longest`.

    Args:
        fits: whether a length does; where one does not, no longer one does.
        longest: the most that is wanted.
    """
    if fits(longest):
        return longest
    low, high = 0, -(-longest // TILE)  # in tiles: `low` fits, `high` does not
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle * TILE):
            low = middle
        else:
            high = middle
    return low * TILE


def _longest_bound(
    caches: Sequence[KvCache], max_binding_bytes: int, longest: int, num_lanes: int
) -> int:
    return longest_that_fits(
        lambda length: can_bind(resized(caches, length, num_lanes), max_binding_bytes), longest
    )


def _check_rings(rings: KvRings, max_buffer_bytes: int) -> None:
    if rings.num_places == 0:
        return
    largest = max(rings.rings, key=lambda ring: ring.lane_bytes)
    needed = rings.num_places * largest.lane_bytes
    if needed > max_buffer_bytes:
        fits = max_buffer_bytes // largest.lane_bytes
        raise DeviceLimitError(
            f"kept_prompts {rings.num_places} takes {needed:,} bytes for the keys of one layer "
            f"({largest.name}), and this device's buffers have at most {max_buffer_bytes:,}; "
            f"{fits} fits. Load the model with a smaller kept_prompts.",
            needed_bytes=needed,
            max_buffer_bytes=max_buffer_bytes,
            fitting_kept_prompts=fits,
        )


def _check_largest(buffers: Mapping[str, int], limit: int, num_lanes: int) -> None:
    name = max(buffers, key=lambda one: buffers[one])
    if buffers[name] > limit:
        fewer = "a smaller parallel, " if num_lanes > 1 else ""
        raise DeviceLimitError(
            f"The model computes with {buffers[name]:,} bytes in one buffer ({name}), and this "
            f"device binds at most {limit:,}. Take {fewer}a smaller model or another device.",
            buffer=name,
            needed_bytes=buffers[name],
            max_binding_bytes=limit,
        )
