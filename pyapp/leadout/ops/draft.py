"""What only drafters do: the centroid head, and looking up the lane's own text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from leadout.layouts import Matrix
from leadout.ops.program import Op, Tensor
from leadout.rows import Rows
from leadout.state import Tables

#: Longest and shortest run of last tokens that NgramDraft looks for.
NGRAM_MAX = 4
NGRAM_MIN = 2


@dataclass(frozen=True)
class TopCentroids(Op):
    """y[r] = the indices of the largest scores of row r, the best first; of equals, the lower.

    Attributes:
        scores: [rows, num_centroids] float32.
        y: [rows, top_k] u32.
    """

    scores: Tensor
    y: Tensor


@dataclass(frozen=True)
class CandidateLogits(Op):
    """Compute the logits of the ids that the chosen centroids stand for.

    Attributes:
        table: the tied head, [vocab_size, columns].
        ordering: [vocab_size] u32, the ids, centroid by centroid.
        top: [rows, top_k] u32.
        x: [rows, columns] float32.
        ids: [rows, candidates] u32, written.
        logits: [rows, candidates] float32, written.
    """

    table: Matrix
    ordering: Tensor
    top: Tensor
    x: Tensor
    ids: Tensor
    logits: Tensor

    WRITES: ClassVar[tuple[str, ...]] = ("ids", "logits")


@dataclass(frozen=True)
class NgramDraft(Op):
    """Put drafts from the lane's own text into the verify pass's rows: prompt lookup.

    Attributes:
        lane_rows: one a group: its lane's last known token.
        rows: the verify pass's rows; where nothing is found they stay as they are.
        tables: of the engine.
        num_drafts: of each group.
    """

    lane_rows: Rows
    rows: Rows
    tables: Tables
    num_drafts: int
