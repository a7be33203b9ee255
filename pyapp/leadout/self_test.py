"""Whether a device gives a row the same bits however many rows run with it.

The promise of drafting rests on this: a token that was checked among eight rows must be the one
that plain decoding would have chosen. The kernels are written for it (one mapping of lanes to
columns, one order of additions), but WGSL promises no bits. So it is tested when a model is loaded
with a drafter: eight tokens go through passes of 1, 2, 4 and 8 rows, and digests of their logits
are compared.
"""

from __future__ import annotations

from collections.abc import Mapping

from leadout import inputs
from leadout.devices.base import CompiledPlan, Device, submit
from leadout.passes import DIGEST_WORDS, Passes
from leadout.state import Tables

#: Rows 60 to 67 reach over the border of a tile of the KV cache.
_FIRST_POSITION = 60
_NUM_TOKENS = 8


def tokens_to_check(tables: Tables) -> list[int]:
    """Return the tokens that `rows_agree` takes."""
    num_tokens = min(_NUM_TOKENS, tables.context_length)
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
    tables = passes.tables
    start = max(min(_FIRST_POSITION, tables.context_length - _NUM_TOKENS), 0)
    tokens = tokens_to_check(tables)
    found: set[tuple[tuple[int, ...], ...]] = set()
    ready = dict(compiled or {})
    try:
        for rows, plan in passes.checks.items():
            if len(tokens) % rows == 0:
                if rows not in ready:
                    ready[rows] = await device.compile(plan)
                found.add(await _digests(device, ready[rows], rows, passes.min_rows, start, tokens))
    finally:
        for check in ready.values():
            device.release(check)
    return len(found) == 1


async def _digests(
    device: Device, check: CompiledPlan, rows: int, min_rows: int, start: int, tokens: list[int]
) -> tuple[tuple[int, ...], ...]:
    """Return each token's digest, from passes of so many rows; `min_rows`: see `Passes`."""
    readback = check.plan.readback
    assert readback is not None
    digests: list[tuple[int, ...]] = []
    for first in range(0, len(tokens), rows):
        part = tokens[first : first + rows]
        table = inputs.replayed_rows(0, start + first, part, rows, min_rows)
        device.write(readback.buffer, 0, bytes(readback.bytes))
        words = await submit(device, check, start + len(tokens), [table])
        digests += [
            tuple(int(word) for word in words[i * DIGEST_WORDS : (i + 1) * DIGEST_WORDS])
            for i in range(len(part))
        ]
    return tuple(digests)
