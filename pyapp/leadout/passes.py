"""The Plans of a model: prefill, cycles, score, check.

    prefill(rows)   rows of one lane into the KV cache; with `is_last`, also the first token
    cycle(k)        k drafts of every lane that takes part, one verify pass over their 1 + k rows,
                    accept; k = 0 is plain decoding. One Plan for one lane, one for two, and so on
    score(rows)     like prefill, with the logits of every row kept
    check(rows)     a verify pass over given rows that leaves digests of its logits, for the
                    self-test

    prefill_open    the logits behind a prompt, and prefill_close, the choice there
    draft(k)        the rows of a cycle, with k drafts of every lane that takes part, read back
    forward(k)      the logits of these rows
    given(k)        both in one, where all drafts are the host's
    close(k)        the choices behind these rows, and accept

The latter are passes in parts, for choices that the host has a say in. For answers that keep to a
grammar it finds what may stand behind each draft while the device computes logits; and a person's
functions change logits before a token is chosen. Logits, hidden states and rows stay on the
device, so nothing else is submitted between `forward` or `given` and `close`, or between the two
parts of a prompt's pass. Until `close`, a
cycle has changed nothing that counts, and may be given up. The parts are lowered when a request
asks for them, and so are `prefill_with_logprobs` and `cycles_with_logprobs`, which say how likely
their tokens are as well.

All share scratch buffers: a device runs one pass at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field

from leadout import ops, sampling, state
from leadout.devices.base import Runnable
from leadout.drafters.base import Drafter
from leadout.models.base import Model
from leadout.ops import Program, ProgramBuilder, Tensor
from leadout.plan import BufferSpec
from leadout.rows import FEW_ROWS, Rows, padded, rows_of
from leadout.state import Tables

#: Row counts of prefill passes, ascending. A prompt is cut into passes of the last size, and the
#: rest takes the smallest that holds it.
PREFILL_ROWS = (32, 64, 256)

#: Drafts of cycles in which several lanes take part. Fewer than of one lane: every number is a Plan
#: more for each number of lanes.
BATCH_DRAFTS = (0, 1, 3, 7)

#: Rows of a scoring pass.
SCORE_ROWS = 32

#: Words of a row's digest.
DIGEST_WORDS = 2

_SUPPRESSED = "suppressed_ids"

#: The table of a prompt's last token.
_LAST = rows_of("last_row", 1)

#: The buffer of the logits, which a row behind the other lie in.
LOGITS = "logits"

#: What a Plan's name ends with where it has log-probabilities.
_LOGPROBS = "-logprobs"


class LazyPlans(dict[int, Runnable]):
    """Plans by a number, each made when it is first looked up."""

    def __init__(self, make: Callable[[int], Runnable]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, number: int) -> Runnable:
        self[number] = plan = self._make(number)
        return plan


@dataclass(frozen=True)
class CycleParts:
    """What comes before the choices of a cycle in parts; each by the number of drafts.

    Attributes:
        draft: its rows, with a drafter's drafts but where the host gives some; it reads them back.
        forward: the logits behind these.
        given: both in one, where no drafts but the host's are wanted; nothing is read back.
    """

    draft: LazyPlans
    forward: LazyPlans
    given: LazyPlans


@dataclass(frozen=True, repr=False)
class Passes:
    """All Plans of a model, and every buffer but the weights'.

    Attributes:
        tables: what stays on the device between them.
        prefill: by rows; the prompt's passes but the last.
        prefill_last: by rows; ends with the first token.
        cycles: of one lane, by number of drafts; each reads back the results table.
        batch_cycles: of more lanes: by the most that take part (2, 4, 8), then by number of drafts.
        checks: by rows; each reads back [rows, 2] words.
        buffers: scratch, tables, KV cache and constants, for all of these.
        constants: what to write into buffers once, after allocation.
        min_rows: the fewest rows that a pass with few rows computes.
        prefill_with_logprobs: as `prefill_last`, and their readback has log-probabilities.
        cycles_with_logprobs: likewise those of cycles, by the most lanes that take part.
        parts: cycles in parts, by the most lanes that take part.
        prefill_open: by rows; leaves the logits behind a prompt.
        prefill_close: chooses there; by whether it has log-probabilities, then by rows.
        closing: what ends them, by the most lanes that take part and whether they have
            log-probabilities.
        score: leaves the logits of `score_rows` rows in `score_logits`.
        score_buffers: what it needs on top; large, and only for evaluation.
    """

    tables: Tables
    prefill: dict[int, Runnable]
    prefill_last: dict[int, Runnable]
    cycles: dict[int, Runnable]
    checks: dict[int, Runnable]
    prefill_with_logprobs: LazyPlans
    cycles_with_logprobs: dict[int, LazyPlans]
    parts: dict[int, CycleParts]
    prefill_open: LazyPlans
    prefill_close: dict[bool, LazyPlans]
    closing: dict[tuple[int, bool], LazyPlans]
    buffers: dict[str, BufferSpec]
    constants: dict[str, bytes]
    min_rows: int
    score: Runnable
    score_rows: int
    score_logits: Tensor
    score_buffers: dict[str, BufferSpec]
    batch_cycles: dict[int, dict[int, Runnable]] = field(default_factory=dict)

    def cycles_of(self, num_groups: int, has_logprobs: bool = False) -> dict[int, Runnable]:
        """Return the cycles of so many lanes (a number of `group_counts`), by number of drafts."""
        if has_logprobs:
            return self.cycles_with_logprobs[num_groups]
        return self.cycles if num_groups == 1 else self.batch_cycles[num_groups]

    def given_counts(self, num_groups: int) -> list[int]:
        """Return how many drafts the host can give to cycles of so many lanes, ascending, and 0."""
        known = self.cycles_of(num_groups)
        return sorted({0, *(k for k in BATCH_DRAFTS if k in known), max(known)})

    def all_parts(self, num_groups: int, has_logprobs: bool) -> Iterator[Runnable]:
        """Yield what answers that keep to a grammar take, of so many lanes."""
        parts = self.parts[num_groups]
        for num_drafts in self.given_counts(num_groups):
            yield parts.given[num_drafts]
            yield self.closing[num_groups, has_logprobs][num_drafts]
            if num_drafts > 0:
                yield parts.draft[num_drafts]
                yield parts.forward[num_drafts]

    @property
    def group_counts(self) -> list[int]:
        """For how many lanes there are cycles, ascending; fewer take the next larger one."""
        return [1, *self.batch_cycles]

    def last_prefills(self, has_logprobs: bool) -> dict[int, Runnable]:
        """Return the prompt's last passes, by rows."""
        return self.prefill_with_logprobs if has_logprobs else self.prefill_last

    def with_logprobs(self, compiled: Container[str]) -> Iterator[Runnable]:
        """Yield the cycles that a request which asks for logprobs takes while it is alone.

        Args:
            compiled: names of Plans; cycles are wanted with as many drafts as these have.
        """
        for num_drafts, plan in self.cycles.items():
            if plan.name in compiled:
                yield self.cycles_with_logprobs[1][num_drafts]

    def prefills(self) -> Iterator[Runnable]:
        """Yield the Plans that every prompt may take."""
        yield from self.prefill.values()
        yield from self.prefill_last.values()


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

    def prefill(self, count: int) -> Program:
        p = ProgramBuilder(f"prefill-{count}")
        self.model.fill_cache(p, rows_of("rows", count, is_prefill=True))
        return p.build(readback=self.tables.results)  # only to know when the pass has ended

    def prefill_last(self, count: int, has_logprobs: bool = False) -> Program:
        p = ProgramBuilder(f"prefill-{count}-last{_LOGPROBS if has_logprobs else ''}")
        (hidden, logits), _ = self._forward(p, *self._prefill_rows(count))
        return self._finish(p, hidden, logits, _LAST, 1, 0, has_logprobs)

    def prefill_open(self, count: int) -> Program:
        p = ProgramBuilder(f"prefill-{count}-open")
        _, left = self._forward(p, *self._prefill_rows(count))
        return p.build(left=left)

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
        return self._finish(p, hidden, logits, rows, num_groups, num_drafts, has_logprobs)

    def draft(self, num_drafts: int, num_groups: int) -> Program:
        assert self.drafter is not None
        p = ProgramBuilder(_named("draft", num_drafts, num_groups))
        lane_rows, rows = self._begin(p, num_drafts, num_groups)
        self.drafter.draft(p, lane_rows, rows, self.tables, num_drafts)
        p.add(ops.PlaceGiven("place_given", lane_rows, rows, self.tables, num_drafts))
        return p.build(readback=rows.table)

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
        return p.build(left=left)

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
        return self._finish(p, hidden, logits, chosen, num_groups, num_drafts, has_logprobs)

    def _forward(
        self, p: ProgramBuilder, rows: Rows, last: Rows | None = None
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, ...]]:
        """Append what `close` needs; return (hidden, logits), and what of them it reads."""
        hidden = self.model.forward(p, rows, last)
        logits = self._logits(p, hidden, rows if last is None else last)
        left = (logits,) if self.drafter is None else (hidden, logits)
        return (hidden, logits), left

    def _prefill_rows(self, count: int) -> tuple[Rows, Rows]:
        # The row table is padded in front, so the prompt's last token is always the last row.
        return rows_of("rows", count, is_prefill=True), _LAST

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
        return p.build(readback=digests.binding)

    def score(self) -> tuple[Program, Tensor]:
        p = ProgramBuilder(f"score-{SCORE_ROWS}")
        rows = rows_of("rows", SCORE_ROWS, is_prefill=True)
        logits = p.tensor("score_logits", SCORE_ROWS, self.tables.vocab_size)
        self.model.head(p, self.model.forward(p, rows), rows, logits)
        return p.build(), logits

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
            return p.build(readback=tables.results)
        name = "logprobs"
        p.add(ops.Logprobs(name, logits, choices, rows, tables, num_groups, num_drafts))
        return p.build(readback=tables.results_and_logprobs)


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
    return Passes(
        tables=tables,
        prefill=prefills,
        prefill_last=prefills_last,
        cycles=cycles,
        batch_cycles=batch_cycles,
        checks=checks,
        prefill_with_logprobs=LazyPlans(lambda count: lower(builder.prefill_last(count, True))),
        cycles_with_logprobs={groups: lazily(groups) for groups in (1, *batch_cycles)},
        parts={groups: parts(groups) for groups in (1, *batch_cycles)},
        prefill_open=LazyPlans(lambda count: lower(builder.prefill_open(count))),
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
