"""What stays on the device between passes, word by word.

Keep in step with web/kernels/advance.wgsl, which writes all three tables.

    rows      one vec4<u32> a row: (lane, position, token, flags); flag 1 = valid. A row that is not
              valid is padding: it writes nothing to the KV cache and is not attended to.
    state     one vec4<u32> a lane: (length, last token, is active, 0). `length` counts the known
              tokens, prompt and generated; the last of them is not in the KV cache yet.
    results   one vec4<u32> a lane: (tokens chosen in this pass, the token, 0, 0), read back.
    seen      one bit per lane and id of the vocabulary: which ids the lane's tokens include.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from leadout.plan import Binding, BufferSpec

ROW_VALID = 1
ROW_BYTES = 16
STATE_BYTES = 16
RESULT_BYTES = 16
RESULT_WORDS = RESULT_BYTES // 4


def buffers(num_lanes: int, max_rows: int, vocab_size: int) -> dict[str, BufferSpec]:
    """Return the buffers of the tables above."""
    return {
        "rows": BufferSpec(ROW_BYTES * max(max_rows, num_lanes)),
        "state": BufferSpec(STATE_BYTES * num_lanes),
        "results": BufferSpec(RESULT_BYTES * num_lanes),
        "seen": BufferSpec(num_lanes * seen_bytes(vocab_size)),
    }


def seen_bytes(vocab_size: int) -> int:
    """Return the bytes of one lane's bits of seen ids."""
    return vocab_size // 8


def pack_rows(lane: int, start: int, tokens: Sequence[int], num_rows: int) -> bytes:
    """Return a row table for consecutive tokens of one lane.

    The tokens stand at the end of the table, so that the last token is always the last row; the
    rows before them are not valid.

    Args:
        lane: the sequence.
        start: position of the first token.
        tokens: at most `num_rows` ids.
        num_rows: rows of the pass.
    """
    padding = num_rows - len(tokens)
    assert padding >= 0
    words = [0] * (4 * padding)
    for i, token in enumerate(tokens):
        words += (lane, start + i, token, ROW_VALID)
    return struct.pack(f"<{len(words)}I", *words)


def pack_state(length: int) -> bytes:
    """Return a lane's state before its prompt's last pass: inactive until a token is chosen."""
    return struct.pack("<4I", length, 0, 0, 0)


def row_table(num_rows: int) -> Binding:
    """Return the binding of the first `num_rows` rows."""
    return Binding("rows", 0, ROW_BYTES * num_rows)
