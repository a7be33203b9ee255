"""What a load decides before it allocates anything, from the files' headers.

Weights get their places, and Plans are built, so every buffer is known to the byte. `loading`
continues from here; `forecast` only adds the buffers up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from leadout.checkpoint import Checkpoint
from leadout.checkpoint.load_plan import LoadPlan, LoadPlanBuilder
from leadout.checkpoint.page_plan import Paging
from leadout.checkpoint.token_ordering import read_token_ordering
from leadout.config import read_config
from leadout.device_limits import check_buffers, check_caches
from leadout.devices.base import DeviceInfo, Runnable
from leadout.drafters.base import Drafter
from leadout.drafters.given import GivenDrafter
from leadout.drafters.mtp import MtpDrafter
from leadout.drafters.ngram import NgramDrafter
from leadout.errors import DrafterError, RequestError
from leadout.kv_cache import KV_BYTES, KvCache
from leadout.kv_rings import KvRings
from leadout.lowering import Caps
from leadout.models.base import Model
from leadout.models.registry import (
    TargetConfig,
    check_assistant,
    check_target,
    place_assistant,
    place_model,
)
from leadout.ops import Program
from leadout.pass_building import build_passes
from leadout.passes import PREFILL_ROWS, Passes
from leadout.plan import BufferSpec
from leadout.rows import FEW_ROWS
from leadout.scheduler import SOFTWARE_DRAFT_TOKENS
from leadout.shown import shown
from leadout.state import MAX_CONTEXT_LENGTH, MAX_DRAFT_TOKENS, Tables

DEFAULT_CONTEXT_LENGTH = 4096

#: Adapters whose buffers may not be as large as this are those of phones and small cards.
_LARGE_BUFFER_BYTES = (1 << 31) - 4

MAX_KEPT_PROMPTS = 64

#: Unless more are asked for, copies of rings take at most this share of all else. The first of
#: these sizes is never too much; more than the second always is: with one copy in f32, 31B would
#: hardly fit on cards of 24 GB.
_KEPT_SHARE = 1 / 8
_LITTLE_BYTES = 64 << 20
_MUCH_BYTES = 1 << 30

DRAFTERS = ("auto", "none", "mtp", "ngram", "given")
PLACEMENTS = ("auto", "gpu", "paged")
PRECISIONS = ("accurate", "fast")


@dataclass(frozen=True)
class LoadOptions:
    """How to load; see `LoadOptions` in web/messages.js.

    Attributes:
        context_length: positions of the KV cache; None takes the model's, at most 4096.
        kv_dtype: "f32" or "f16".
        precision: "accurate", or "fast": where few rows are computed, the activations that
            quantised weights are multiplied by have 8 bits instead of 16. Adapters that compute
            on the CPU have no kernels for it, nor have browsers without packed dot products.
        parallel: requests that run at once, 1, 2, 4 or 8; each takes a KV cache. More wait.
        drafter: "auto" is MTP where a drafter's checkpoint is given, else none. "given" drafts
            nothing by itself, and has room for what a person's function drafts.
        max_draft_tokens: the most that a request can ask to be drafted in a cycle; None takes
            what the device can use.
        placement: of the per-layer embeddings that some models have: "gpu"; "paged", which leaves
            them in the file and reads rows as they are used; "auto" pages where the device has
            no room for them, as far as it says.
        paged_rows: rows that are on the device when they are paged, at least a pass's; None takes
            64 MiB's worth.
        memory_bytes: what the device has, where somebody knows; WebGPU does not say.
        kept_prompts: behind how many prompts the rings of sliding layers are kept (see
            kv_rings.py), so that the next turn of a conversation prefills only what is new,
            however long the answer was; at most 64. None takes one more than `parallel`, as far
            as that is little beside all else.
    """

    context_length: int | None = None
    kv_dtype: str = "f32"
    precision: str = "accurate"
    parallel: int = 1
    drafter: str = "auto"
    max_draft_tokens: int | None = None
    placement: str = "auto"
    paged_rows: int | None = None
    memory_bytes: int | None = None
    kept_prompts: int | None = None

    def __post_init__(self) -> None:
        if self.kv_dtype not in [*KV_BYTES]:
            raise RequestError(f"kv_dtype is {shown(self.kv_dtype)}; wanted 'f32' or 'f16'.")
        if self.precision not in PRECISIONS:
            raise RequestError(f"precision is {shown(self.precision)}; wanted one of {PRECISIONS}.")
        length = self.context_length
        if length is not None and (type(length) is not int or not 2 <= length < 1 << 31):
            raise RequestError(f"context_length is {shown(length)}; wanted a whole number from 2.")
        if self.parallel not in FEW_ROWS:
            raise RequestError(f"parallel is {shown(self.parallel)}; wanted one of {FEW_ROWS}.")
        if self.drafter not in DRAFTERS:
            raise RequestError(f"drafter is {shown(self.drafter)}; wanted one of {DRAFTERS}.")
        if self.placement not in PLACEMENTS:
            raise RequestError(f"placement is {shown(self.placement)}; wanted one of {PLACEMENTS}.")
        rows, least = self.paged_rows, PREFILL_ROWS[-1]
        if rows is not None and (type(rows) is not int or not least <= rows < 1 << 32):
            raise RequestError(f"paged_rows is {shown(rows)}; wanted a whole number from {least}.")
        memory = self.memory_bytes
        if memory is not None and (type(memory) is not int or not 0 <= memory < 1 << 63):
            raise RequestError(f"memory_bytes is {shown(memory)}; wanted a number of bytes.")
        kept = self.kept_prompts
        if kept is not None and (type(kept) is not int or not 0 <= kept <= MAX_KEPT_PROMPTS):
            raise RequestError(
                f"kept_prompts is {shown(kept)}; wanted a whole number from 0 to "
                f"{MAX_KEPT_PROMPTS}."
            )
        most = self.max_draft_tokens
        if most is not None and (type(most) is not int or not 0 <= most <= MAX_DRAFT_TOKENS):
            raise RequestError(
                f"max_draft_tokens is {shown(most)}; wanted a whole number from 0 to "
                f"{MAX_DRAFT_TOKENS}."
            )

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> LoadOptions:
        """Check options that crossed a boundary.

        Raises:
            RequestError: an option is unknown or out of its range.
        """
        unknown = sorted(set(fields) - set(cls.__dataclass_fields__))
        if unknown:
            raise RequestError(
                f"Unknown load options {unknown}; known are {sorted(cls.__dataclass_fields__)}."
            )
        return cls(**fields)


@dataclass(frozen=True)
class DrafterInfo:
    """What a page shows of a drafter; `DrafterInfo` in web/messages.js."""

    kind: str
    name: str
    num_parameters: int
    weights_bytes: int


@dataclass(frozen=True)
class _Placed:
    """A drafter whose weights have their places."""

    drafter: Drafter
    info: DrafterInfo
    load_plan: LoadPlan | None = None
    checkpoint: Checkpoint | None = None


class PlanningDevice(Protocol):
    """The part of `devices.base.Device` that a plan asks for."""

    @property
    def info(self) -> DeviceInfo:
        """Its limits and its kernels."""

    def lower(self, program: Program, precision: str = "accurate") -> Runnable:
        """Choose how a Program is run there; see `Device.lower`."""


# Without a repr: asyncio writes that of what a task returned, which here takes seconds.
@dataclass(frozen=True, repr=False)
class PlannedLoad:
    """A target and its drafter with all their places, on a device that has none of it yet.

    Attributes:
        device: what it was planned for.
        checkpoint: the target's.
        options: asked for.
        config: the target's.
        model: the target.
        tables: of the context's length.
        weights: LoadPlans with their checkpoints, the target's first.
        drafter: what proposes tokens, or None.
        drafter_info: what a page shows of it, or None.
        passes: with that drafter.
        rings: places for copies of the sliding layers' rings.
    """

    device: PlanningDevice
    checkpoint: Checkpoint
    options: LoadOptions
    config: TargetConfig
    model: Model
    tables: Tables
    weights: tuple[tuple[LoadPlan, Checkpoint], ...]
    drafter: Drafter | None
    drafter_info: DrafterInfo | None
    passes: Passes
    rings: KvRings

    @property
    def precision(self) -> str:
        """Return "fast" where that was asked for and the device has kernels for it."""
        can_be_fast = Caps.of(self.device.info).can_be_fast
        return self.options.precision if can_be_fast else "accurate"

    @property
    def placement(self) -> str:
        """Where the per-layer embeddings lie: "gpu", "paged"; "none": nothing is worth paging."""
        if self.model.pages is not None:
            return "paged"
        return "gpu" if self.model.pageable_bytes else "none"

    @property
    def paging_saves_bytes(self) -> int:
        """What paging would save; 0 where it is done already, or saves nothing."""
        return 0 if self.model.pages is not None else self.model.pageable_bytes

    @property
    def total_bytes(self) -> int:
        """Bytes of all buffers."""
        return sum(spec.bytes for spec in self.buffers.values())

    @property
    def weights_buffers(self) -> dict[str, BufferSpec]:
        """The buffers of all weights."""
        return {name: spec for plan, _ in self.weights for name, spec in plan.buffers.items()}

    @property
    def buffers(self) -> dict[str, BufferSpec]:
        """All buffers of the loaded model."""
        return {**self.weights_buffers, **self.passes.buffers, **self.rings.buffers()}

    def passes_of(self, drafter: Drafter | None, min_rows: int = 1) -> Passes:
        """Build the Plans anew, with another drafter or for more rows; see `build_passes`."""
        return _passes(
            self.device,
            self.checkpoint,
            self.options,
            self.model,
            self.tables,
            drafter,
            min_rows,
        )


async def plan_load(
    device: PlanningDevice,
    checkpoint: Checkpoint,
    drafter_checkpoint: Checkpoint | None,
    options: LoadOptions,
    *,
    may_exceed_bindings: bool = False,
) -> PlannedLoad:
    """Decide where everything goes.

    Args:
        device: asked for its limits and its kernels; nothing is allocated.
        checkpoint: the target's, opened.
        drafter_checkpoint: the drafter's, for MTP. Its list of token ids is read, where it has one
            and is no made-up one.
        options: context, KV cache, drafts.
        may_exceed_bindings: plan for KV caches that the device cannot bind as well.

    Raises:
        LeadoutError: one of its children, named by what failed.
    """
    paging = Paging(options.placement == "paged", options.paged_rows)
    inputs = (device, checkpoint, drafter_checkpoint, options, may_exceed_bindings)
    planned = await _plan(*inputs, paging)
    if options.placement == "auto" and _lacks_room(planned):
        planned = await _plan(*inputs, replace(paging, is_wanted=True))
    return planned


def _lacks_room(planned: PlannedLoad) -> bool:
    """Return whether the device is known to have no room for a table that could be paged."""
    saved, info = planned.paging_saves_bytes, planned.device.info
    if saved and planned.options.memory_bytes is not None:
        return planned.total_bytes > planned.options.memory_bytes
    is_small = info.max_buffer_bytes < _LARGE_BUFFER_BYTES and not info.is_software
    return is_small and saved > info.max_buffer_bytes


async def _plan(
    device: PlanningDevice,
    checkpoint: Checkpoint,
    drafter_checkpoint: Checkpoint | None,
    options: LoadOptions,
    may_exceed_bindings: bool,
    paging: Paging,
) -> PlannedLoad:
    config = check_target(read_config(checkpoint), checkpoint.name)
    limit = longest_context(config)
    context_length = options.context_length or min(limit, DEFAULT_CONTEXT_LENGTH)
    if context_length > limit:
        raise RequestError(f"context_length is {context_length}; the model allows at most {limit}.")
    load = LoadPlanBuilder(device.info.max_binding_bytes, device.info.max_buffer_bytes)
    model = place_model(
        checkpoint,
        config,
        load,
        num_lanes=options.parallel,
        context_length=context_length,
        max_rows=PREFILL_ROWS[-1],
        kv_dtype=options.kv_dtype,
        paging=paging,
    )
    if not may_exceed_bindings:
        check_caches(model.caches, device.info.max_binding_bytes, context_length)
    placed = await _place_drafter(device, model, drafter_checkpoint, options)
    weights = [(load.build(), checkpoint)]
    if placed is not None and placed.load_plan is not None:
        assert placed.checkpoint is not None
        weights.append((placed.load_plan, placed.checkpoint))
    tables = Tables(options.parallel, model.vocab_size, context_length)
    drafter = placed.drafter if placed is not None else None
    passes = _passes(device, checkpoint, options, model, tables, drafter)
    held = [*(plan.buffers for plan, _ in weights), passes.buffers]
    other_bytes = sum(spec.bytes for buffers in held for spec in buffers.values())
    rings = plan_rings(device.info, options, model.caches, context_length, other_bytes)
    check_buffers(device.info, model.caches, passes.buffers, rings)
    return PlannedLoad(
        device=device,
        checkpoint=checkpoint,
        options=options,
        config=config,
        model=model,
        tables=tables,
        weights=tuple(weights),
        drafter=drafter,
        drafter_info=placed.info if placed is not None else None,
        passes=passes,
        rings=rings,
    )


def longest_context(config: TargetConfig) -> int:
    """Return the most positions that a load can ask for."""
    return min(config.max_position_embeddings, MAX_CONTEXT_LENGTH)


def plan_rings(
    info: DeviceInfo,
    options: LoadOptions,
    caches: Iterable[KvCache],
    context_length: int,
    other_bytes: int,
) -> KvRings:
    """Decide how many copies of rings there is place for.

    Args:
        info: the device's.
        options: `kept_prompts`, and what follows from `parallel` and `memory_bytes` without it.
        caches: of all layers.
        context_length: positions of a lane.
        other_bytes: of all other buffers.
    """
    wanted = options.kept_prompts
    if wanted is not None:
        return KvRings.of(caches, context_length, wanted)
    rings = KvRings.of(caches, context_length, 1)
    if not rings.rings:
        return rings
    room = min(max(_LITTLE_BYTES, int(_KEPT_SHARE * other_bytes)), _MUCH_BYTES)
    if options.memory_bytes is not None:
        room = max(0, min(room, options.memory_bytes - other_bytes))
    largest = max(ring.lane_bytes for ring in rings.rings)
    most = min(room // rings.place_bytes, info.max_buffer_bytes // largest)
    return replace(rings, num_places=min(options.parallel + 1, most))


def _passes(
    device: PlanningDevice,
    checkpoint: Checkpoint,
    options: LoadOptions,
    model: Model,
    tables: Tables,
    drafter: Drafter | None,
    min_rows: int = 1,
) -> Passes:
    most_drafts = options.max_draft_tokens
    if most_drafts is None:
        most_drafts = SOFTWARE_DRAFT_TOKENS if device.info.is_software else MAX_DRAFT_TOKENS
    return build_passes(
        model,
        drafter,
        tables,
        partial(device.lower, precision=options.precision),
        max_draft_tokens=most_drafts,
        suppress_tokens=checkpoint.suppress_tokens,
        min_rows=min_rows,
    )


async def _place_drafter(
    device: PlanningDevice, model: Model, checkpoint: Checkpoint | None, options: LoadOptions
) -> _Placed | None:
    kind = options.drafter
    if kind == "auto":
        kind = "none" if checkpoint is None else "mtp"
    if kind == "none" or options.max_draft_tokens == 0:
        return None
    if kind == "ngram":
        return _Placed(NgramDrafter(), DrafterInfo("ngram", "n-gram", 0, 0))
    if kind == "given":
        return _Placed(GivenDrafter(), DrafterInfo("given", "Python", 0, 0))
    if checkpoint is None:
        raise DrafterError(
            "MTP needs the drafter that was made for the model, and none was given; give its "
            "checkpoint, or choose another drafter."
        )
    config = check_assistant(read_config(checkpoint), checkpoint.name)
    ordering = None
    if config.use_ordered_embeddings:
        ordering = await read_token_ordering(checkpoint, config.vocab_size)
    limits = device.info
    load = LoadPlanBuilder(limits.max_binding_bytes, limits.max_buffer_bytes, prefix="drafter.")
    assistant = place_assistant(checkpoint, config, load, model, ordering)
    load_plan = load.build()
    info = DrafterInfo(
        "mtp",
        checkpoint.name,
        checkpoint.num_parameters,
        sum(spec.bytes for spec in load_plan.buffers.values()),
    )
    return _Placed(MtpDrafter(assistant), info, load_plan, checkpoint)
