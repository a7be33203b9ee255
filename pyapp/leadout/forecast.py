"""How much of a device a model takes, before its weights are read or anything is allocated.

The headers are enough: a load is planned just as `loading` plans it, and the buffers are added up.
Other context lengths differ only in the KV caches and in the tables of a lane's tokens.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from leadout.checkpoint import Checkpoint
from leadout.device_limits import can_bind, check_caches, longest_that_fits, resized
from leadout.errors import DeviceLimitError
from leadout.kv_rings import KEPT
from leadout.plan import BufferSpec
from leadout.planning import (
    LoadOptions,
    PlannedLoad,
    PlanningDevice,
    longest_context,
    plan_load,
    plan_rings,
)
from leadout.state import Tables

#: Contexts that a forecast lists, as far as the model has them.
CONTEXTS = tuple(512 << i for i in range(10))


@dataclass(frozen=True)
class Memory:
    """The bytes of all buffers of a loaded model.

    Attributes:
        weights_bytes: the target's.
        drafter_bytes: the drafter's, its constants included.
        kv_cache_bytes: of all layers, and of what is kept of prompts.
        other_bytes: activations and tables.
        largest_buffer: its name.
        largest_buffer_bytes: its size.
    """

    weights_bytes: int
    drafter_bytes: int
    kv_cache_bytes: int
    other_bytes: int
    largest_buffer: str
    largest_buffer_bytes: int

    @classmethod
    def of(cls, buffers: Mapping[str, BufferSpec]) -> Memory:
        """Sum up what the engine allocates."""
        sums = dict.fromkeys(("weights", "drafter", "kv_cache", "other"), 0)
        for name, spec in buffers.items():
            sums[_kind_of(name)] += spec.bytes
        largest = max(buffers, key=lambda name: buffers[name].bytes)
        return cls(
            **{f"{kind}_bytes": num_bytes for kind, num_bytes in sums.items()},
            largest_buffer=largest,
            largest_buffer_bytes=buffers[largest].bytes,
        )

    @property
    def total_bytes(self) -> int:
        """Bytes in all."""
        return self.weights_bytes + self.drafter_bytes + self.kv_cache_bytes + self.other_bytes


@dataclass(frozen=True)
class ContextForecast:
    """What loading with a context of this length takes.

    Attributes:
        context_length: tokens.
        kv_cache_bytes: of all layers.
        total_bytes: of all buffers.
        fits: within the limits that are known.
    """

    context_length: int
    kv_cache_bytes: int
    total_bytes: int
    fits: bool


@dataclass(frozen=True)
class Probe:
    """How fast made-up weights of this shape run on this device.

    Attributes:
        decode_tokens_per_s: one token at a time, nothing drafted.
        cycle_ms: a cycle's duration by its number of drafts, 0 among them. A cycle gives one token
            and those drafts that are accepted.
        context_length: tokens before these.
        probe_ms: what it took to find out, compiling included.
    """

    decode_tokens_per_s: float
    cycle_ms: Mapping[int, float]
    context_length: int
    probe_ms: float


@dataclass(frozen=True)
class Forecast:
    """What loading will take; `Forecast` in web/messages.js.

    Attributes:
        model: the checkpoint's name.
        drafter: the drafter's; None without one.
        file_bytes: of the files with weights.
        read_bytes: of these, the ranges that a load reads.
        memory: on the device, for the context asked for.
        device_bytes: what the device has, where the options say so.
        context_length: that context.
        kv_dtype: of the KV cache.
        max_context_length: the longest context that fits, at most the model's; 0 where none does.
        contexts: what others take.
        fits: the one asked for, within the limits that are known.
        problem: why it does not, and what to do.
        placement: of the per-layer embeddings, see `planning.PlannedLoad`.
        paging_saves_bytes: what placement "paged" would take less; 0 where that is no choice.
        probe: how fast it will be, where that was asked for.
    """

    model: str
    drafter: str | None
    file_bytes: int
    read_bytes: int
    memory: Memory
    device_bytes: int | None
    context_length: int
    kv_dtype: str
    max_context_length: int
    contexts: tuple[ContextForecast, ...]
    problem: str | None
    placement: str
    paging_saves_bytes: int
    probe: Probe | None = None

    @property
    def fits(self) -> bool:
        """Whether nothing is known that forbids it."""
        return self.problem is None

    def as_planned(self, options: LoadOptions) -> LoadOptions:
        """Return the options with what was left to planning decided as it was here."""
        if self.placement == "none":
            return options
        return dataclasses.replace(options, placement=self.placement)

    def to_json(self) -> dict[str, object]:
        """Return the fields by name, the sum of the memory among them."""
        fields = dataclasses.asdict(self)
        fields["memory"]["total_bytes"] = self.memory.total_bytes
        return {**fields, "fits": self.fits}


async def forecast(
    device: PlanningDevice,
    checkpoint: Checkpoint,
    drafter: Checkpoint | None,
    options: LoadOptions,
) -> Forecast:
    """Say what loading would take.

    Args:
        device: asked for its limits and its kernels; nothing is allocated.
        checkpoint: the target's, opened; its weights are not read.
        drafter: the drafter's, for MTP.
        options: context, KV cache, drafts, placement, and the device's memory, if that is known.

    Raises:
        RequestError: an option makes no sense.
        LeadoutError: as of `loading.load_model`, but for a context whose KV caches the device
            cannot bind: that is the forecast's `problem`.
    """
    planned = await plan_load(
        device,
        without_files(checkpoint),
        None if drafter is None else without_files(drafter),
        options,
        may_exceed_bindings=True,
    )
    memory = Memory.of(planned.buffers)
    longest = longest_context(planned.config)
    asked = planned.tables.context_length
    contexts = Contexts(planned, memory, options.memory_bytes)
    lengths = {length for length in CONTEXTS if length <= longest} | {asked}
    info = planned.drafter_info
    used = [checkpoint, *([drafter] if drafter is not None and len(planned.weights) > 1 else [])]
    return Forecast(
        model=checkpoint.name,
        drafter=None if info is None else info.name,
        file_bytes=sum([await source.size() for one in used for source in one.sources]),
        read_bytes=sum(plan.total_bytes for plan, _ in planned.weights),
        memory=memory,
        device_bytes=options.memory_bytes,
        context_length=asked,
        kv_dtype=options.kv_dtype,
        max_context_length=contexts.longest_that_fits(longest),
        contexts=tuple(contexts.of(length) for length in sorted(lengths)),
        problem=contexts.problem(asked),
        placement=planned.placement,
        paging_saves_bytes=planned.paging_saves_bytes,
    )


def without_files(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint whose weights are made up: the same tensors, nothing to read, no text."""
    return dataclasses.replace(
        checkpoint, sources=[], metadata={}, tokenizer_json=None, chat_template=None
    )


class Contexts:
    """What a planned load would take with other contexts."""

    def __init__(self, planned: PlannedLoad, memory: Memory, memory_bytes: int | None) -> None:
        self._planned = planned
        self._memory = memory
        self._memory_bytes = memory_bytes
        self._max_binding_bytes = planned.device.info.max_binding_bytes

    def of(self, length: int) -> ContextForecast:
        """Return what a context takes."""
        caches = resized(self._planned.model.caches, length)
        kv_cache_bytes = sum(spec.bytes for cache in caches for spec in cache.buffers().values())
        tables_bytes = _tables_bytes(self._planned.tables, length)
        total = self._memory.total_bytes - self._memory.kv_cache_bytes + kv_cache_bytes
        total += tables_bytes - _tables_bytes(self._planned.tables)
        planned = self._planned
        rings = plan_rings(planned.device.info, planned.options, caches, length, total)
        kept_bytes = rings.num_places * rings.place_bytes
        kv_cache_bytes, total = kv_cache_bytes + kept_bytes, total + kept_bytes
        fits = can_bind(caches, self._max_binding_bytes)
        if self._memory_bytes is not None:
            fits &= total <= self._memory_bytes
        return ContextForecast(length, kv_cache_bytes, total, fits)

    def longest_that_fits(self, longest: int) -> int:
        """Return the longest context that fits; see `device_limits.longest_that_fits`."""
        return longest_that_fits(lambda length: self.of(length).fits, longest)

    def problem(self, length: int) -> str | None:
        """Return why a context does not fit, None where it does."""
        try:
            caches = resized(self._planned.model.caches, length)
            check_caches(caches, self._max_binding_bytes, length)
        except DeviceLimitError as error:
            return error.message
        needed = self.of(length).total_bytes
        if self._memory_bytes is None or needed <= self._memory_bytes:
            return None
        saved = self._planned.paging_saves_bytes
        paged = f"placement paged ({saved:,} bytes less), " if saved else ""
        fewer = "a smaller parallel, " if self._planned.options.parallel > 1 else ""
        return (
            f"It takes {needed:,} bytes of memory, and there are {self._memory_bytes:,}. Take a "
            f"shorter context_length, kv_dtype f16, {fewer}{paged}or a smaller model."
        )


def _tables_bytes(tables: Tables, length: int | None = None) -> int:
    if length is not None:
        tables = dataclasses.replace(tables, context_length=length)
    return sum(spec.bytes for spec in tables.buffers({}).values())


def _kind_of(buffer: str) -> str:
    if buffer.startswith("drafter."):
        return "drafter"
    if "#" in buffer or buffer == "vectors":
        return "weights"
    is_cache = buffer.removesuffix(KEPT).endswith((".kv.keys", ".kv.values"))
    return "kv_cache" if is_cache else "other"
