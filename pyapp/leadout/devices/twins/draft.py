"""Twins of place_draft, ngram_draft, top_centroids and candidate_logits."""

from __future__ import annotations

import numpy as np

from leadout.devices.twins import Call, Words, twin
from leadout.devices.twins.linear import matrix
from leadout.state import AHEAD_BIT, ROW_VALID


def put_draft(choices: Words, lane_rows: Words, rows: Words, drafts: int, capacity: int) -> None:
    """Put a draft of every lane, [lanes], into the rows of the verify pass and of the drafter."""
    lane_rows, rows = lane_rows.reshape(-1, 4), rows.reshape(-1, 4)
    for lane, draft in enumerate(choices.tolist()):
        number, last, _, flags = lane_rows[lane].tolist()
        ahead, is_valid = (flags >> AHEAD_BIT) + 1, flags & ROW_VALID
        lane_rows[lane] = (number, last, draft, is_valid | ahead << AHEAD_BIT)
        position = (last + ahead) % 2**32
        is_valid &= position < capacity
        rows[lane * (1 + drafts) + ahead] = (number, position, draft, is_valid)


@twin
def place_draft(call: Call) -> None:
    """The next draft of every lane."""
    choices = call.bindings[0][: call.integer("LANES")]
    drafts, capacity = call.integer("DRAFTS"), call.integer("CAPACITY")
    put_draft(choices, call.bindings[1], call.bindings[2], drafts, capacity)


@twin
def ngram_draft(call: Call) -> None:
    """Look the lanes' last tokens up in their own text."""
    drafts, capacity = call.integer("DRAFTS"), call.integer("CAPACITY")
    longest, shortest = call.integer("LONGEST"), call.integer("SHORTEST")
    lane_rows, rows = call.bindings[0].reshape(-1, 4), call.bindings[2].reshape(-1, 4)
    lanes = call.workgroups[0]
    histories = call.bindings[1][: lanes * capacity].reshape(lanes, capacity)
    for lane in range(lanes):
        last = int(lane_rows[lane, 1])
        if not lane_rows[lane, 3] & ROW_VALID or last == 0:
            continue
        history = histories[lane, : last + 1]
        runs = np.zeros(last, np.int64)
        still = np.ones(last, bool)
        for back in range(min(longest, last)):
            equal = np.zeros(last, bool)
            equal[back:] = history[: last - back] == history[last - back]
            still &= equal
            runs += still
        if runs.max() < shortest:
            continue
        end = int(np.flatnonzero(runs == runs.max())[-1])
        for i in range(min(drafts, capacity - 1 - last)):
            draft = histories[lane, end + 1 + i % (last - end)]
            rows[lane * (1 + drafts) + 1 + i] = (lane, last + 1 + i, draft, ROW_VALID)


@twin
def top_centroids(call: Call) -> None:
    """The indices of the largest scores; of equals, the lower goes first."""
    top = call.integer("TOP")
    scores = call.floats(0).reshape(call.workgroups[0], -1)
    order = np.argsort(-scores, axis=-1, kind="stable")[:, :top]
    call.bindings[1][: order.size] = order.astype(np.uint32).ravel()


@twin
def candidate_logits(call: Call) -> None:
    """The logits of the ids that the chosen centroids stand for."""
    weights, num_planes = matrix(call, call.integer("N"), call.integer("K"))
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
