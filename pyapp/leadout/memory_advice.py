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
    """Return an error that says what a load takes, and what would take less.

    Args:
        error: of an allocation; its `missing_bytes`, if it has any, are what it lacked at least.
        planned: the load.
    """
    memory = Memory.of(planned.buffers)
    savings = _savings(planned, memory, error.detail.get("missing_bytes"))
    parts = [
        f"{_shown(memory.weights_bytes)} of weights",
        f"{_shown(memory.kv_cache_bytes)} of KV cache for {planned.tables.context_length:,} tokens",
        f"{_shown(memory.drafter_bytes + memory.other_bytes)} of all else",
    ]
    ways = [
        f"{saving.option} {saving.value} takes {_shown(saving.saves_bytes)} less"
        for saving in savings
    ]
    ways.append("a smaller model")
    return OutOfMemoryError(
        f"{error.message.rstrip('.')}. In all it takes {_shown(memory.total_bytes)}: "
        f"{', '.join(parts)}. To need less: {'; '.join(ways)}.",
        **error.detail,
        needed_bytes=memory.total_bytes,
        savings=[dataclasses.asdict(saving) for saving in savings],
    )


def _savings(planned: PlannedLoad, memory: Memory, missing_bytes: object) -> list[Saving]:
    savings = []
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
    if planned.paging_saves_bytes:
        savings.append(Saving("placement", "paged", planned.paging_saves_bytes))
    if memory.drafter_bytes:
        savings.append(Saving("drafter", "none", memory.drafter_bytes))
    return savings


def _shown(num_bytes: int) -> str:
    """Return a size for people, in units of 1000."""
    if num_bytes >= 1e9:
        return f"{num_bytes / 1e9:.2f} GB"
    return f"{num_bytes / 1e6:.1f} MB"
