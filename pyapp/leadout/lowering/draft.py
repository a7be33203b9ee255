"""Kernels that only drafters need."""

from __future__ import annotations

from leadout import ops
from leadout.lowering.builder import PlanBuilder
from leadout.lowering.choice import cycle_shape
from leadout.lowering.kernel import kernel
from leadout.ops.draft import NGRAM_MAX, NGRAM_MIN


@kernel(ops.TopCentroids, when=lambda run: run.caps.is_software)
def solo_top_centroids(b: PlanBuilder, op: ops.TopCentroids) -> None:
    """A thread a score: for adapters that compute on the CPU."""
    rows, count = op.scores.shape
    grid = (b.groups("solo_top_centroids", count), rows, 1)
    b.dispatch("solo_top_centroids", [op.scores, op.y], grid, op.label, {"TOP": op.y.shape[1]})


@kernel(ops.TopCentroids)
def top_centroids(b: PlanBuilder, op: ops.TopCentroids) -> None:
    """A workgroup a row."""
    grid = (op.scores.shape[0], 1, 1)
    b.dispatch("top_centroids", [op.scores, op.y], grid, op.label, {"TOP": op.y.shape[1]})


@kernel(ops.CandidateLogits)
def candidate_logits(b: PlanBuilder, op: ops.CandidateLogits) -> None:
    """A group of threads a candidate; each shard leaves the others' ids alone."""
    table, (rows, count) = op.table, op.ids.shape
    top = op.top.shape[1]
    variant = f"candidate_logits.{table.layout}"
    groups = b.groups(variant, count, "WORKGROUP_CANDIDATES")
    for shard in table.shards:
        b.dispatch(
            variant,
            [*shard.planes, op.ordering, op.top, op.x, op.ids, op.logits],
            (groups, rows, 1),
            op.label,
            {
                "K": table.num_cols,
                "FIRST": shard.row_start,
                "N": shard.num_rows,
                "PER": count // top,
                "TOP": top,
            },
        )


@kernel(ops.NgramDraft)
def ngram_draft(b: PlanBuilder, op: ops.NgramDraft) -> None:
    """A workgroup a group of rows."""
    groups = op.lane_rows.count
    b.dispatch(
        "ngram_draft",
        [
            op.lane_rows.table,
            op.tables.history,
            op.rows.table,
            cycle_shape(b, groups, op.num_drafts),
        ],
        (groups, 1, 1),
        op.label,
        {
            "CAPACITY": op.tables.context_length,
            "LONGEST": NGRAM_MAX,
            "SHORTEST": NGRAM_MIN,
        },
    )
