"""What only drafters do: the centroid head, and looking up the lane's own text."""

from __future__ import annotations

from dataclasses import dataclass

from leadout.layouts import Matrix
from leadout.ops.grid import activations, ceil
from leadout.plan import Binding, PlanBuilder
from leadout.rows import Rows
from leadout.state import Tables

#: Candidates that one workgroup of web/kernels/candidate_logits.wgsl computes.
_CANDIDATES_PER_WORKGROUP = 8

#: Longest and shortest run of last tokens that ngram_draft looks for.
NGRAM_MAX = 4
NGRAM_MIN = 2


@dataclass(frozen=True)
class Candidates:
    """The ids that a centroid head considers.

    Attributes:
        ids: [rows, count] u32.
        logits: [rows, count] float32.
        count: how many.
    """

    ids: Binding
    logits: Binding
    count: int


def top_centroids(
    b: PlanBuilder, scores: Binding, rows: int, num_centroids: int, top_k: int, label: str
) -> Binding:
    """Return the top k centroids of every row, [rows, top_k] u32, the best first.

    Args:
        b: gets the dispatch.
        scores: [rows, num_centroids] float32.
        rows: how many.
        num_centroids: how many there are; the columns of `scores`.
        top_k: how many are taken.
        label: for profiles, and the name of the scratch buffer.
    """
    top = b.scratch(label, 4 * rows * top_k)
    b.dispatch(
        "top_centroids",
        {"TOP": top_k},
        [scores, top],
        (rows, 1, 1),
        label,
    )
    return top


def candidate_logits(
    b: PlanBuilder,
    table: Matrix,
    ordering: Binding,
    top: Binding,
    x: Binding,
    rows: int,
    ids_per_centroid: int,
    top_k: int,
    label: str,
) -> Candidates:
    """Compute the logits of the ids that the chosen centroids stand for.

    Args:
        b: gets the dispatches.
        table: the tied head, [vocab_size, K].
        ordering: [vocab_size] u32, the ids, centroid by centroid.
        top: [rows, top_k] u32.
        x: [rows, K] float32.
        rows: how many.
        ids_per_centroid: of each centroid.
        top_k: centroids of a row.
        label: for profiles, and the name of the scratch buffers.
    """
    count = ids_per_centroid * top_k
    ids = b.scratch(label + ".ids", 4 * rows * count)
    logits = activations(b, label, rows, count)
    for shard in table.shards:
        b.dispatch(
            f"candidate_logits.{table.layout}",
            {
                "K": table.num_cols,
                "FIRST": shard.row_start,
                "N": shard.num_rows,
                "PER": ids_per_centroid,
                "TOP": top_k,
            },
            [*shard.planes, ordering, top, x, ids, logits],
            (ceil(count, _CANDIDATES_PER_WORKGROUP), rows, 1),
            label,
        )
    return Candidates(ids, logits, count)


def ngram_draft(
    b: PlanBuilder, lane_rows: Rows, rows: Rows, tables: Tables, num_drafts: int
) -> None:
    """Put drafts from the lane's own text into the verify pass's rows: prompt lookup.

    Args:
        b: gets the dispatch.
        lane_rows: each lane's last known token.
        rows: the verify pass's rows; where nothing is found they stay as they are.
        tables: of the engine.
        num_drafts: of each lane.
    """
    b.dispatch(
        "ngram_draft",
        {
            "DRAFTS": num_drafts,
            "CAPACITY": tables.context_length,
            "LONGEST": NGRAM_MAX,
            "SHORTEST": NGRAM_MIN,
        },
        [lane_rows.table, tables.history, rows.table],
        (tables.num_lanes, 1, 1),
        "ngram_draft",
    )
