"""What a cycle asks of a drafter."""

from __future__ import annotations

from typing import Protocol

from leadout.ops import ProgramBuilder, Tensor
from leadout.plan import BufferSpec
from leadout.rows import Rows
from leadout.state import Tables


class Drafter(Protocol):
    """Proposes tokens, on the device.

    Attributes:
        kind: "mtp", "ngram" or "given".
    """

    kind: str

    def buffers(self, num_lanes: int) -> dict[str, BufferSpec]:
        """Return its buffers (not the weights' nor scratch), for so many lanes."""

    def constants(self) -> dict[str, bytes]:
        """Return what to write into buffers once, after allocation."""

    def draft(
        self, p: ProgramBuilder, lane_rows: Rows, rows: Rows, tables: Tables, num_drafts: int
    ) -> None:
        """Put drafts into the rows of a verify pass, behind each lane's last token.

        Args:
            p: gets the ops.
            lane_rows: one a group: its lane's last known token; its own to change.
            rows: of the verify pass; drafts are not valid where none is put.
            tables: of the engine.
            num_drafts: of each group, ≥ 1.
        """

    def keep(
        self,
        p: ProgramBuilder,
        hidden: Tensor,
        rows: Rows,
        tables: Tables,
        num_groups: int,
        num_drafts: int,
    ) -> None:
        """Keep of a finished pass, behind `accept`, what the next drafts start from.

        Args:
            p: gets the ops.
            hidden: the target's final hidden states, [rows, hidden_size] float32.
            rows: of the pass.
            tables: of the engine.
            num_groups: lanes that take part.
            num_drafts: of each.
        """


class StatelessDrafter:
    """What `Drafter` asks of one that keeps nothing on the device between passes: nothing."""

    def buffers(self, num_lanes: int) -> dict[str, BufferSpec]:  # noqa: ARG002
        """It has none."""
        return {}

    def constants(self) -> dict[str, bytes]:
        """It has none."""
        return {}

    def keep(
        self,
        p: ProgramBuilder,
        hidden: Tensor,
        rows: Rows,
        tables: Tables,
        num_groups: int,
        num_drafts: int,
    ) -> None:
        """It keeps nothing."""
