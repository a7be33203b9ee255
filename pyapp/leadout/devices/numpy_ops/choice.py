"""The rows of a cycle, and what it commits."""

from __future__ import annotations

import itertools

import numpy as np

from leadout import ops, sampling
from leadout.devices.numpy_ops import Memory, meaning
from leadout.devices.numpy_ops.sampling import SETTINGS
from leadout.state import (
    AHEAD_BIT,
    GIVEN_WORDS,
    LOGPROB_WORDS,
    MAX_COUNT,
    NO_LANE,
    RESULT_HEAD_WORDS,
    RESULT_WORDS,
    ROW_OF_DRAFTER,
    ROW_VALID,
)


@meaning(ops.BeginCycle)
def begin_cycle(op: ops.BeginCycle, memory: Memory) -> None:
    """Write the rows that a cycle begins with."""
    state = memory.view(op.tables.state).reshape(-1, 4)
    turns = memory.view(op.tables.turns).tolist()
    lane_rows, rows = memory.rows(op.lane_rows), memory.rows(op.rows)
    lane_rows[:] = 0
    rows[:] = 0
    for group, lane in enumerate(turns[: op.lane_rows.count]):
        if lane == NO_LANE:
            continue
        length, token, is_active, _ = state[lane].tolist()
        position = (length - 1) % 2**32
        is_valid = int(is_active == 1 and position < op.tables.context_length)
        lane_rows[group] = (lane, position, token, is_valid | ROW_OF_DRAFTER)
        rows[group * (1 + op.num_drafts)] = (lane, position, token, is_valid)


@meaning(ops.TakeLanes)
def take_lanes(op: ops.TakeLanes, memory: Memory) -> None:
    """Copy the rows of the groups' lanes."""
    memory.floats(op.y)[:] = memory.floats(op.x)[memory.rows(op.rows)[:, 0]]


@meaning(ops.PlaceDraft)
def place_draft(op: ops.PlaceDraft, memory: Memory) -> None:
    """Put one draft of every lane into the rows of the verify pass and of the drafter."""
    lane_rows, rows = memory.rows(op.lane_rows), memory.rows(op.rows)
    choices = memory.words(op.choices)
    for group in range(op.lane_rows.count):
        lane, last, _, flags = lane_rows[group].tolist()
        ahead, draft = (flags >> AHEAD_BIT) + 1, int(choices[group])
        is_valid, kept = flags & ROW_VALID, flags & (ROW_VALID | ROW_OF_DRAFTER)
        lane_rows[group] = (lane, last, draft, kept | ahead << AHEAD_BIT)
        position = (last + ahead) % 2**32
        is_valid &= position < op.tables.context_length
        rows[group * (1 + op.num_drafts) + ahead] = (lane, position, draft, is_valid)


@meaning(ops.PlaceGiven)
def place_given(op: ops.PlaceGiven, memory: Memory) -> None:
    """Put the host's drafts behind each lane's first row."""
    lane_rows, rows = memory.rows(op.lane_rows), memory.rows(op.rows)
    given = memory.view(op.tables.given).reshape(-1, GIVEN_WORDS)
    for group, (lane, last, _, flags) in enumerate(lane_rows.tolist()):
        if not flags & ROW_VALID:
            continue
        count = min(int(given[lane, 0]), op.num_drafts, op.tables.context_length - 1 - last)
        for i, draft in enumerate(given[lane, 1 : 1 + count].tolist()):
            rows[group * (1 + op.num_drafts) + 1 + i] = (lane, last + 1 + i, draft, ROW_VALID)


@meaning(ops.Accept)
def accept(op: ops.Accept, memory: Memory) -> None:
    """Commit the accepted drafts and the bonus token of every lane."""
    tables, drafts = op.tables, op.num_drafts
    lanes, capacity = tables.num_lanes, tables.context_length
    choices, rows = memory.words(op.choices).tolist(), memory.rows(op.rows)
    state, seen = memory.view(tables.state).reshape(-1, 4), memory.view(tables.seen)
    seen_words = tables.seen_bytes // 4
    history = memory.view(tables.history).reshape(lanes, capacity)
    results = memory.view(tables.results).reshape(-1, RESULT_WORDS)
    slots = None if op.slots is None else memory.words(op.slots)
    results[:] = 0
    for group in range(op.num_groups):
        first = group * (1 + drafts)
        lane = int(rows[first, 0])
        if not rows[first, 3] & ROW_VALID:
            continue
        length, counts = int(state[lane, 0]), int(state[lane, 3])
        lane_seen = seen[lane * seen_words : (lane + 1) * seen_words]
        group_rows = rows[first : first + 1 + drafts].tolist()
        # Drafts that are not valid stand behind all others.
        valid = list(itertools.takewhile(lambda row: row[3] & ROW_VALID, group_rows))
        missing = [i for i, row in enumerate(valid) if slots is not None and slots[row[2]] == 0]
        known = valid[: missing[0]] if missing else valid
        tokens: list[int] = []
        for i in range(len(known)):
            tokens.append(choices[first + i])
            if i + 1 == len(known) or known[i + 1][2] != tokens[-1]:
                break
        for i, token in enumerate(tokens):
            lane_seen[token // 32] |= np.uint32(1 << token % 32)
            place = tables.moves_offset // 4 + token
            if counts and lane_seen[place] & MAX_COUNT < MAX_COUNT:
                lane_seen[place] += np.uint32(1)
            if length + i < capacity:
                history[lane, length + i] = token
        listed = tokens + [valid[i][2] for i in missing]
        results[lane, :3] = (len(tokens), max(len(known) - 1, 0), len(missing))
        results[lane, RESULT_HEAD_WORDS : RESULT_HEAD_WORDS + len(listed)] = listed
        if tokens:
            state[lane] = (length + len(tokens), tokens[-1], 1, counts)


@meaning(ops.Logprobs)
def logprobs(op: ops.Logprobs, memory: Memory) -> None:
    """Take log softmax of the rows that were committed; list the largest."""
    tables, rows = op.tables, memory.rows(op.rows)
    settings = memory.view(sampling.settings(tables.num_lanes)).view(SETTINGS)
    logits, choices = memory.floats(op.logits), memory.words(op.choices)
    results = memory.view(tables.results).reshape(-1, RESULT_WORDS)
    everything = memory.view(tables.results_and_logprobs)
    told = everything[results.size :].reshape(tables.num_lanes, -1, LOGPROB_WORDS)
    for r in range(op.num_groups * (1 + op.num_drafts)):
        lane, place = int(rows[r, 0]), r % (1 + op.num_drafts)
        wanted = int(settings[lane]["logprobs"])
        if not wanted or not rows[r, 3] & ROW_VALID or place >= results[lane, 0]:
            continue
        shifted = logits[r] - logits[r].max()
        found = shifted - np.log(np.exp(shifted).sum(dtype=np.float32))
        top = np.argsort(-logits[r], kind="stable")[: wanted - 1]
        words = told[lane, place]
        words[0], words[1:2] = len(top), found[choices[r]].reshape(1).view(np.uint32)
        words[2 : 2 + len(top)] = top
        first = 2 + sampling.MAX_TOP_LOGPROBS
        words[first : first + len(top)] = found[top].view(np.uint32)


@meaning(ops.TakeAccepted)
def take_accepted(op: ops.TakeAccepted, memory: Memory) -> None:
    """Keep the row behind which each lane's last token was chosen."""
    x, y, rows = memory.floats(op.x), memory.floats(op.y), memory.rows(op.rows)
    results = memory.view(op.tables.results).reshape(-1, RESULT_WORDS)
    for group in range(op.num_groups):
        first = group * (1 + op.num_drafts)
        lane = int(rows[first, 0])
        count = int(results[lane, 0])
        if rows[first, 3] & ROW_VALID and count:
            y[lane, op.offset : op.offset + x.shape[1]] = x[first + count - 1]
