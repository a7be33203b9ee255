"""Multi-token prediction: the target's own small drafter, run k times in a row.

    state    behind every pass of the target: its final hidden state of the row behind which the
             last token was chosen
    step j   embedding of the token before ⊕ state -> drafter -> draft j, and the next state

The first step leaves the state where it is: a cycle that brings no token is run again from it.

A draft is picked as the target picks a token: with the same filters and, at the same position, the
same noise. So it agrees with the target as often as two distributions can (Gumbel coupling,
arXiv:2408.07978).
"""

from __future__ import annotations

from leadout import ops
from leadout.models.gemma4_assistant import Gemma4Assistant
from leadout.ops import ProgramBuilder, Tensor
from leadout.plan import BufferSpec
from leadout.rows import Rows
from leadout.state import Tables

_INPUT = "draft_input"
_NEXT_INPUT = "draft_next_input"


class MtpDrafter:
    """Implements `drafters.base.Drafter` with a `Gemma4Assistant`."""

    kind = "mtp"

    def __init__(self, assistant: Gemma4Assistant) -> None:
        self.assistant = assistant
        self._columns = 2 * assistant.config.backbone_hidden_size

    def buffers(self, num_lanes: int) -> dict[str, BufferSpec]:
        """Return the assistant's, and the input that holds the lanes' states."""
        return {**self.assistant.buffers(), _INPUT: BufferSpec(self._input(num_lanes).bytes)}

    def constants(self) -> dict[str, bytes]:
        """Return the assistant's."""
        return self.assistant.constants()

    def draft(
        self, p: ProgramBuilder, lane_rows: Rows, rows: Rows, tables: Tables, num_drafts: int
    ) -> None:
        """Run the assistant `num_drafts` times; see `Drafter.draft`."""
        x = self._input(tables.num_lanes)
        following = p.tensor(_NEXT_INPUT, lane_rows.count, self._columns)
        if tables.num_lanes > 1:  # else the only group is of the only lane
            states, x = x, p.tensor("draft_first_input", lane_rows.count, self._columns)
            p.add(ops.TakeLanes("drafter.take_lanes", states, lane_rows, x))
        drafts = p.tensor("drafts", lane_rows.count, dtype="u32")
        for _ in range(num_drafts):
            self.assistant.target.embed(p, lane_rows, x)
            found = self.assistant.step(p, lane_rows, x, following)
            x = following
            name = "drafter.choose"
            p.add(ops.Choose(name, found.logits, found.ids, lane_rows, tables, drafts))
            name = "drafter.place_draft"
            p.add(ops.PlaceDraft(name, drafts, lane_rows, rows, tables, num_drafts))

    def keep(
        self,
        p: ProgramBuilder,
        hidden: Tensor,
        rows: Rows,
        tables: Tables,
        num_groups: int,
        num_drafts: int,
    ) -> None:
        """Keep each lane's state; see `Drafter.keep`."""
        y, offset = self._input(tables.num_lanes), self._columns // 2
        name = "drafter.state"
        p.add(ops.TakeAccepted(name, hidden, rows, tables, y, offset, num_groups, num_drafts))

    def _input(self, count: int) -> Tensor:
        return Tensor(_INPUT, (count, self._columns))
