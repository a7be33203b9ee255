"""From checkpoints to a decoder that is ready: everything that happens once.

    headers -> models -> LoadPlans, Plans -> buffers -> weights stream, are checked ─┐
                                                    └─> first Plans are compiled ────┴─> self-test

Plans need no weights, only sizes, so they are compiled while weights stream; in the order in which
they are needed: what the first token takes, what the self-test takes, and, when the model is ready
already, cycles with drafts. Those are drafted with as they become ready.

The self-test comes before the first token, though only drafts need it: where a device fails it, all
cycles run through the widest variant, and ids must not change from one request to the next.

On failure the device is left without any of the model's buffers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from leadout import kv_cache
from leadout.beside import beside
from leadout.checkpoint import Checkpoint
from leadout.checkpoint.load_plan import LoadPlan, LoadPlanBuilder
from leadout.checkpoint.token_ordering import read_token_ordering
from leadout.config import read_config
from leadout.devices.base import Device, Progress, Runnable
from leadout.drafters.base import Drafter
from leadout.drafters.mtp import MtpDrafter
from leadout.drafters.ngram import NgramDrafter
from leadout.errors import DrafterError, RequestError
from leadout.models.base import Model
from leadout.models.registry import (
    TargetConfig,
    check_assistant,
    check_target,
    place_assistant,
    place_model,
)
from leadout.passes import PREFILL_ROWS, Passes, build_passes
from leadout.rows import FEW_ROWS
from leadout.scheduler import (
    SOFTWARE_DRAFT_TOKENS,
    Acceptance,
    AutoSchedule,
    FixedSchedule,
    Schedule,
    automatic_counts,
)
from leadout.self_test import rows_agree
from leadout.speculative import Decoder
from leadout.state import MAX_DRAFT_TOKENS, Tables
from leadout.weights import check_weights, fill_weights

DEFAULT_CONTEXT_LENGTH = 4096

DRAFTERS = ("auto", "none", "mtp", "ngram")

#: Called with the name of the boot phase that begins; see `Phase` in web/messages.js.
OnPhase = Callable[[str], None]


@dataclass(frozen=True)
class LoadOptions:
    """How to load; see `LoadOptions` in web/messages.js.

    Attributes:
        context_length: positions of the KV cache; None takes the model's, at most 4096.
        kv_dtype: "f32" or "f16".
        num_lanes: sequences kept at once, 1, 2, 4 or 8.
        drafter: "auto" is MTP where a drafter's checkpoint is given, else none.
        max_draft_tokens: the most that a request can ask to be drafted in a cycle; None takes
            what the device can use.
    """

    context_length: int | None = None
    kv_dtype: str = "f32"
    num_lanes: int = 1
    drafter: str = "auto"
    max_draft_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.kv_dtype not in kv_cache.KV_BYTES:
            raise RequestError(f"kv_dtype is {self.kv_dtype!r}; wanted 'f32' or 'f16'.")
        length = self.context_length
        if length is not None and (not isinstance(length, int) or length < 2):
            raise RequestError(f"context_length is {length!r}; wanted a whole number from 2.")
        if self.num_lanes not in FEW_ROWS:
            raise RequestError(f"num_lanes is {self.num_lanes!r}; wanted one of {FEW_ROWS}.")
        if self.drafter not in DRAFTERS:
            raise RequestError(f"drafter is {self.drafter!r}; wanted one of {DRAFTERS}.")
        most = self.max_draft_tokens
        if most is not None and (type(most) is not int or not 0 <= most <= MAX_DRAFT_TOKENS):
            raise RequestError(
                f"max_draft_tokens is {most!r}; wanted a whole number from 0 to {MAX_DRAFT_TOKENS}."
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


@dataclass
class LoadedModel:
    """A model on a device, ready.

    Attributes:
        config: the target's.
        decoder: runs it.
        drafter: what proposes tokens, or None.
        max_draft_tokens: the most that a cycle can draft; 0 without a drafter.
        self_test: "identical": a row has the same bits in every pass with few rows. "widest": it
            did not, so all of these passes run with the most rows. "off": not even then, so
            nothing is drafted. "not run": nothing is drafted anyway.
        acceptance: what was seen of the drafter.
        weights_bytes: on the device, the target's.
        buffers: names of all that was allocated.
    """

    config: TargetConfig
    decoder: Decoder
    drafter: DrafterInfo | None
    max_draft_tokens: int
    self_test: str
    weights_bytes: int
    buffers: list[str]
    acceptance: Acceptance = field(init=False)

    def __post_init__(self) -> None:
        self.acceptance = Acceptance(self.max_draft_tokens)

    def schedule(self) -> Schedule:
        """Return a schedule that chooses by itself, for one request."""
        if self.decoder.device.info.is_software:
            return FixedSchedule(min(SOFTWARE_DRAFT_TOKENS, self.max_draft_tokens))
        counts = automatic_counts(self.max_draft_tokens)
        return AutoSchedule(counts, self.decoder.costs, self.acceptance)

    @property
    def cycle_ms(self) -> dict[int, float | None]:
        """What cycles are believed to cost, by number of drafts; None before any was timed."""
        costs = self.decoder.costs
        return {
            k: costs.ms[k] if costs.is_known else None
            for k in automatic_counts(self.max_draft_tokens)
        }


@dataclass(frozen=True)
class _Placed:
    """A drafter whose weights have their places."""

    drafter: Drafter
    info: DrafterInfo
    load_plan: LoadPlan | None = None
    checkpoint: Checkpoint | None = None


async def load_model(
    device: Device,
    checkpoint: Checkpoint,
    drafter_checkpoint: Checkpoint | None,
    options: LoadOptions,
    on_phase: OnPhase,
    on_progress: Progress,
    under_way: asyncio.Event | None = None,
) -> LoadedModel:
    """Load a target, and its drafter where there is one.

    Args:
        device: gets all buffers.
        checkpoint: the target's, opened.
        drafter_checkpoint: the drafter's, for MTP.
        options: context, KV cache, drafts.
        on_phase: told of every phase.
        on_progress: told of the weights' bytes.
        under_way: set when the device is busy with the load, and the host has time.

    Raises:
        LeadoutError: one of its children, named by what failed.
    """
    config = check_target(read_config(checkpoint), checkpoint.name)
    limit = config.max_position_embeddings
    context_length = options.context_length or min(limit, DEFAULT_CONTEXT_LENGTH)
    if context_length > limit:
        raise RequestError(f"context_length is {context_length}; the model allows at most {limit}.")
    load = LoadPlanBuilder(device.info.max_binding_bytes, device.info.max_buffer_bytes)
    model = place_model(
        checkpoint,
        config,
        load,
        num_lanes=options.num_lanes,
        context_length=context_length,
        max_rows=PREFILL_ROWS[-1],
        kv_dtype=options.kv_dtype,
    )
    kv_cache.check_caches(model.caches, device.info.max_binding_bytes, context_length)
    placed = await _place_drafter(device, model, drafter_checkpoint, options)
    most_drafts = options.max_draft_tokens
    if most_drafts is None:
        most_drafts = SOFTWARE_DRAFT_TOKENS if device.info.is_software else MAX_DRAFT_TOKENS
    load_plans = [(load.build(), checkpoint)]
    if placed is not None and placed.load_plan is not None:
        assert placed.checkpoint is not None
        load_plans.append((placed.load_plan, placed.checkpoint))
    tables = Tables(options.num_lanes, model.vocab_size, context_length)

    def passes_of(drafter: Drafter | None, min_rows: int = 1) -> Passes:
        return build_passes(
            model,
            drafter,
            tables,
            device.lower,
            max_draft_tokens=most_drafts,
            suppress_tokens=checkpoint.suppress_tokens,
            min_rows=min_rows,
        )

    drafter = placed.drafter if placed is not None else None
    passes = passes_of(drafter)
    weights = {name: spec for plan, _ in load_plans for name, spec in plan.buffers.items()}
    allocated = [*weights, *passes.buffers]
    decoder = Decoder(device, passes, model.caches)
    try:
        await device.allocate({**weights, **passes.buffers})
        _write_constants(device, passes)

        async def stream_weights() -> None:
            await _load_weights(device, load_plans, on_progress)
            on_phase("compiling_kernels")
            for load_plan, origin in load_plans:
                await check_weights(device, load_plan, origin.name)

        async def compile_first() -> None:
            # Behind the kernels that weights go through, which are asked for meanwhile.
            await asyncio.sleep(0)
            decoder.begin_to_compile(_first_plans(passes, with_checks=drafter is not None))
            if under_way is not None:
                under_way.set()
            await decoder.compile(_first_plans(passes, with_checks=drafter is not None))

        await beside(stream_weights(), compile_first())
        on_phase("warming_up")
        self_test = "not run"
        if drafter is not None:
            self_test = "identical"
            if not await rows_agree(device, passes, decoder.take_checks()):
                for self_test, fewest in (("widest", FEW_ROWS[-1]), ("off", 1)):
                    drafter = drafter if self_test == "widest" else None
                    decoder.release()
                    device.free(passes.buffers)
                    passes = passes_of(drafter, fewest)
                    allocated = [*weights, *passes.buffers]
                    await device.allocate(passes.buffers)
                    _write_constants(device, passes)
                    if drafter is None or await rows_agree(device, passes):
                        break
                decoder = Decoder(device, passes, model.caches)
                await decoder.compile(_first_plans(passes))
        max_draft_tokens = max(passes.cycles)
        decoder.begin_to_compile(passes.cycles[k] for k in automatic_counts(max_draft_tokens))
    except BaseException:
        decoder.release()
        device.free(allocated)
        raise
    return LoadedModel(
        config=config,
        decoder=decoder,
        drafter=placed.info if placed is not None and drafter is not None else None,
        max_draft_tokens=max_draft_tokens,
        self_test=self_test,
        weights_bytes=sum(spec.bytes for spec in load_plans[0][0].buffers.values()),
        buffers=allocated,
    )


async def _place_drafter(
    device: Device, model: Model, checkpoint: Checkpoint | None, options: LoadOptions
) -> _Placed | None:
    kind = options.drafter
    if kind == "auto":
        kind = "none" if checkpoint is None else "mtp"
    if kind == "none" or options.max_draft_tokens == 0:
        return None
    if kind == "ngram":
        return _Placed(NgramDrafter(), DrafterInfo("ngram", "n-gram", 0, 0))
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


async def _load_weights(
    device: Device, load_plans: list[tuple[LoadPlan, Checkpoint]], on_progress: Progress
) -> None:
    """Stream all weights, or make them up."""
    total = sum(plan.total_bytes for plan, _ in load_plans)
    before = 0
    for load_plan, checkpoint in load_plans:
        if checkpoint.sources:
            done = before

            def progress(loaded: int, _total: int, done: int = done) -> None:
                on_progress(done + loaded, total)

            await device.load(load_plan, checkpoint.sources, progress)
        else:
            await fill_weights(device, load_plan)
        before += load_plan.total_bytes


def _first_plans(passes: Passes, *, with_checks: bool = False) -> Iterator[Runnable]:
    """Yield the Plans that the first token takes, then those of the self-test."""
    yield from passes.prefills()
    yield passes.cycles[0]
    if with_checks:
        yield from passes.checks.values()


def _write_constants(device: Device, passes: Passes) -> None:
    for name, data in passes.constants.items():
        device.write(name, 0, data)
