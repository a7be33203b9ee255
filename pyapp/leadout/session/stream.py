"""A request on its way through the loop.

    waiting -> (a lane is free) prefilling -> [replaying ->] decoding -> ended

The loop moves it forward, and whoever asked for it takes `Cycle`s from it. It ends when all its
tokens are there, when it is aborted, when nobody takes them any more, or when the device fails.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from leadout.cycle_times import CycleTime
from leadout.embedded import EmbeddedPrompt
from leadout.sampling import Sampling
from leadout.scheduler import FixedSchedule, Schedule
from leadout.session.guide import Guide
from leadout.session.lane import Lane
from leadout.session.own_code import OwnCode
from leadout.state import TokenLogprobs


class Phase(Enum):
    """Where a stream is."""

    WAITING = auto()
    PREFILLING = auto()
    REPLAYING = auto()
    DECODING = auto()
    ENDED = auto()


@dataclass
class Cycle:
    """What one collected pass brought a stream.

    Attributes:
        tokens: ids, in order; all but the last were drafted. Empty when the context was full.
        num_drafted: drafts that were verified, of a stream that asked for any.
        is_prefill: it was the prompt's last pass.
        in_flight: passes of the stream that were queued behind it when it was collected.
        times: of cycles that are known now, for several at once.
        num_reused: of the prompt's ids, how many needed no prefill.
        logprobs: of the tokens, where the settings ask for them; else empty.
    """

    tokens: list[int]
    num_drafted: int
    is_prefill: bool
    in_flight: int
    times: Sequence[CycleTime] = ()
    num_reused: int = 0
    logprobs: Sequence[TokenLogprobs] = ()


@dataclass(eq=False)
class Stream:
    """See the module's docstring.

    Attributes:
        prompt: 1 to context_length - 1 ids.
        settings: how ids are chosen.
        budget: how many ids to generate at most, those of `written` included.
        run_ahead: cycles kept in flight; None: as many as keep the device busy.
        is_aborted: asked between passes; ends the stream early.
        schedule: says how many tokens to draft while it is alone.
        written: ids that were generated before, by another engine, and are not generated again.
        guide: says which ids may come next; None where the answer is free.
        own_code: a person's functions, which change logits or draft; None where there are none.
        embedded: embeddings in the place of some tokens' of the prompt; None where there are none.
        lane: where it runs, once it does.
        phase: where it is.
        num_reused: of the prompt's ids, how many needed no prefill.
        parts_at: see `admission.Start`.
        position: ids of the prompt, then of `written`, that passes were submitted for.
        collected: ids that came.
        in_flight: passes whose tokens are still to come.
        most: ids known at most when all that is in flight has ended.
        is_first_cycle: none was submitted yet. What a drafter starts from is left by a pass that
            chooses, which a replay does not.
    """

    prompt: Sequence[int]
    settings: Sampling
    budget: int
    run_ahead: int | None
    is_aborted: Callable[[], bool]
    schedule: Schedule
    written: Sequence[int] = ()
    guide: Guide | None = None
    own_code: OwnCode | None = None
    embedded: EmbeddedPrompt | None = None
    lane: Lane | None = None
    phase: Phase = Phase.WAITING
    num_reused: int = 0
    parts_at: int = 0
    position: int = 0
    collected: int = 0
    in_flight: int = 0
    most: int = 0
    is_first_cycle: bool = True
    untold: list[CycleTime] = field(default_factory=list)
    _cycles: deque[Cycle] = field(default_factory=deque)
    _failure: BaseException | None = None
    _is_waited_for: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.collected = len(self.written)
        if self.own_code is not None:
            self.own_code.ids = [*self.prompt, *self.written]

    async def cycles(self, on_wait: Callable[[], None]) -> AsyncGenerator[Cycle, None]:
        """Yield what passes bring.

        Args:
            on_wait: called when all was taken, and more is waited for.
        """
        while True:
            while self._cycles:
                yield self._cycles.popleft()
            if self.phase is Phase.ENDED:
                if self._failure is not None:
                    raise self._failure
                return
            self._changed.clear()
            self._is_waited_for = True
            on_wait()
            await self._changed.wait()
            self._is_waited_for = False

    @property
    def keys(self) -> Sequence[int]:
        """What tells the prompt's positions from others': its ids, see `EmbeddedPrompt.keys`."""
        return self.prompt if self.embedded is None else self.embedded.keys

    @property
    def wants_more(self) -> bool:
        """Whether a pass may be submitted for it: what came before is taken, or nearly so."""
        return self._is_waited_for or (self.run_ahead != 1 and len(self._cycles) <= 1)

    @property
    def has_room(self) -> bool:
        """Whether a pass may be submitted for it without waiting until what came is read."""
        return self._is_waited_for or len(self._cycles) <= 1

    @property
    def drafts(self) -> bool:
        """Whether it may be drafted for at all."""
        return self.schedule != FixedSchedule(0)

    @property
    def needs_host(self) -> bool:
        """Whether the host has a say in its choices or drafts: its cycles go one by one."""
        return self.guide is not None or self.own_code is not None

    @property
    def has_processors(self) -> bool:
        """Whether its logits are changed before a token is chosen."""
        return self.own_code is not None and self.own_code.processes

    @property
    def has_own_drafter(self) -> bool:
        """Whether a person's function drafts, which has to know all ids before it does."""
        return self.own_code is not None and self.own_code.drafts

    @property
    def left(self) -> int:
        """How many ids may still be asked for. Every pass in flight brings one at least."""
        return self.budget - self.collected - self.in_flight

    def bring(self, cycle: Cycle) -> None:
        """Add a cycle to those that wait to be read; `tell` wakes the reader."""
        self._is_waited_for = False
        if self.own_code is not None:
            self.own_code.ids += cycle.tokens
        self._cycles.append(cycle)

    def tell(self) -> None:
        """Wake the reader: there is something to read."""
        self._changed.set()

    def end(self, failure: BaseException | None = None) -> None:
        """Bring nothing more; what has come is still taken, then `failure` is raised."""
        self.phase = Phase.ENDED
        self._failure = failure
        self._changed.set()
