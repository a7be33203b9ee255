"""Multi-token prediction: the target's own small drafter, run k times in a row.

    state    behind every pass of the target: its final hidden state of the row behind which the
             last token was chosen
    step j   embedding of the token before ⊕ state -> drafter -> draft j, and the next state

A draft is picked as the target picks a token: with the same filters and, at the same position, the
same noise. So it agrees with the target as often as two distributions can (Gumbel coupling,
arXiv:2408.07978).
"""

from __future__ import annotations

from leadout import ops
from leadout.models.gemma4_assistant import Gemma4Assistant
from leadout.plan import Binding, BufferSpec, PlanBuilder
from leadout.rows import Rows
from leadout.state import Tables

_INPUT = "draft_input"


class MtpDrafter:
    """Implements `drafters.base.Drafter` with a `Gemma4Assistant`."""

    kind = "mtp"

    def __init__(self, assistant: Gemma4Assistant) -> None:
        self.assistant = assistant
        self._columns = 2 * assistant.config.backbone_hidden_size

    def buffers(self, num_rows: int) -> dict[str, BufferSpec]:
        """Return the assistant's, and the input that holds the states."""
        size = ops.FLOAT_BYTES * num_rows * self._columns
        return {**self.assistant.buffers(), _INPUT: BufferSpec(size)}

    def constants(self) -> dict[str, bytes]:
        """Return the assistant's."""
        return self.assistant.constants()

    def draft(
        self, b: PlanBuilder, lane_rows: Rows, rows: Rows, tables: Tables, num_drafts: int
    ) -> None:
        """Run the assistant `num_drafts` times; see `Drafter.draft`."""
        x = self._input(lane_rows.count)
        for _ in range(num_drafts):
            self.assistant.target.embed(b, lane_rows, x, self._columns)
            proposals = self.assistant.step(b, lane_rows, x)
            ops.choose_draft(
                b, proposals.logits, proposals.count, lane_rows, rows, tables, num_drafts,
                ids=proposals.ids,
            )  # fmt: skip

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
