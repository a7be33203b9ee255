"""What the loop asks of a compiled model; `speculative.Decoder` is one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from leadout.cycle_costs import CycleCosts
from leadout.cycle_times import CycleTime
from leadout.devices.base import Device, Readback, Runnable
from leadout.pager import Pager
from leadout.passes import Passes
from leadout.plan import Copy, Upload
from leadout.sampling import Sampling
from leadout.session.admission import Admission
from leadout.session.stream import Stream
from leadout.state import Tables


class CompiledModel(Protocol):
    """The passes of one model on a device; see `speculative.Decoder`."""

    device: Device
    passes: Passes
    pager: Pager | None
    admission: Admission

    @property
    def tables(self) -> Tables:
        """Sizes of what stays on the device."""

    @property
    def replay_plan(self) -> Runnable:
        """The pass that known tokens are replayed through."""

    async def compile(self, plans: Iterable[Runnable]) -> None:
        """Wait until Plans are compiled."""

    async def compile_cycle(
        self, num_drafts: int, num_groups: int = 1, has_logprobs: bool = False
    ) -> None:
        """Compile the cycle of so many drafts and lanes, where that was not done."""

    async def compile_missing(self, plans: Iterable[Runnable]) -> None:
        """Compile Plans, where that was not done."""

    def prepared(self, num_drafts: int, num_groups: int = 1, has_logprobs: bool = False) -> int:
        """Return the largest number of drafts up to this one whose cycle is compiled."""

    def submit(
        self, plan: Runnable, num_positions: int, uploads: Sequence[Upload] = ()
    ) -> Readback:
        """Queue a Plan that is compiled, with what the host gives it."""

    def copy(self, copies: Sequence[Copy]) -> None:
        """Queue copies, if there are any."""

    def turns(self, lanes: Sequence[int]) -> list[Upload]:
        """Return what says whose rows a cycle has."""

    def prompt_inputs(self, stream: Stream, lane: int, end: int, num_rows: int) -> list[Upload]:
        """Return what a pass over a stream's prompt is given, from its position on."""

    def depth(self, run_ahead: int | None) -> int:
        """Return how many cycles to keep in flight."""

    def costs_of(self, num_groups: int) -> CycleCosts:
        """Return what cycles of so many lanes cost."""

    def learn(self, timed: Sequence[CycleTime], num_groups: int = 1) -> float | None:
        """Learn what cycles cost."""

    def begin(
        self,
        lane: int,
        prompt: Sequence[int],
        settings: Sampling,
        num_generated: int = 0,
        has_masks: bool = False,
    ) -> None:
        """Write what a lane begins with."""

    def idle(self, lane: int) -> None:
        """Make a lane inactive."""

    def stage(
        self,
        tokens: Sequence[int],
        settings: Sampling,
        lane: int = 0,
        num_generated: int = 0,
        has_masks: bool = False,
    ) -> None:
        """Have a lane decode behind known tokens."""
