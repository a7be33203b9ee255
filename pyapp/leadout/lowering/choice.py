"""Kernels for the choice of tokens, and for what a cycle commits."""

from __future__ import annotations

import struct

from leadout import ops, sampling, state
from leadout.lowering.builder import Bound, PlanBuilder
from leadout.lowering.caps import Caps
from leadout.lowering.kernel import kernel
from leadout.plan import Binding

#: Layout of the struct in web/kernels/shared/cycle.wgsl; keep in step.
_CYCLE = struct.Struct("<IIII")

#: What logprobs_partial leaves of a part before the ids that it lists: its largest logit and so on.
PART_HEAD_WORDS = 4


def cycle_shape(b: PlanBuilder, num_groups: int, num_drafts: int, num_rows: int = 0) -> Binding:
    """Return what kernels read of how a cycle's rows are shared out."""
    return b.uniform(_CYCLE.pack(num_groups, num_drafts, num_rows, 0))


@kernel(ops.Suppress)
def suppress(b: PlanBuilder, op: ops.Suppress) -> None:
    """A thread an id and row."""
    rows, vocab_size = op.logits.shape
    count = op.ids.shape[0]
    constants = {"V": vocab_size, "COUNT": count}
    grid = (b.groups("suppress", count), rows, 1)
    b.dispatch("suppress", [op.ids, op.logits], grid, op.label, constants)


def _few(caps: Caps, choose: ops.Choose, then: str) -> str | None:
    """Return the smallest variant of choose_few with room for all candidates, if there is one."""
    start = f"choose_few.{'all' if choose.ids is None else 'mapped'}.{then}."
    variants = [name for name in caps.kernels if name.startswith(start) and caps.has(name)]
    rooms = [(caps.constant(name, "CANDIDATES"), name) for name in variants]
    count = choose.logits.shape[1]
    return next((name for room, name in sorted(rooms) if count <= room), None)


def _choice(choose: ops.Choose) -> tuple[list[Bound], list[Bound], dict[str, int]]:
    """Return what all kernels that choose bind first, what they bind last, and their constants."""
    tables = choose.tables
    settings = sampling.settings(tables.num_lanes)
    first: list[Bound] = [choose.logits, choose.rows.table, settings, tables.seen]
    last: list[Bound] = [] if choose.ids is None else [choose.ids]
    constants = {
        "V": tables.vocab_size,
        "COUNT": choose.logits.shape[1],
        "MASK_SLOTS": state.MASK_SLOTS,
    }
    return first, last, constants


@kernel(
    ops.Choose,
    ops.PlaceDraft,
    when=lambda run: (
        not run.caps.is_software
        and _few(run.caps, run.ops[0], "place") is not None
        and run.feeds(0, "y", 1, "choices")
        and run.ops[0].rows == run.ops[1].lane_rows
        and run.drops(run.ops[0].y)
    ),
)
def choose_draft(b: PlanBuilder, choose: ops.Choose, place: ops.PlaceDraft) -> None:
    """A workgroup a group of rows, with all candidates in registers."""
    variant = _few(b.caps, choose, "place")
    assert variant is not None
    first, last, constants = _choice(choose)
    sizes = b.uniform(struct.pack("<2I", place.num_drafts, choose.tables.context_length))
    bindings = [*first, place.rows.table, sizes, *last]
    b.dispatch(variant, bindings, (place.lane_rows.count, 1, 1), choose.label, constants)


@kernel(
    ops.Choose,
    when=lambda run: run.caps.is_software and _few(run.caps, run.ops[0], "choose") is not None,
)
def solo_choose(b: PlanBuilder, op: ops.Choose) -> None:
    """A thread a row, as `choose_few`: for adapters that compute on the CPU."""
    first, last, constants = _choice(op)
    rows, count = op.logits.shape
    variant = f"solo_choose.{'all' if op.ids is None else 'mapped'}"
    scratch = b.scratch("choice_scratch", rows, count + b.caps.constant(variant, "BUCKET_WORDS"))
    grid = (b.groups(variant, rows), 1, 1)
    b.dispatch(variant, [*first, op.y, scratch, *last], grid, op.label, constants)


@kernel(ops.Choose, when=lambda run: _few(run.caps, run.ops[0], "choose") is not None)
def choose_few(b: PlanBuilder, op: ops.Choose) -> None:
    """A workgroup a row, with all candidates in registers."""
    variant = _few(b.caps, op, "choose")
    assert variant is not None
    first, last, constants = _choice(op)
    rows = op.logits.shape[0]
    b.dispatch(variant, [*first, op.y, *last], (rows, 1, 1), op.label, constants)


@kernel(ops.Choose)
def choose_many(b: PlanBuilder, op: ops.Choose) -> None:
    """Bound what the filters leave, list it, take the best of it; see choose_collect.wgsl."""
    rows, count = op.logits.shape
    first, last, constants = _choice(op)
    kind = "all" if op.ids is None else "mapped"
    partial, collect = f"choose_partial.{kind}", f"choose_collect.{kind}"
    parts = b.groups(partial, count, "CHUNK")
    # As many maxima as the next kernel can compare, one a thread.
    most = b.caps.threads(collect)
    assert parts <= most, f"{op.label}: {count} logits"
    split = 1 << (most // parts).bit_length() - 1
    best = b.scratch("best_of_parts", rows, parts, 4)
    maxima = b.scratch("maxima_of_parts", rows, parts, split)
    found = b.scratch("found_candidates", rows, b.caps.constant(partial, "FOUND_WORDS"))
    with_split = {**constants, "SPLIT": split}
    b.dispatch(
        partial,
        [*first, best, maxima, found, *last],
        (parts, rows, 1),
        op.label + ".partial",
        with_split,
    )
    b.dispatch(
        collect,
        [*first, maxima, found, *last],
        (parts, rows, 1),
        op.label + ".collect",
        with_split,
    )
    b.dispatch(
        f"choose_final.{kind}",
        [*first, best, found, op.y, *last],
        (rows, 1, 1),
        op.label + ".final",
        {**constants, "PARTS": parts},
    )


@kernel(ops.Accept)
def accept(b: PlanBuilder, op: ops.Accept) -> None:
    """One workgroup."""
    tables = op.tables
    slots: list[Bound] = [] if op.slots is None else [op.slots]
    b.dispatch(
        f"accept.{'paged' if slots else 'whole'}",
        [
            op.choices,
            op.rows.table,
            tables.state,
            tables.seen,
            tables.history,
            tables.results,
            cycle_shape(b, op.num_groups, op.num_drafts),
            *slots,
        ],
        (1, 1, 1),
        op.label,
        {
            "V": tables.vocab_size,
            "LANES": tables.num_lanes,
            "CAPACITY": tables.context_length,
            "SEEN_WORDS": tables.seen_bytes // 4,
            "RESULT_WORDS": state.RESULT_WORDS,
            "HEAD_WORDS": state.RESULT_HEAD_WORDS,
        },
    )


@kernel(ops.Logprobs)
def logprobs(b: PlanBuilder, op: ops.Logprobs) -> None:
    """What each part of a row tells alone, then a workgroup a row; see logprobs_partial.wgsl."""
    tables, (rows, vocab_size) = op.tables, op.logits.shape
    parts = b.groups("logprobs_partial", vocab_size, "CHUNK")
    # The next kernel has a thread for each.
    assert parts <= b.caps.threads("logprobs_final"), f"{op.label}: {vocab_size} logits"
    words = PART_HEAD_WORDS + 2 * sampling.MAX_TOP_LOGPROBS
    found = b.scratch("logprob_parts", rows, parts, words)
    first: list[Bound] = [op.logits, op.rows.table, sampling.settings(tables.num_lanes)]
    constants = {"V": vocab_size, "RESULT_WORDS": state.RESULT_WORDS, "PART_WORDS": words}
    cycle = cycle_shape(b, op.num_groups, op.num_drafts)
    b.dispatch(
        "logprobs_partial",
        [*first, tables.results, found, cycle],
        (parts, rows, 1),
        op.label + ".partial",
        constants,
    )
    b.dispatch(
        "logprobs_final",
        [*first, op.choices, found, tables.results_and_logprobs, cycle],
        (rows, 1, 1),
        op.label + ".final",
        {
            **constants,
            "LANES": tables.num_lanes,
            "PARTS": parts,
            "MOST_TOP": sampling.MAX_TOP_LOGPROBS,
            "MOST_TOKENS": state.MAX_DRAFT_TOKENS + 1,
        },
    )


@kernel(ops.TakeAccepted)
def take_accepted(b: PlanBuilder, op: ops.TakeAccepted) -> None:
    """A thread four columns and lane."""
    columns = op.x.shape[1]
    cycle = cycle_shape(b, op.num_groups, op.num_drafts)
    b.dispatch(
        "take_accepted",
        [op.x, op.rows.table, op.tables.results, op.y, cycle],
        (b.groups("take_accepted", columns // 4), op.num_groups, 1),
        op.label,
        {
            "D": columns,
            "OUT_STRIDE": op.y.shape[1],
            "OUT_OFFSET": op.offset,
            "RESULT_WORDS": state.RESULT_WORDS,
        },
    )


@kernel(ops.TakeLanes)
def take_lanes(b: PlanBuilder, op: ops.TakeLanes) -> None:
    """A thread four columns and group."""
    groups, columns = op.y.shape
    grid = (b.groups("take_lanes", columns // 4), groups, 1)
    b.dispatch("take_lanes", [op.x, op.rows.table, op.y], grid, op.label, {"D": columns})


@kernel(ops.BeginCycle)
def begin_cycle(b: PlanBuilder, op: ops.BeginCycle) -> None:
    """One workgroup."""
    tables = op.tables
    cycle = cycle_shape(b, op.lane_rows.count, op.num_drafts, op.rows.count)
    b.dispatch(
        "begin_cycle",
        [tables.state, tables.turns, op.lane_rows.table, op.rows.table, cycle],
        (1, 1, 1),
        op.label,
        {"CAPACITY": tables.context_length},
    )


@kernel(ops.PlaceDraft)
def place_draft(b: PlanBuilder, op: ops.PlaceDraft) -> None:
    """One workgroup."""
    tables = op.tables
    cycle = cycle_shape(b, op.lane_rows.count, op.num_drafts)
    b.dispatch(
        "place_draft",
        [op.choices, op.lane_rows.table, op.rows.table, cycle],
        (1, 1, 1),
        op.label,
        {"CAPACITY": tables.context_length},
    )


@kernel(ops.PlaceGiven)
def place_given(b: PlanBuilder, op: ops.PlaceGiven) -> None:
    """One workgroup."""
    tables = op.tables
    cycle = cycle_shape(b, op.lane_rows.count, op.num_drafts)
    b.dispatch(
        "place_given",
        [op.lane_rows.table, tables.given, op.rows.table, cycle],
        (1, 1, 1),
        op.label,
        {"CAPACITY": tables.context_length, "GIVEN_WORDS": state.GIVEN_WORDS},
    )
