"""What only drafters do."""

from __future__ import annotations

import numpy as np

from leadout import ops
from leadout.devices.numpy_ops import Memory, meaning
from leadout.ops.draft import NGRAM_MAX, NGRAM_MIN
from leadout.state import ROW_VALID


@meaning(ops.NgramDraft)
def ngram_draft(op: ops.NgramDraft, memory: Memory) -> None:
    """Look the lanes' last tokens up in their own text."""
    drafts, tables = op.num_drafts, op.tables
    lanes, capacity = tables.num_lanes, tables.context_length
    lane_rows, rows = memory.rows(op.lane_rows), memory.rows(op.rows)
    histories = memory.view(tables.history).reshape(lanes, capacity)
    for group in range(op.lane_rows.count):
        lane, last = int(lane_rows[group, 0]), int(lane_rows[group, 1])
        if not lane_rows[group, 3] & ROW_VALID or last == 0:
            continue
        history = histories[lane, : last + 1]
        runs = np.zeros(last, np.int64)
        still = np.ones(last, bool)
        for back in range(min(NGRAM_MAX, last)):
            equal = np.zeros(last, bool)
            equal[back:] = history[: last - back] == history[last - back]
            still &= equal
            runs += still
        if runs.max() < NGRAM_MIN:
            continue
        end = int(np.flatnonzero(runs == runs.max())[-1])
        for i in range(min(drafts, capacity - 1 - last)):
            draft = histories[lane, end + 1 + i % (last - end)]
            rows[group * (1 + drafts) + 1 + i] = (lane, last + 1 + i, draft, ROW_VALID)


@meaning(ops.TopCentroids)
def top_centroids(op: ops.TopCentroids, memory: Memory) -> None:
    """Take the indices of the largest scores."""
    order = np.argsort(-memory.floats(op.scores), axis=-1, kind="stable")
    memory.words(op.y)[:] = order[:, : op.y.shape[1]].astype(np.uint32)


@meaning(ops.CandidateLogits)
def candidate_logits(op: ops.CandidateLogits, memory: Memory) -> None:
    """Multiply by the rows of the head that the chosen centroids stand for."""
    weights, ordering = memory.matrix(op.table), memory.words(op.ordering)
    top, x = memory.words(op.top).astype(np.int64), memory.floats(op.x)
    per = op.ids.shape[1] // top.shape[1]
    places = (top[:, :, np.newaxis] * per + np.arange(per)).reshape(len(top), -1)
    ids, logits = memory.words(op.ids), memory.floats(op.logits)
    ids[:] = ordering[places]
    for r, row in enumerate(x):
        logits[r] = weights[ids[r].astype(np.int64)] @ row
