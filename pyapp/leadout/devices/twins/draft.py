"""Twins of place_draft, ngram_draft, top_centroids and candidate_logits."""

from __future__ import annotations

import numpy as np

from leadout.devices.twins import Call, twin
from leadout.devices.twins.linear import matrix
from leadout.state import ROW_VALID


@twin
def place_draft(call: Call) -> None:
    """Put one draft of every lane into the rows of the verify pass and of the drafter."""
    lanes, drafts, step = call.integer("LANES"), call.integer("DRAFTS"), call.integer("STEP")
    lane_rows, draft_rows, rows = (call.bindings[i].reshape(-1, 4) for i in (1, 2, 3))
    for lane in range(lanes):
        row = lane_rows[lane].copy()
        if step > 0:
            row[2] = call.bindings[0][lane]
        draft_rows[lane] = row
        row[1] += np.uint32(step)
        if row[1] >= call.integer("CAPACITY"):
            row[3] = 0
        rows[lane * (1 + drafts) + step] = row
    if step == 0:
        rows[lanes * (1 + drafts) : call.integer("ROWS")] = 0


@twin
def ngram_draft(call: Call) -> None:
    """Look the lanes' last tokens up in their own text."""
    lanes, drafts, capacity = (
        call.integer("LANES"),
        call.integer("DRAFTS"),
        call.integer("CAPACITY"),
    )
    longest, shortest = call.integer("LONGEST"), call.integer("SHORTEST")
    lane_rows, rows = call.bindings[0].reshape(-1, 4), call.bindings[2].reshape(-1, 4)
    histories = call.bindings[1][: lanes * capacity].reshape(lanes, capacity)
    for lane in range(lanes):
        row = lane_rows[lane]
        last, first = int(row[1]), lane * (1 + drafts)
        best = (0, 0)
        if row[3] & ROW_VALID:
            history = histories[lane, : last + 1]
            runs = np.zeros(last, np.int64)
            still = np.ones(last, bool)
            for back in range(min(longest, last)):
                equal = np.zeros(last, bool)
                equal[back:] = history[: last - back] == history[last - back]
                still &= equal
                runs += still
            if last > 0:
                length = int(runs.max())
                best = (length, int(np.flatnonzero(runs == length)[-1]))
        rows[first] = row
        for i in range(drafts):
            position = (last + 1 + i) % 2**32
            draft = (int(row[0]), position, 0, 0)
            if best[0] >= shortest and position < capacity:
                source = best[1] + 1 + i % (last - best[1])
                draft = (int(row[0]), position, int(histories[lane, source]), ROW_VALID)
            rows[first + 1 + i] = draft
    rows[lanes * (1 + drafts) : call.integer("ROWS")] = 0


@twin
def top_centroids(call: Call) -> None:
    """The indices of the largest scores; of equals, the lower goes first."""
    size, top = call.integer("N"), call.integer("TOP")
    scores = call.floats(0).reshape(-1, size)
    order = np.argsort(-scores, axis=-1, kind="stable")[:, :top]
    call.bindings[1][: order.size] = order.astype(np.uint32).ravel()


@twin
def candidate_logits(call: Call) -> None:
    """The logits of the ids that the chosen centroids stand for."""
    weights, num_planes = matrix(call)
    per, top, first = call.integer("PER"), call.integer("TOP"), call.integer("FIRST", 0)
    ordering, chosen = call.bindings[num_planes], call.bindings[num_planes + 1]
    chosen = chosen.reshape(-1, top).astype(np.int64)
    x = call.floats(num_planes + 2).reshape(-1, call.integer("K"))[: len(chosen)]
    places = (chosen[:, :, np.newaxis] * per + np.arange(per)).reshape(len(chosen), -1)
    ids = ordering[places]
    out_ids = call.bindings[num_planes + 3][: ids.size].reshape(ids.shape)
    logits = call.floats(num_planes + 4)[: ids.size].reshape(ids.shape)
    here = (ids >= first) & (ids < first + call.integer("N"))
    for r in range(len(ids)):
        mine = ids[r, here[r]]
        out_ids[r, here[r]] = mine
        logits[r, here[r]] = weights[mine.astype(np.int64) - first] @ x[r]
