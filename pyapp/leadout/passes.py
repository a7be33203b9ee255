"""The Plans of a model: prefill, decode, score.

    prefill(rows)   rows of one lane into the KV cache; with `is_last`, also the first token
    decode          one row of every lane: from the row table to the next row table
    score(rows)     like prefill, with the logits of every row kept

All share scratch buffers: a device runs one pass at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from leadout import ops, sampling, state
from leadout.models.base import KV_TILES, Model
from leadout.plan import Binding, BufferSpec, Plan, PlanBuilder

#: Row counts of prefill passes, ascending. A prompt is cut into passes of the last size, and the
#: rest takes the smallest that holds it.
PREFILL_ROWS = (32, 64, 256)

#: Rows of a scoring pass.
SCORE_ROWS = 32


@dataclass(frozen=True)
class Passes:
    """All Plans of a model, and every buffer but the weights'.

    Attributes:
        prefill: by rows; the prompt's passes but the last.
        prefill_last: by rows; ends with the first token.
        decode: reads back the results table.
        buffers: scratch, tables, KV cache and constants, for all of these.
        score: leaves the logits of `score_rows` rows in `score_logits`.
        score_buffers: what it needs on top; large, and only for evaluation.
    """

    prefill: dict[int, Plan]
    prefill_last: dict[int, Plan]
    decode: Plan
    buffers: dict[str, BufferSpec]
    score: Plan
    score_rows: int
    score_logits: Binding
    score_buffers: dict[str, BufferSpec]

    def plans(self) -> Iterator[Plan]:
        """Yield every Plan that generating takes."""
        yield from self.prefill.values()
        yield from self.prefill_last.values()
        yield self.decode


def build_passes(model: Model, num_lanes: int, context_length: int) -> Passes:
    """Build the Plans.

    Args:
        model: placed, see its module.
        num_lanes: sequences kept at once; 1, 2, 4 or 8.
        context_length: positions a lane can hold.
    """
    vocab_size = model.vocab_size
    builders: list[PlanBuilder] = []
    results = Binding("results", 0, state.RESULT_BYTES * num_lanes)

    def begin(name: str, *params: str) -> PlanBuilder:
        builders.append(PlanBuilder(name, params))
        return builders[-1]

    def choose_and_advance(
        b: PlanBuilder, logits: Binding, table_rows: int, first_row: int, num_choices: int
    ) -> Plan:
        choices = ops.choose(b, logits, vocab_size, num_lanes, table_rows, first_row, num_choices)
        ops.advance(b, choices, vocab_size, num_lanes, first_row, num_choices, context_length)
        return b.build(readback=results)

    def prefill(rows: int, is_last: bool) -> Plan:
        b = begin(f"prefill-{rows}" + ("-last" if is_last else ""))
        ops.mark_seen(b, rows, vocab_size, num_lanes)
        hidden = model.forward(b, rows, in_tiles=False)
        if not is_last:
            return b.build(readback=results)  # only to know when the pass has ended
        # The row table is padded in front, so the prompt's last token is always the last row.
        last = ops.activations(b, "last_hidden", 1, model.hidden_size)
        ops.take_row(b, hidden, rows - 1, model.hidden_size, last, "last_hidden")
        logits = ops.activations(b, "logits", 1, vocab_size)
        model.head(b, last, 1, logits)
        return choose_and_advance(b, logits, rows, rows - 1, 1)

    def decode() -> Plan:
        b = begin("decode", KV_TILES)
        hidden = model.forward(b, num_lanes, in_tiles=True)
        logits = ops.activations(b, "logits", num_lanes, vocab_size)
        model.head(b, hidden, num_lanes, logits)
        return choose_and_advance(b, logits, num_lanes, 0, num_lanes)

    prefills = {rows: prefill(rows, is_last=False) for rows in PREFILL_ROWS[-1:]}
    prefills_last = {rows: prefill(rows, is_last=True) for rows in PREFILL_ROWS}
    decode_plan = decode()
    buffers: dict[str, BufferSpec] = {}
    for builder in builders:
        for name, spec in builder.buffers.items():
            known = buffers.get(name)
            buffers[name] = BufferSpec(max(spec.bytes, known.bytes if known else 0))
    scoring = PlanBuilder(f"score-{SCORE_ROWS}")
    hidden = model.forward(scoring, SCORE_ROWS, in_tiles=False)
    score_logits = ops.activations(scoring, "score_logits", SCORE_ROWS, vocab_size)
    model.head(scoring, hidden, SCORE_ROWS, score_logits)
    score_buffers = {name: spec for name, spec in scoring.buffers.items() if name not in buffers}
    buffers |= state.buffers(num_lanes, PREFILL_ROWS[-1], vocab_size)
    buffers |= sampling.buffers(num_lanes)
    buffers |= model.buffers()
    return Passes(
        prefill=prefills,
        prefill_last=prefills_last,
        decode=decode_plan,
        buffers=buffers,
        score=scoring.build(),
        score_rows=SCORE_ROWS,
        score_logits=score_logits,
        score_buffers=score_buffers,
    )
