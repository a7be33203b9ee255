"""Twins of begin_cycle, accept and take_accepted."""

from __future__ import annotations

import numpy as np

from leadout.devices.twins import Call, twin
from leadout.state import RESULT_HEAD_WORDS, RESULT_WORDS, ROW_VALID


@twin
def begin_cycle(call: Call) -> None:
    """The rows that a cycle begins with."""
    drafts, capacity = call.integer("DRAFTS"), call.integer("CAPACITY")
    state, lane_rows, rows = (call.bindings[i].reshape(-1, 4) for i in range(3))
    rows[: call.integer("ROWS")] = 0
    for lane in range(call.integer("LANES")):
        length, token, is_active, _ = state[lane].tolist()
        position = (length - 1) % 2**32
        row = (lane, position, token, int(is_active == 1 and position < capacity))
        lane_rows[lane] = rows[lane * (1 + drafts)] = row


@twin
def accept(call: Call) -> None:
    """Commit the accepted drafts and the bonus token of every lane."""
    vocab_size, lanes = call.integer("V"), call.integer("LANES")
    drafts, capacity = call.integer("DRAFTS"), call.integer("CAPACITY")
    choices, rows = call.bindings[0].tolist(), call.bindings[1].reshape(-1, 4)
    state, seen = call.bindings[2].reshape(-1, 4), call.bindings[3]
    history = call.bindings[4][: lanes * capacity].reshape(lanes, capacity)
    results = call.bindings[5].reshape(-1, RESULT_WORDS)
    results[:lanes] = 0
    for group in range(call.integer("GROUPS")):
        first = group * (1 + drafts)
        lane = int(rows[first, 0])
        if not rows[first, 3] & ROW_VALID:
            continue
        length = int(state[lane, 0])
        group_rows = rows[first : first + 1 + drafts]
        tokens: list[int] = []
        for i in range(1 + drafts):
            tokens.append(choices[first + i])
            is_last = i == drafts or not group_rows[i + 1, 3] & ROW_VALID
            if is_last or group_rows[i + 1, 2] != tokens[-1]:
                break
        for i, token in enumerate(tokens):
            seen[(lane * vocab_size + token) // 32] |= np.uint32(1 << token % 32)
            if length + i < capacity:
                history[lane, length + i] = token
        results[lane, 0] = len(tokens)
        results[lane, 1] = int((group_rows[1:, 3] & ROW_VALID).sum())
        results[lane, RESULT_HEAD_WORDS : RESULT_HEAD_WORDS + len(tokens)] = tokens
        state[lane] = (length + len(tokens), tokens[-1], 1, 0)


@twin
def take_accepted(call: Call) -> None:
    """Keep the row behind which each lane's last token was chosen."""
    size, drafts = call.integer("D"), call.integer("DRAFTS")
    stride, offset = call.integer("OUT_STRIDE"), call.integer("OUT_OFFSET", 0)
    x, rows = call.floats(0).reshape(-1, size), call.bindings[1].reshape(-1, 4)
    results = call.bindings[2].reshape(-1, call.integer("RESULT_WORDS"))
    y = call.floats(3)[: len(results) * stride].reshape(-1, stride)
    for group in range(call.workgroups[1]):
        first = group * (1 + drafts)
        lane = int(rows[first, 0])
        count = int(results[lane, 0])
        if rows[first, 3] & ROW_VALID and count:
            y[lane, offset : offset + size] = x[first + count - 1]
