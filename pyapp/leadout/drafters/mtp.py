"""Multi-token prediction: the target's own small drafter, run k times in a row.

    state    behind every pass of the target: its final hidden state of the row behind which the
             last token was chosen
    step j   embedding of the token before ⊕ state -> drafter -> draft j, and the next state

A draft is picked as the target picks a token: with the same filters and, at the same position, the
same noise. So it agrees with the target as often as two distributions can (Gumbel coupling,
arXiv:2408.07978).
"""

from __future__ import annotations

from leadout import ops, state
from leadout.models.gemma4_assistant import Gemma4Assistant
from leadout.plan import Binding, BufferSpec, PlanBuilder
from leadout.rows import Rows, rows_of
from leadout.state import Tables

_INPUT = "draft_input"


class MtpDrafter:
    """Implements `drafters.base.Drafter` with a `Gemma4Assistant`."""

    kind = "mtp"

    def __init__(self, assistant: Gemma4Assistant) -> None:
        self.assistant = assistant
        self._columns = 2 * assistant.config.backbone_hidden_size

    def buffers(self, lane_rows: Rows) -> dict[str, BufferSpec]:
        """Return the assistant's, the drafter's rows and the input that holds the states."""
        return {
            **self.assistant.buffers(),
            "draft_rows": BufferSpec(state.ROW_BYTES * lane_rows.count),
            _INPUT: BufferSpec(ops.FLOAT_BYTES * lane_rows.count * self._columns),
        }

    def constants(self) -> dict[str, bytes]:
        """Return the assistant's."""
        return self.assistant.constants()

    def draft(
        self, b: PlanBuilder, lane_rows: Rows, rows: Rows, tables: Tables, num_drafts: int
    ) -> None:
        """Run the assistant `num_drafts` times; see `Drafter.draft`."""
        draft_rows = rows_of("draft_rows", lane_rows.count)
        x = self._input(lane_rows.count)
        choices = b.scratch("draft.choices", 4 * lane_rows.count)

        def place(step: int) -> None:
            ops.place_draft(b, choices, lane_rows, draft_rows, rows, tables, num_drafts, step)

        place(0)
        for step in range(1, num_drafts + 1):
            self.assistant.target.embed(b, draft_rows, x, self._columns)
            proposals = self.assistant.step(b, draft_rows, x)
            choices = ops.choose(
                b, proposals.logits, proposals.count, draft_rows, tables, "draft",
                ids=proposals.ids, ahead=step,
            )  # fmt: skip
            place(step)

    def keep(
        self,
        b: PlanBuilder,
        hidden: Binding,
        rows: Rows,
        tables: Tables,
        num_groups: int,
        num_drafts: int,
    ) -> None:
        """Keep each lane's state; see `Drafter.keep`."""
        backbone = self._columns // 2
        ops.take_accepted(
            b, hidden, rows, tables, self._input(tables.num_lanes), num_groups, num_drafts,
            backbone, self._columns, backbone, "drafter.state",
        )  # fmt: skip

    def _input(self, count: int) -> Binding:
        return Binding(_INPUT, 0, ops.FLOAT_BYTES * count * self._columns)
