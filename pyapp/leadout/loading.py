"""Loads a model: from checkpoints to a decoder that is ready.

    headers -> models -> LoadPlans, Plans -> buffers -> weights stream, are checked ─┐
                                                    └─> first Plans are compiled ────┴─> self-test

planning.py does what comes before the buffers. Plans need only sizes, not weights. So they are
compiled while weights stream, in the order in which they are needed: first those of the first
token, then those of the self-test. Cycles with drafts are compiled when the model is already
ready, and are used as soon as they are there. Where a CPU computes, it compiles slowly too: there,
the Plans of prompts that the shortest pass does not hold are compiled when the first one comes.

Only drafts need the self-test. It still runs before the first token: on a device that fails it,
all cycles use the widest variant, and ids must not change from one request to the next.

On failure the device is left without any of the model's buffers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from leadout.beside import beside
from leadout.checkpoint import Checkpoint
from leadout.checkpoint.load_plan import LoadPlan
from leadout.devices.base import Device, Progress, Runnable
from leadout.errors import OutOfMemoryError
from leadout.memory_advice import advised
from leadout.models.registry import (
    TargetConfig,
)
from leadout.pager import Pager
from leadout.passes import BATCH_DRAFTS, PREFILL_ROWS, Passes
from leadout.planning import DrafterInfo, LoadOptions, PlannedLoad, plan_load
from leadout.rows import FEW_ROWS
from leadout.scheduler import (
    SOFTWARE_DRAFT_TOKENS,
    Acceptance,
    AutoSchedule,
    FixedSchedule,
    Savings,
    Schedule,
    automatic_counts,
)
from leadout.self_test import rows_agree, tokens_to_check
from leadout.speculative import Decoder
from leadout.weights import check_weights, fill_weights

#: Called with the name of the boot phase that begins; see `Phase` in web/messages.js.
OnPhase = Callable[[str], None]

#: How long a model on a GPU that is ready waits for its cycles with drafts, which are compiled
#: meanwhile; else a short text that is asked for at once would be over before the first draft.
#: Where compiling takes longer, texts begin without drafts.
DRAFTS_PATIENCE_S = 0.5


@dataclass(repr=False)
class LoadedModel:
    """A model on a device, ready.

    Attributes:
        config: the target's.
        decoder: runs it.
        drafter: what proposes tokens, or None.
        max_draft_tokens: the most that a cycle can draft; 0 without a drafter.
        self_test: "identical": a row has the same bits in every pass with few rows. "widest": it
            did not, so all of these passes run with the most rows. "off": it did not even then, so
            nothing is drafted. "not run": nothing is drafted anyway.
        acceptance: how many drafts were accepted so far.
        savings: what requests learnt for the next one, see `scheduler`.
        weights_bytes: on the device, the target's.
        buffers: the names of all buffers that were allocated.
        placement: of the per-layer embeddings, see `planning.PlannedLoad`.
        precision: of decoding, see `planning.PlannedLoad`.
    """

    config: TargetConfig
    decoder: Decoder
    drafter: DrafterInfo | None
    max_draft_tokens: int
    self_test: str
    weights_bytes: int
    buffers: list[str]
    placement: str
    precision: str
    acceptance: Acceptance = field(init=False)
    savings: Savings = field(init=False, default_factory=Savings)

    def __post_init__(self) -> None:
        self.acceptance = Acceptance(self.max_draft_tokens)
        self.decoder.make_schedule = self.batch_schedule

    def schedule(self) -> Schedule:
        """Return a schedule that chooses by itself, for one request."""
        if self.decoder.device.info.is_software:
            return FixedSchedule(min(SOFTWARE_DRAFT_TOKENS, self.max_draft_tokens))
        counts = automatic_counts(self.max_draft_tokens)
        return AutoSchedule(counts, self.decoder.costs, self.acceptance, self.savings)

    def batch_schedule(self, num_groups: int) -> Schedule:
        """Return a schedule for cycles in which this many streams take part."""
        if self.decoder.device.info.is_software:
            return FixedSchedule(min(SOFTWARE_DRAFT_TOKENS, self.max_draft_tokens))
        counts = [k for k in BATCH_DRAFTS if k <= self.max_draft_tokens]
        return AutoSchedule(counts, self.decoder.costs_of(num_groups), self.acceptance)

    @property
    def cycle_ms(self) -> dict[int, float | None]:
        """What cycles cost as far as is known, by number of drafts; None before any was timed."""
        costs = self.decoder.costs
        return {
            k: costs.ms[k] if costs.is_known else None
            for k in automatic_counts(self.max_draft_tokens)
        }


async def load_model(
    device: Device,
    checkpoint: Checkpoint,
    drafter_checkpoint: Checkpoint | None,
    options: LoadOptions,
    on_phase: OnPhase,
    on_progress: Progress,
    under_way: asyncio.Event | None = None,
) -> LoadedModel:
    """Load a target, and its drafter if there is one.

    Args:
        device: gets all buffers.
        checkpoint: the target's, opened.
        drafter_checkpoint: the drafter's, for MTP.
        options: context, KV cache, drafts.
        on_phase: told of every phase.
        on_progress: told of the weights' bytes.
        under_way: set when the device is busy with the load and the host has time.

    Raises:
        LeadoutError: one of its children, named by what failed.
    """
    planned = await _allocate(device, checkpoint, drafter_checkpoint, options)
    model, drafter, passes = planned.model, planned.drafter, planned.passes
    weights = planned.weights_buffers
    allocated = [*weights, *passes.buffers, *planned.rings.buffers()]
    pager: Pager | None = None
    num_kept = planned.rings.num_places
    decoder = Decoder(device, passes, model.caches, num_kept=num_kept)
    try:
        if model.pages is not None:
            decoder.pager = pager = Pager(device, model.pages, checkpoint.sources)
        _write_constants(device, passes)

        async def stream_weights() -> None:
            await _load_weights(device, planned.weights, on_progress)
            on_phase("compiling_kernels")
            for load_plan, origin in planned.weights:
                await check_weights(device, load_plan, origin.name)

        async def compile_first() -> None:
            # Behind the kernels that weights go through, which are asked for meanwhile.
            await asyncio.sleep(0)
            first = [*_first_plans(device, passes)]
            if drafter is not None:
                first += passes.checks.values()
            decoder.begin_to_compile(first)
            if under_way is not None:
                under_way.set()
            await decoder.compile(first)

        await beside(stream_weights(), compile_first())
        on_phase("warming_up")
        if pager is not None:
            # A file of the store that was read is in use: nobody deletes it while rows are needed.
            await pager.bring([passes.tables.vocab_size - 1])
        self_test = "not run"
        if drafter is not None:
            self_test = "identical"
            if pager is not None:
                await pager.bring(tokens_to_check(passes))
            if not await rows_agree(device, passes, decoder.take_checks()):
                for self_test, fewest in (("widest", FEW_ROWS[-1]), ("off", 1)):
                    drafter = drafter if self_test == "widest" else None
                    decoder.release()
                    device.free(passes.buffers)
                    passes = planned.passes_of(drafter, fewest)
                    allocated = [*weights, *passes.buffers, *planned.rings.buffers()]
                    await device.allocate(passes.buffers)
                    _write_constants(device, passes)
                    if drafter is None or await rows_agree(device, passes):
                        break
                decoder = Decoder(device, passes, model.caches, pager, num_kept=num_kept)
                await decoder.compile(_first_plans(device, passes))
        max_draft_tokens = max(passes.cycles)
        decoder.begin_to_compile(passes.cycles[k] for k in automatic_counts(max_draft_tokens))
        for cycles in passes.batch_cycles.values():
            decoder.begin_to_compile(cycles.values())
        if not device.info.is_software:
            await decoder.compiled_within(DRAFTS_PATIENCE_S)
    except BaseException:
        decoder.release()
        device.free(allocated)
        raise
    return LoadedModel(
        config=planned.config,
        decoder=decoder,
        drafter=planned.drafter_info if drafter is not None else None,
        max_draft_tokens=max_draft_tokens,
        self_test=self_test,
        weights_bytes=sum(spec.bytes for spec in planned.weights[0][0].buffers.values()),
        buffers=allocated,
        placement=planned.placement,
        precision=planned.precision,
    )


async def _allocate(
    device: Device,
    checkpoint: Checkpoint,
    drafter: Checkpoint | None,
    options: LoadOptions,
    asked: LoadOptions | None = None,
) -> PlannedLoad:
    """Plan a load, and allocate its buffers.

    Where the device lacks the room, no rings are kept; then what can be is paged, with rings if
    there is room for them now.

    Args:
        device: gets the buffers.
        checkpoint: the target's.
        drafter: the drafter's, for MTP.
        options: of this attempt.
        asked: where it is one without rings: the options of the one before.

    Raises:
        OutOfMemoryError: saying what would help; nothing was kept.
    """
    planned = await plan_load(device, checkpoint, drafter, options)
    try:
        await device.allocate(planned.buffers)
    except OutOfMemoryError as error:
        if planned.rings.num_places and options.kept_prompts is None:
            without = replace(options, kept_prompts=0)
            return await _allocate(device, checkpoint, drafter, without, options)
        if planned.paging_saves_bytes and options.placement == "auto":
            paged = replace(asked or options, placement="paged")
            return await _allocate(device, checkpoint, drafter, paged)
        raise advised(error, planned) from error
    except BaseException:  # a load that is given up while the device is busy with it
        device.free(planned.buffers)
        raise
    return planned


async def _load_weights(
    device: Device, load_plans: Sequence[tuple[LoadPlan, Checkpoint]], on_progress: Progress
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


def _first_plans(device: Device, passes: Passes) -> Iterator[Runnable]:
    """Yield the Plans that the first token takes."""
    if device.info.is_software:
        yield passes.prefill_last[PREFILL_ROWS[0]]
    else:
        yield from passes.prefills()
    yield passes.cycles[0]


def _write_constants(device: Device, passes: Passes) -> None:
    for name, data in passes.constants.items():
        device.write(name, 0, data)
