"""The Plans of a model: prefill, cycles, score, check.

    prefill(rows)   rows of one lane into the KV cache; with `is_last`, also the first token
    cycle(k)        k drafts of every lane, one verify pass over 1 + k rows, accept; k = 0 is plain
                    decoding
    score(rows)     like prefill, with the logits of every row kept
    check(rows)     a verify pass over given rows that leaves digests of its logits, for the
                    self-test

All share scratch buffers: a device runs one pass at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from leadout import ops, sampling
from leadout.drafters.base import Drafter
from leadout.models.base import KV_TILES, Model
from leadout.plan import Binding, BufferSpec, Plan, PlanBuilder, Uniforms
from leadout.rows import FEW_ROWS, Rows, padded, rows_of
from leadout.state import Tables

#: Row counts of prefill passes, ascending. A prompt is cut into passes of the last size, and the
#: rest takes the smallest that holds it.
PREFILL_ROWS = (32, 64, 256)

#: Rows of a scoring pass.
SCORE_ROWS = 32

#: Words of a row's digest.
DIGEST_WORDS = 2

_SUPPRESSED = "suppressed_ids"


@dataclass(frozen=True)
class Passes:
    """All Plans of a model, and every buffer but the weights'.

    Attributes:
        tables: what stays on the device between them.
        prefill: by rows; the prompt's passes but the last.
        prefill_last: by rows; ends with the first token.
        cycles: by number of drafts; each reads back the results table.
        checks: by rows; each reads back [rows, 2] words.
        buffers: scratch, tables, KV cache and constants, for all of these.
        constants: what to write into buffers once, after allocation.
        min_rows: the fewest rows that a pass with few rows computes.
        score: leaves the logits of `score_rows` rows in `score_logits`.
        score_buffers: what it needs on top; large, and only for evaluation.
    """

    tables: Tables
    prefill: dict[int, Plan]
    prefill_last: dict[int, Plan]
    cycles: dict[int, Plan]
    checks: dict[int, Plan]
    buffers: dict[str, BufferSpec]
    constants: dict[str, bytes]
    min_rows: int
    score: Plan
    score_rows: int
    score_logits: Binding
    score_buffers: dict[str, BufferSpec]

    def prefills(self) -> Iterator[Plan]:
        """Yield the Plans that every prompt may take."""
        yield from self.prefill.values()
        yield from self.prefill_last.values()


class _Builder:
    """Builds the Plans of one model, and collects their buffers."""

    def __init__(
        self,
        model: Model,
        drafter: Drafter | None,
        tables: Tables,
        suppress_tokens: Sequence[int],
        min_rows: int,
        for_software: bool,
    ) -> None:
        self.model = model
        self.drafter = drafter
        self.tables = tables
        self.suppress_tokens = suppress_tokens
        self.min_rows = min_rows
        self.for_software = for_software
        self.lane_rows = rows_of("lane_rows", padded(tables.num_lanes))
        self.builders: list[PlanBuilder] = []
        self.uniforms = Uniforms()

    def begin(self, name: str, *params: str) -> PlanBuilder:
        self.builders.append(self.builder(name, *params))
        return self.builders[-1]

    def builder(self, name: str, *params: str) -> PlanBuilder:
        return PlanBuilder(name, params, self.uniforms, for_software=self.for_software)

    def prefill(self, count: int) -> Plan:
        b = self.begin(f"prefill-{count}")
        self.model.fill_cache(b, rows_of("rows", count, is_prefill=True))
        return b.build(readback=self.tables.results)  # only to know when the pass has ended

    def prefill_last(self, count: int) -> Plan:
        # The row table is padded in front, so the prompt's last token is always the last row.
        b = self.begin(f"prefill-{count}-last", KV_TILES)
        last = rows_of("last_row", 1)
        hidden = self.model.forward(b, rows_of("rows", count, is_prefill=True), last)
        return self._finish(b, hidden, last, num_groups=1, num_drafts=0)

    def cycle(self, num_drafts: int) -> Plan:
        b = self.begin(f"cycle-{num_drafts}", KV_TILES)
        lanes = self.tables.num_lanes
        rows = rows_of("cycle_rows", padded(lanes * (1 + num_drafts), self.min_rows))
        ops.begin_cycle(b, self.lane_rows, rows, self.tables, num_drafts)
        if num_drafts > 0:
            assert self.drafter is not None
            self.drafter.draft(b, self.lane_rows, rows, self.tables, num_drafts)
        hidden = self.model.forward(b, rows)
        return self._finish(b, hidden, rows, lanes, num_drafts)

    def check(self, count: int) -> Plan:
        b = self.begin(f"check-{count}", KV_TILES)
        rows = rows_of("cycle_rows", padded(count, self.min_rows))
        vocab_size = self.tables.vocab_size
        logits = ops.activations(b, "logits", rows.count, vocab_size)
        self.model.head(b, self.model.forward(b, rows), rows, logits)
        digests = b.scratch("digests", 4 * DIGEST_WORDS * FEW_ROWS[-1])
        ops.digest(b, logits, digests, rows.count, vocab_size)
        return b.build(readback=digests)

    def _finish(
        self, b: PlanBuilder, hidden: Binding, rows: Rows, num_groups: int, num_drafts: int
    ) -> Plan:
        """Choose behind every row, accept, and let the drafter keep what it needs."""
        vocab_size = self.tables.vocab_size
        logits = ops.activations(b, "logits", rows.count, vocab_size)
        self.model.head(b, hidden, rows, logits)
        if self.suppress_tokens:
            ids = Binding(_SUPPRESSED, 0, 4 * len(self.suppress_tokens))
            ops.suppress(b, logits, ids, len(self.suppress_tokens), rows, vocab_size)
        choices = ops.choose(b, logits, vocab_size, rows, self.tables, "target")
        results = ops.accept(b, choices, rows, self.tables, num_groups, num_drafts)
        if self.drafter is not None:
            self.drafter.keep(b, hidden, rows, self.tables, num_groups, num_drafts)
        return b.build(readback=results)


def build_passes(
    model: Model,
    drafter: Drafter | None,
    tables: Tables,
    *,
    max_draft_tokens: int = 0,
    suppress_tokens: Sequence[int] = (),
    min_rows: int = 1,
    for_software: bool = False,
) -> Passes:
    """Build the Plans.

    Args:
        model: placed, see its module.
        drafter: what cycles with drafts use, or None.
        tables: what stays on the device.
        max_draft_tokens: cycles are built for 0 to this many drafts.
        suppress_tokens: ids that are never chosen.
        min_rows: the fewest rows that a pass with few rows computes. The widest of FEW_ROWS makes
            all of these passes use the same kernels, on devices where others differ in bits.
        for_software: they are for an adapter that computes on the CPU.
    """
    builder = _Builder(model, drafter, tables, suppress_tokens, min_rows, for_software)
    prefills = {count: builder.prefill(count) for count in PREFILL_ROWS[-1:]}
    prefills_last = {count: builder.prefill_last(count) for count in PREFILL_ROWS}
    num_drafts = range(1 + (max_draft_tokens if drafter is not None else 0))
    cycles = {k: builder.cycle(k) for k in num_drafts}
    widest = padded(len(num_drafts))
    checks = {rows: builder.check(rows) for rows in FEW_ROWS if rows <= widest}
    buffers: dict[str, BufferSpec] = {}
    for plan_builder in builder.builders:
        for name, spec in plan_builder.buffers.items():
            known = buffers.get(name)
            buffers[name] = BufferSpec(max(spec.bytes, known.bytes if known else 0))
    scoring = builder.builder(f"score-{SCORE_ROWS}")
    rows = rows_of("rows", SCORE_ROWS, is_prefill=True)
    hidden = model.forward(scoring, rows)
    score_logits = ops.activations(scoring, "score_logits", SCORE_ROWS, tables.vocab_size)
    model.head(scoring, hidden, rows, score_logits)
    score_buffers = {name: spec for name, spec in scoring.buffers.items() if name not in buffers}
    constants = {**model.constants(), Uniforms.BUFFER: builder.uniforms.data}
    buffers[Uniforms.BUFFER] = BufferSpec(len(constants[Uniforms.BUFFER]))
    buffers |= tables.buffers(
        {
            "rows": PREFILL_ROWS[-1],
            "last_row": 1,
            "lane_rows": builder.lane_rows.count,
            "cycle_rows": max(
                padded(tables.num_lanes * len(num_drafts), min_rows), padded(widest, min_rows)
            ),
        }
    )
    buffers |= sampling.buffers(tables.num_lanes)
    # Lanes that are idle are computed beside others, so their settings must make sense.
    constants["settings"] = sampling.Sampling().pack() * tables.num_lanes
    buffers |= model.buffers()
    if suppress_tokens:
        buffers[_SUPPRESSED] = BufferSpec(4 * len(suppress_tokens))
        constants[_SUPPRESSED] = struct.pack(f"<{len(suppress_tokens)}I", *suppress_tokens)
    if drafter is not None:
        buffers |= drafter.buffers(builder.lane_rows.count)
        constants |= drafter.constants()
    return Passes(
        tables=tables,
        prefill=prefills,
        prefill_last=prefills_last,
        cycles=cycles,
        checks=checks,
        buffers=buffers,
        constants=constants,
        min_rows=min_rows,
        score=scoring.build(),
        score_rows=SCORE_ROWS,
        score_logits=score_logits,
        score_buffers=score_buffers,
    )
