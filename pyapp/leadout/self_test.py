"""Whether a device gives a row the same bits however many rows run with it.

The promise of drafting rests on this: a token that was checked among eight rows must be the one
that plain decoding would have chosen. The kernels are written for it (one mapping of lanes to
columns, one order of additions), but WGSL promises no bits. So it is tested when a model is loaded
with a drafter: as many tokens as the widest pass has rows, eight at most, go through passes of 1,
2, 4 and 8 rows, and digests of their logits are compared.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from leadout import inputs
from leadout.devices.base import CompiledPlan, Device, Readback, submit
from leadout.passes import DIGEST_WORDS, Passes

#: A border of a tile of the KV cache, which the tokens reach over.
_BORDER = 64


def tokens_to_check(passes: Passes) -> list[int]:
    """Return the tokens that `rows_agree` takes: as many as the widest check has rows."""
    tables = passes.tables
    num_tokens = min(max(passes.checks), tables.context_length)
    return [(7919 * (i + 1)) % tables.vocab_size for i in range(num_tokens)]


async def rows_agree(
    device: Device, passes: Passes, compiled: Mapping[int, CompiledPlan] | None = None
) -> bool:
    """Return whether all passes with few rows give the same bits.

    Args:
        device: with the weights loaded; its caches' first positions are overwritten.
        passes: whose checks are run; those of fewer rows than `min_rows` are padded.
        compiled: checks that are compiled already, by rows. All are released at the end.
    """
    tokens = tokens_to_check(passes)
    ready = dict(compiled or {})
    # All are submitted before the first is waited for, so that the device never is.
    pending: deque[tuple[int, Readback]] = deque()
    digests: dict[int, list[int]] = {}
    try:
        for rows, plan in passes.checks.items():
            if len(tokens) % rows == 0:
                if rows not in ready:
                    ready[rows] = await device.compile(plan)
                for readback in _submitted(device, passes, ready[rows], rows, tokens):
                    pending.append((rows, readback))
        while pending:
            rows, readback = pending.popleft()
            words = await readback
            digests.setdefault(rows, []).extend(words[: rows * DIGEST_WORDS])
    finally:
        for _, readback in pending:
            readback.discard()
        for check in ready.values():
            device.release(check)
    return all(digest == digests[1] for digest in digests.values())


def _submitted(
    device: Device, passes: Passes, check: CompiledPlan, rows: int, tokens: list[int]
) -> Iterator[Readback]:
    """Submit passes of so many rows, and yield their tokens' digests, still to come."""
    readback = check.plan.readback
    assert readback is not None
    start = max(min(_BORDER - len(tokens) // 2, passes.tables.context_length - len(tokens)), 0)
    for first in range(0, len(tokens), rows):
        part = tokens[first : first + rows]
        table = inputs.replayed_rows(0, start + first, part, rows, passes.min_rows)
        device.write(readback.buffer, 0, bytes(readback.bytes))
        yield submit(device, check, start + len(tokens), [table])
