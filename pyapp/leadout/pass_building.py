"""Builds the Plans of a model; `passes` says what each one is for."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Sequence

from leadout import ops, sampling, state
from leadout.devices.base import Runnable
from leadout.drafters.base import Drafter
from leadout.models.base import Model
from leadout.ops import Program, ProgramBuilder, Tensor
from leadout.passes import (
    BATCH_DRAFTS,
    DIGEST_WORDS,
    PREFILL_ROWS,
    CycleParts,
    LazyPlans,
    Passes,
    PromptPlans,
)
from leadout.plan import Binding, BufferSpec
from leadout.rows import FEW_ROWS, Rows, padded, rows_of
from leadout.state import LOGITS, Tables

#: Rows of a scoring pass.
SCORE_ROWS = 32

_SUPPRESSED = "suppressed_ids"

#: The table of a prompt's last token.
_LAST = rows_of("last_row", 1)

#: What a Plan's name ends with where it has log-probabilities.
_LOGPROBS = "-logprobs"

#: What it ends with where the host gives embeddings.
_EMBEDDED = "-embedded"


class _Builder:
    """Builds the Programs of one model."""

    def __init__(
        self,
        model: Model,
        drafter: Drafter | None,
        tables: Tables,
        suppress_tokens: Sequence[int],
        min_rows: int,
    ) -> None:
        self.model = model
        self.drafter = drafter
        self.tables = tables
        self.suppress_tokens = suppress_tokens
        self.min_rows = min_rows
        #: Where embeddings lie that the host gives.
        self.embeddings = Tensor("embeddings", (PREFILL_ROWS[-1], model.hidden_size)).binding

    def prefill(self, count: int, is_embedded: bool = False) -> Program:
        p = ProgramBuilder(f"prefill-{count}{_EMBEDDED if is_embedded else ''}")
        rows, _ = self._prefill_rows(count, is_embedded)
        self.model.fill_cache(p, rows)
        # The readback is there only to know when the pass has ended.
        return p.build(readback=self.tables.results, inputs=_inputs_of(rows))

    def prefill_last(
        self, count: int, has_logprobs: bool = False, is_embedded: bool = False
    ) -> Program:
        name = f"prefill-{count}-last{_LOGPROBS if has_logprobs else ''}"
        p = ProgramBuilder(name + (_EMBEDDED if is_embedded else ""))
        rows, last = self._prefill_rows(count, is_embedded)
        (hidden, logits), _ = self._forward(p, rows, last)
        inputs = (*_inputs_of(rows, last), self.tables.seen)
        return self._finish(p, hidden, logits, last, 1, 0, has_logprobs, inputs)

    def prefill_open(self, count: int, is_embedded: bool = False) -> Program:
        p = ProgramBuilder(f"prefill-{count}-open{_EMBEDDED if is_embedded else ''}")
        rows, last = self._prefill_rows(count, is_embedded)
        _, left = self._forward(p, rows, last)
        return p.build(left=left, inputs=_inputs_of(rows, last))

    def prefill_close(self, count: int, has_logprobs: bool) -> Program:
        p = ProgramBuilder(f"prefill-{count}-close{_LOGPROBS if has_logprobs else ''}")
        return self._close(p, *self._prefill_rows(count), 1, 0, has_logprobs)

    def cycle(self, num_drafts: int, num_groups: int = 1, has_logprobs: bool = False) -> Program:
        p = ProgramBuilder(_named("cycle", num_drafts, num_groups, has_logprobs))
        lane_rows, rows = self._begin(p, num_drafts, num_groups)
        if num_drafts > 0:
            assert self.drafter is not None
            self.drafter.draft(p, lane_rows, rows, self.tables, num_drafts)
        hidden = self.model.forward(p, rows)
        logits = self._logits(p, hidden, rows)
        inputs = (self.tables.turns,)
        return self._finish(p, hidden, logits, rows, num_groups, num_drafts, has_logprobs, inputs)

    def draft(self, num_drafts: int, num_groups: int) -> Program:
        assert self.drafter is not None
        p = ProgramBuilder(_named("draft", num_drafts, num_groups))
        lane_rows, rows = self._begin(p, num_drafts, num_groups)
        self.drafter.draft(p, lane_rows, rows, self.tables, num_drafts)
        p.add(ops.PlaceGiven("place_given", lane_rows, rows, self.tables, num_drafts))
        return p.build(readback=rows.table, inputs=(self.tables.turns, self.tables.given))

    def forward(self, num_drafts: int, num_groups: int) -> Program:
        p = ProgramBuilder(_named("forward", num_drafts, num_groups))
        _, left = self._forward(p, self._cycle_rows(num_drafts, num_groups))
        return p.build(left=left)

    def given(self, num_drafts: int, num_groups: int) -> Program:
        p = ProgramBuilder(_named("given", num_drafts, num_groups))
        lane_rows, rows = self._begin(p, num_drafts, num_groups)
        if num_drafts > 0:
            p.add(ops.PlaceGiven("place_given", lane_rows, rows, self.tables, num_drafts))
        _, left = self._forward(p, rows)
        return p.build(left=left, inputs=(self.tables.turns, self.tables.given))

    def close(self, num_drafts: int, num_groups: int, has_logprobs: bool) -> Program:
        p = ProgramBuilder(_named("close", num_drafts, num_groups, has_logprobs))
        rows = self._cycle_rows(num_drafts, num_groups)
        return self._close(p, rows, None, num_groups, num_drafts, has_logprobs)

    def _close(
        self,
        p: ProgramBuilder,
        rows: Rows,
        last: Rows | None,
        num_groups: int,
        num_drafts: int,
        has_logprobs: bool,
    ) -> Program:
        """Choose behind what `_forward` left."""
        # The same tensors: of a Program of its own, whose ops are not wanted.
        (hidden, logits), _ = self._forward(ProgramBuilder("forward"), rows, last)
        for one in (hidden, logits):
            p.tensor(one.buffer, *one.shape)
        chosen = rows if last is None else last
        inputs = (self.tables.seen, self.tables.logits(chosen.count), chosen.table)
        return self._finish(p, hidden, logits, chosen, num_groups, num_drafts, has_logprobs, inputs)

    def _forward(
        self, p: ProgramBuilder, rows: Rows, last: Rows | None = None
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, ...]]:
        """Append what `close` needs; return (hidden, logits), and what of them it reads."""
        hidden = self.model.forward(p, rows, last)
        logits = self._logits(p, hidden, rows if last is None else last)
        left = (logits,) if self.drafter is None else (hidden, logits)
        return (hidden, logits), left

    def _prefill_rows(self, count: int, is_embedded: bool = False) -> tuple[Rows, Rows]:
        # The row table is padded in front, so the prompt's last token is always the last row.
        row_bytes = self.embeddings.bytes // PREFILL_ROWS[-1]
        given = dataclasses.replace(self.embeddings, bytes=count * row_bytes)
        embeddings = given if is_embedded else None
        return rows_of("rows", count, is_prefill=True, embeddings=embeddings), _LAST

    def _cycle_rows(self, num_drafts: int, num_groups: int) -> Rows:
        return rows_of("cycle_rows", padded(num_groups * (1 + num_drafts), self.min_rows))

    def _begin(self, p: ProgramBuilder, num_drafts: int, num_groups: int) -> tuple[Rows, Rows]:
        """Begin a cycle; return its drafter's rows and those of its verify pass."""
        lane_rows = rows_of("lane_rows", num_groups)
        rows = self._cycle_rows(num_drafts, num_groups)
        p.add(ops.BeginCycle("begin_cycle", lane_rows, rows, self.tables, num_drafts))
        return lane_rows, rows

    def logprobs_alone(self, num_drafts: int, num_groups: int) -> Program:
        """Return what has the scratch of all that a cycle with logprobs adds to one without."""
        p = ProgramBuilder("logprobs")
        rows = self._cycle_rows(num_drafts, num_groups)
        logits = p.tensor(LOGITS, rows.count, self.tables.vocab_size)
        choices = p.tensor("choices", rows.count, dtype="u32")
        name = "logprobs"
        p.add(ops.Logprobs(name, logits, choices, rows, self.tables, num_groups, num_drafts))
        return p.build()

    def check(self, count: int) -> Program:
        p = ProgramBuilder(f"check-{count}")
        rows = rows_of("cycle_rows", padded(count, self.min_rows))
        logits = self._logits(p, self.model.forward(p, rows), rows)
        digests = p.tensor("digests", FEW_ROWS[-1], DIGEST_WORDS, dtype="u32")
        p.add(ops.Digest("digest", logits, digests))
        return p.build(readback=digests.binding, inputs=_inputs_of(rows))

    def score(self) -> tuple[Program, Tensor]:
        p = ProgramBuilder(f"score-{SCORE_ROWS}")
        rows = rows_of("rows", SCORE_ROWS, is_prefill=True)
        logits = p.tensor("score_logits", SCORE_ROWS, self.tables.vocab_size)
        self.model.head(p, self.model.forward(p, rows), rows, logits)
        return p.build(inputs=_inputs_of(rows)), logits

    def _logits(self, p: ProgramBuilder, hidden: Tensor, rows: Rows) -> Tensor:
        logits = p.tensor(LOGITS, rows.count, self.tables.vocab_size)
        self.model.head(p, hidden, rows, logits)
        return logits

    def _finish(
        self,
        p: ProgramBuilder,
        hidden: Tensor,
        logits: Tensor,
        rows: Rows,
        num_groups: int,
        num_drafts: int,
        has_logprobs: bool,
        inputs: Sequence[Binding],
    ) -> Program:
        """Choose behind every row, accept, and let the drafter keep what it needs."""
        tables = self.tables
        if self.suppress_tokens:
            ids = Tensor(_SUPPRESSED, (len(self.suppress_tokens),), "u32")
            p.add(ops.Suppress("suppress", ids, logits))
        choices = p.tensor("choices", rows.count, dtype="u32")
        p.add(ops.Choose("choose", logits, None, rows, tables, choices))
        pages = self.model.pages
        slots = None if pages is None else Tensor(pages.slots.buffer, (pages.num_ids,), "u32")
        p.add(ops.Accept("accept", choices, rows, tables, num_groups, num_drafts, slots))
        if self.drafter is not None:
            self.drafter.keep(p, hidden, rows, tables, num_groups, num_drafts)
        if not has_logprobs:
            return p.build(readback=tables.results, inputs=inputs)
        name = "logprobs"
        p.add(ops.Logprobs(name, logits, choices, rows, tables, num_groups, num_drafts))
        return p.build(readback=tables.results_and_logprobs, inputs=inputs)


def _inputs_of(*tables: Rows) -> tuple[Binding, ...]:
    """Return what the host writes of rows: their tables, and embeddings."""
    given = (rows.embeddings for rows in tables if rows.embeddings is not None)
    return (*(rows.table for rows in tables), *given)


def _named(kind: str, num_drafts: int, num_groups: int, has_logprobs: bool = False) -> str:
    suffix = f"-of-{num_groups}" if num_groups > 1 else ""
    return f"{kind}-{num_drafts}{suffix}{_LOGPROBS if has_logprobs else ''}"


def build_passes(
    model: Model,
    drafter: Drafter | None,
    tables: Tables,
    lower: Callable[[Program], Runnable],
    *,
    max_draft_tokens: int = 0,
    suppress_tokens: Sequence[int] = (),
    min_rows: int = 1,
) -> Passes:
    """Build the Plans.

    Args:
        model: placed, see its module.
        drafter: what cycles with drafts use, or None.
        tables: what stays on the device.
        lower: of the device that runs them.
        max_draft_tokens: cycles are built for 0 to this many drafts.
        suppress_tokens: ids that are never chosen.
        min_rows: the fewest rows that a pass with few rows computes. The widest of FEW_ROWS makes
            all of these passes use the same kernels, on devices where others differ in bits.
    """
    builder = _Builder(model, drafter, tables, suppress_tokens, min_rows)
    lanes = tables.num_lanes
    # A prompt beside which others decode is cut more finely.
    sizes = PREFILL_ROWS if lanes > 1 else PREFILL_ROWS[-1:]
    prefills = {count: lower(builder.prefill(count)) for count in sizes}
    prefills_last = {count: lower(builder.prefill_last(count)) for count in PREFILL_ROWS}
    num_drafts = range(1 + (max_draft_tokens if drafter is not None else 0))
    cycles = {k: lower(builder.cycle(k)) for k in num_drafts}
    batch_cycles = {
        groups: {k: lower(builder.cycle(k, groups)) for k in BATCH_DRAFTS if k in num_drafts}
        for groups in FEW_ROWS
        if 1 < groups <= lanes
    }
    widest = padded(len(num_drafts))
    checks = {rows: lower(builder.check(rows)) for rows in FEW_ROWS if rows <= widest}
    buffers: dict[str, BufferSpec] = {}
    constants = dict(model.constants())
    for plans in (prefills, prefills_last, cycles, checks, *batch_cycles.values()):
        for plan in plans.values():
            constants |= plan.constants
            for name, spec in plan.buffers.items():
                known = buffers.get(name)
                buffers[name] = BufferSpec(max(spec.bytes, known.bytes if known else 0))
    scoring, score_logits = builder.score()
    score = lower(scoring)

    def lazily(groups: int) -> LazyPlans:
        return LazyPlans(lambda k: lower(builder.cycle(k, groups, True)))

    def parts(groups: int) -> CycleParts:
        return CycleParts(
            draft=LazyPlans(lambda k: lower(builder.draft(k, groups))),
            forward=LazyPlans(lambda k: lower(builder.forward(k, groups))),
            given=LazyPlans(lambda k: lower(builder.given(k, groups))),
        )

    def closing(groups: int, has_logprobs: bool) -> LazyPlans:
        return LazyPlans(lambda k: lower(builder.close(k, groups, has_logprobs)))

    def closing_prefills(has_logprobs: bool) -> LazyPlans:
        return LazyPlans(lambda count: lower(builder.prefill_close(count, has_logprobs)))

    most_groups = max((1, *batch_cycles))
    for name, spec in lower(builder.logprobs_alone(max(num_drafts), most_groups)).buffers.items():
        buffers.setdefault(name, spec)
    # What it has of constants is small, and may be its own.
    constants |= score.constants
    buffers |= {name: score.buffers[name] for name in score.constants}
    score_buffers = {name: spec for name, spec in score.buffers.items() if name not in buffers}
    buffers |= tables.buffers(
        {
            "rows": PREFILL_ROWS[-1],
            "last_row": 1,
            "lane_rows": lanes,
            "cycle_rows": padded(lanes * widest, min_rows),
        }
    )
    buffers |= sampling.buffers(lanes)
    # Lanes that are idle are computed beside others, so their settings must make sense.
    constants["settings"] = sampling.Sampling().pack() * lanes
    constants["turns"] = state.pack_turns([0], lanes)
    buffers |= model.buffers()
    if suppress_tokens:
        buffers[_SUPPRESSED] = BufferSpec(4 * len(suppress_tokens))
        constants[_SUPPRESSED] = struct.pack(f"<{len(suppress_tokens)}I", *suppress_tokens)
    if drafter is not None:
        buffers |= drafter.buffers(lanes)
        constants |= drafter.constants()

    def open_prefills(is_embedded: bool) -> LazyPlans:
        return LazyPlans(lambda count: lower(builder.prefill_open(count, is_embedded)))

    def last_prefills(has_logprobs: bool, is_embedded: bool) -> LazyPlans:
        return LazyPlans(
            lambda count: lower(builder.prefill_last(count, has_logprobs, is_embedded))
        )

    return Passes(
        tables=tables,
        embedded=PromptPlans(
            prefill=LazyPlans(lambda count: lower(builder.prefill(count, True))),
            prefill_last=last_prefills(False, True),
            prefill_with_logprobs=last_prefills(True, True),
            prefill_open=open_prefills(True),
        ),
        embeddings=builder.embeddings,
        hidden_size=model.hidden_size,
        prefill=prefills,
        prefill_last=prefills_last,
        cycles=cycles,
        batch_cycles=batch_cycles,
        checks=checks,
        prefill_with_logprobs=last_prefills(True, False),
        cycles_with_logprobs={groups: lazily(groups) for groups in (1, *batch_cycles)},
        parts={groups: parts(groups) for groups in (1, *batch_cycles)},
        prefill_open=open_prefills(False),
        prefill_close={
            has_logprobs: closing_prefills(has_logprobs) for has_logprobs in (False, True)
        },
        closing={
            (groups, has_logprobs): closing(groups, has_logprobs)
            for groups in (1, *batch_cycles)
            for has_logprobs in (False, True)
        },
        buffers=buffers,
        constants=constants,
        min_rows=min_rows,
        score=score,
        score_rows=SCORE_ROWS,
        score_logits=score_logits,
        score_buffers=score_buffers,
    )
