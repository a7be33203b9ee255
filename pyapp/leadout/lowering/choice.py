"""Kernels for the choice of tokens, and for what a cycle commits."""

from __future__ import annotations

from leadout import ops, sampling, state
from leadout.lowering.builder import PlanBuilder, ceil
from leadout.lowering.kernel import kernel


@kernel(ops.Suppress)
def suppress(b: PlanBuilder, op: ops.Suppress) -> None:
    """A thread an id and row."""
    rows, vocab_size = op.logits.shape
    count = op.ids.shape[0]
    constants = {"V": vocab_size, "COUNT": count}
    b.dispatch("suppress", [op.ids, op.logits], (ceil(count, 64), rows, 1), op.label, constants)


@kernel(ops.Choose)
def choose(b: PlanBuilder, op: ops.Choose) -> None:
    """Penalise, find the smallest logit that stays, take the best of chunks and then of all."""
    rows, count = op.logits.shape
    table, tables, label = op.rows.table, op.tables, op.label
    settings = sampling.settings(tables.num_lanes)
    kind, mapped = ("all", []) if op.ids is None else ("mapped", [op.ids])
    partial = f"choose_partial.{kind}"
    chunks = ceil(count, b.caps.constant(partial, "CHUNK"))
    thresholds = b.scratch("thresholds", rows)
    best = b.scratch("best_of_chunks", rows, chunks, 2)
    constants = {"V": tables.vocab_size, "COUNT": count}
    b.dispatch(
        f"penalize.{kind}",
        [table, settings, tables.seen, op.logits, *mapped],
        (ceil(count, 1024), rows, 1),
        label + ".penalize",
        constants,
    )
    b.dispatch(
        "sample_filter",
        [op.logits, table, settings, thresholds],
        (rows, 1, 1),
        label + ".sample_filter",
        {"V": count},
    )
    b.dispatch(
        partial,
        [op.logits, table, settings, thresholds, best, *mapped],
        (chunks, rows, 1),
        label + ".partial",
        constants,
    )
    b.dispatch(
        "choose_final",
        [best, op.y],
        (rows, 1, 1),
        label + ".final",
        {"V": tables.vocab_size, "CHUNKS": chunks},
    )


@kernel(ops.Accept)
def accept(b: PlanBuilder, op: ops.Accept) -> None:
    """One workgroup."""
    tables = op.tables
    b.dispatch(
        "accept",
        [
            op.choices,
            op.rows.table,
            tables.state,
            tables.seen,
            tables.history,
            tables.results,
        ],
        (1, 1, 1),
        op.label,
        {
            "V": tables.vocab_size,
            "LANES": tables.num_lanes,
            "GROUPS": op.num_groups,
            "DRAFTS": op.num_drafts,
            "CAPACITY": tables.context_length,
        },
    )


@kernel(ops.TakeAccepted)
def take_accepted(b: PlanBuilder, op: ops.TakeAccepted) -> None:
    """A thread a column and lane."""
    columns = op.x.shape[1]
    b.dispatch(
        "take_accepted",
        [op.x, op.rows.table, op.tables.results, op.y],
        (ceil(columns, 256), op.num_groups, 1),
        op.label,
        {
            "D": columns,
            "DRAFTS": op.num_drafts,
            "OUT_STRIDE": op.y.shape[1],
            "OUT_OFFSET": op.offset,
            "RESULT_WORDS": state.RESULT_WORDS,
        },
    )


@kernel(ops.BeginCycle)
def begin_cycle(b: PlanBuilder, op: ops.BeginCycle) -> None:
    """One workgroup."""
    tables = op.tables
    b.dispatch(
        "begin_cycle",
        [tables.state, op.lane_rows.table, op.rows.table],
        (1, 1, 1),
        op.label,
        {
            "LANES": tables.num_lanes,
            "DRAFTS": op.num_drafts,
            "ROWS": op.rows.count,
            "CAPACITY": tables.context_length,
        },
    )


@kernel(ops.PlaceDraft)
def place_draft(b: PlanBuilder, op: ops.PlaceDraft) -> None:
    """One workgroup."""
    tables = op.tables
    b.dispatch(
        "place_draft",
        [op.choices, op.lane_rows.table, op.rows.table],
        (1, 1, 1),
        op.label,
        {
            "LANES": tables.num_lanes,
            "DRAFTS": op.num_drafts,
            "CAPACITY": tables.context_length,
        },
    )
