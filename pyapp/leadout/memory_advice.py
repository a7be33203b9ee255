"""What to do where a device has too little memory for a load, in numbers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from leadout.errors import OutOfMemoryError
from leadout.forecast import Contexts, Memory
from leadout.planning import PlannedLoad

#: No shorter context is proposed.
SHORTEST_CONTEXT = 512


@dataclass(frozen=True)
class Saving:
    """An option of `planning.LoadOptions` with which a load takes less.

    Attributes:
        option: its name.
        value: to give it.
        saves_bytes: on the device.
    """

    option: str
    value: object
    saves_bytes: int


def advised(error: OutOfMemoryError, planned: PlannedLoad) -> OutOfMemoryError:
    """Return an error that says how much memory a load takes, and which options take less.

    Args:
        error: of an allocation; its `missing_bytes`, if it has any, are what it lacked at least.
        planned: the load.

    Returns:
        An error whose detail has the `savings` as well, and that error's message as `cause`.
    """
    memory = Memory.of(planned.buffers)
    savings = savings_of(planned, error.detail.get("missing_bytes"))
    context_length = planned.tables.context_length
    parts = [
        f"{shown_bytes(memory.weights_bytes)} of weights",
        f"{shown_bytes(memory.kv_cache_bytes)} of KV cache for {context_length:,} tokens",
        f"{shown_bytes(memory.drafter_bytes + memory.other_bytes)} of everything else",
    ]
    ways = [
        f"{saving.option} {saving.value} takes {shown_bytes(saving.saves_bytes)} less"
        for saving in savings
    ]
    ways.append("a smaller model")
    return OutOfMemoryError(
        f"{error.message.rstrip('.')}. The whole load takes {shown_bytes(memory.total_bytes)}: "
        f"{', '.join(parts)}. To need less memory: {'; '.join(ways)}.",
        **error.detail,
        cause=error.message,
        needed_bytes=memory.total_bytes,
        savings=[dataclasses.asdict(saving) for saving in savings],
    )


def savings_of(planned: PlannedLoad, missing_bytes: object) -> list[Saving]:
    """Return the options with which a load takes less.

    Args:
        planned: the load.
        missing_bytes: what the device lacks at least, where that is a number: the longest context
            that frees as much is proposed; else one that frees half of the KV cache.
    """
    savings = []
    memory = Memory.of(planned.buffers)
    contexts = Contexts(planned, memory, None)
    length = planned.tables.context_length
    wanted = missing_bytes if isinstance(missing_bytes, int) else memory.kv_cache_bytes // 2
    saved = 0
    while length // 2 >= SHORTEST_CONTEXT and saved < wanted:
        length //= 2
        saved = memory.total_bytes - contexts.of(length).total_bytes
    if saved:
        savings.append(Saving("context_length", length, saved))
    if planned.options.kv_dtype == "f32":
        savings.append(Saving("kv_dtype", "f16", memory.kv_cache_bytes // 2))
    kept_bytes = planned.rings.num_places * planned.rings.place_bytes
    fewer = planned.options.parallel // 2
    if fewer:
        saved = (memory.kv_cache_bytes - kept_bytes) // 2  # and what goes with each request
        savings.append(Saving("parallel", fewer, saved))
    if kept_bytes:
        savings.append(Saving("kept_prompts", 0, kept_bytes))
    if planned.paging_saves_bytes:
        savings.append(Saving("placement", "paged", planned.paging_saves_bytes))
    if memory.drafter_bytes:
        savings.append(Saving("drafter", "none", memory.drafter_bytes))
    return savings


def shown_bytes(num_bytes: int) -> str:
    """Return a size for people, in units of 1000."""
    if num_bytes >= 1e9:
        return f"{num_bytes / 1e9:.2f} GB"
    return f"{num_bytes / 1e6:.1f} MB"
