"""How many tokens to draft next, decided when a cycle is submitted.

`AutoSchedule` keeps an account, in units of plain steps:

    spent   the cost of every cycle that was submitted: as expected while it is in flight, then as
            it was, in plain steps of that time (a card that speeds up makes both cheaper)
    earned  one for every token that came, and one for every cycle in flight, which brings one token
            at least

A draft could be rejected as a whole. It is made only if `spent` would still stay within
(1 + MAX_LOSS) x `earned` then. So a first request never costs more than MAX_LOSS above plain
decoding, whatever its text. It begins with plain steps, whose tokens pay for the first attempts,
and every accepted draft pays for larger ones. What a request leaves unused, up to MOST_SAVINGS,
the next one may spend beside its own share. So the next one can draft from its beginning, and all
requests together still stay within the share. As long as a cost is uncertain, its uncertainty is
added to it. A cost that turns out higher is a debt: nothing is drafted until plain steps have paid
for it.

Among the numbers that the account allows, the schedule takes the one with the most expected tokens
per cost, by the acceptance seen at each position. Where that is 0, a short draft is tried now and
then, less and less often while it keeps failing. Costs are learnt (`CycleCosts`). Where drafting
pays, a number whose cost is less certain than others' counts as somewhat cheaper, so that it runs
and becomes known. A plain step runs now and then, so that it stays known whether drafting pays.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from leadout.cycle_costs import CycleCosts

#: The share by which a request may become slower than without a drafter.
MAX_LOSS = 0.05

#: The most plain steps that one request leaves to the next.
MOST_SAVINGS = 4.0

#: Old outcomes count less: a new one at a position takes this share off the others' weight.
_FORGET = 0.03

#: Acceptance assumed before anything was seen, and how many outcomes that assumption weighs.
_PRIOR = 0.6
_PRIOR_WEIGHT = 3.0

#: Plain cycles between two attempts while drafting does not pay: at first, and at most.
_FIRST_PAUSE = 16
_LONGEST_PAUSE = 256

#: What a cost may be better than known, in standard deviations of its logarithm.
_CURIOSITY = 0.5

#: Cycles with drafts between two plain steps, which say what drafting is to be compared with: at
#: first, when the card may be speeding up, and at most.
_FIRST_DRAFTING = 8
_LONGEST_DRAFTING = 64

#: Drafted on an adapter that computes on the CPU, whose timings say little while others use it. A
#: pass costs by its rows there, and so does compiling it: four rows hold three drafts.
SOFTWARE_DRAFT_TOKENS = 3


class Schedule(Protocol):
    """Decides on drafts, cycle by cycle."""

    def choose(self) -> int:
        """Return how many tokens the next cycle drafts; it is then submitted."""

    def submitted(self, num_drafts: int) -> None:
        """Note what was submitted: what `choose` said, or less near the end of a request."""

    def collected(
        self, num_drafts: int, num_drafted: int, num_tokens: int, dearness: float | None
    ) -> None:
        """Note what a cycle brought, in the order of submission.

        Args:
            num_drafts: as submitted.
            num_drafted: how many of them the drafter had.
            num_tokens: new tokens, the bonus token included.
            dearness: what `CycleCosts.note` said of it.
        """

    def collected_together(
        self, num_drafts: int, brought: Sequence[tuple[int, int]], dearness: float | None
    ) -> None:
        """As `collected`, of a cycle in which several streams took part.

        Args:
            num_drafts: of each.
            brought: of each: how many drafts the drafter had, and new tokens; at least one.
            dearness: as for `collected`.
        """

    def repeated(self, dearness: float | None) -> None:
        """Note, in the place of `collected`, that a cycle brought nothing and is run again."""


@dataclass
class FixedSchedule:
    """Always the same number."""

    num_drafts: int

    def choose(self) -> int:
        """Return the number."""
        return self.num_drafts

    def submitted(self, num_drafts: int) -> None:
        """Nothing to note."""

    def collected(
        self, num_drafts: int, num_drafted: int, num_tokens: int, dearness: float | None
    ) -> None:
        """Nothing to learn."""

    def collected_together(
        self, num_drafts: int, brought: Sequence[tuple[int, int]], dearness: float | None
    ) -> None:
        """Nothing to learn."""

    def repeated(self, dearness: float | None) -> None:
        """Nothing to learn."""


class Acceptance:
    """How often a drafter is right, position by position; kept from request to request.

    Args:
        max_draft_tokens: positions.

    Attributes:
        found: the share of cycles in which the drafter had anything (an n-gram may find nothing).
    """

    def __init__(self, max_draft_tokens: int) -> None:
        self.found = 1.0
        self._seen = [0.0] * max_draft_tokens
        self._accepted = [0.0] * max_draft_tokens

    @property
    def rates(self) -> list[float]:
        """Of the drafts at each position whose predecessors were accepted, the share that was, too.

        What was seldom tried is taken to be as good as the position before it.
        """
        rates, before = [], _PRIOR
        for accepted, seen in zip(self._accepted, self._seen, strict=True):
            before = (accepted + _PRIOR_WEIGHT * before) / (seen + _PRIOR_WEIGHT)
            rates.append(before)
        return rates

    def note(self, num_drafted: int, num_accepted: int) -> None:
        """Learn from one cycle with drafts."""
        self.found += _FORGET * (float(num_drafted > 0) - self.found)
        for position in range(min(num_accepted + 1, num_drafted)):
            for counts, one in ((self._seen, 1.0), (self._accepted, position < num_accepted)):
                counts[position] = (1.0 - _FORGET) * counts[position] + one

    def expected_tokens(self, num_drafts: int) -> float:
        """Return the tokens that a cycle with so many drafts brings on average."""
        expected, still = 1.0, self.found
        for rate in self.rates[:num_drafts]:
            still *= rate
            expected += still
        return expected


@dataclass
class Savings:
    """What requests so far left of what they might have spent, for the next one to begin with.

    Attributes:
        plain_steps: at most MOST_SAVINGS.
    """

    plain_steps: float = 0.0


class AutoSchedule:
    """See the module's docstring.

    Args:
        counts: numbers of drafts to choose among, 0 among them.
        costs: what is believed of them; it learns from whoever runs the cycles.
        acceptance: learned so far; goes on learning.
        savings: of the requests before; spent here, and what this one leaves goes there.
    """

    def __init__(
        self,
        counts: Sequence[int],
        costs: CycleCosts,
        acceptance: Acceptance,
        savings: Savings | None = None,
    ) -> None:
        self._savings = savings or Savings()
        self._credit, self._savings.plain_steps = self._savings.plain_steps, 0.0
        self._counts = sorted(counts)
        self._costs = costs
        self._acceptance = acceptance
        self._spent = 0.0
        self._earned_tokens = 0.0
        self._pause = _FIRST_PAUSE
        self._plain_cycles = 0
        self._drafting = _FIRST_DRAFTING
        self._drafting_cycles = 0
        # What cycles were charged with: those in flight, and those whose time is not known yet.
        self._in_flight: deque[tuple[int, float]] = deque()
        self._unsettled: list[tuple[int, float]] = []

    def choose(self) -> int:
        """Return the best number that the ledger allows."""
        affordable = [k for k in self._counts if k == 0 or self._can_afford(k)]
        best = max(affordable, key=lambda k: (self._rate(k), -k))
        if best == 0:
            is_due = len(affordable) > 1 and self._plain_cycles >= self._pause
            return min(k for k in affordable if k > 0) if is_due else 0
        if self._drafting_cycles >= self._drafting:
            return 0
        running = {k for k, _ in self._in_flight}
        return max(
            (k for k in affordable if k > 0),
            key=lambda k: (self._rate(k) * (1.0 if k in running else self._bonus(k)), -k),
        )

    def submitted(self, num_drafts: int) -> None:
        """Charge a cycle."""
        charge = self._costs.dear_ratios[num_drafts]
        self._in_flight.append((num_drafts, charge))
        self._spent += charge
        self._earned_tokens += 1
        if num_drafts > 0:
            self._plain_cycles = 0
            self._drafting_cycles += 1
            return
        self._plain_cycles += 1
        if self._drafting_cycles >= self._drafting:
            self._drafting = min(2 * self._drafting, _LONGEST_DRAFTING)
        self._drafting_cycles = 0

    def collected(
        self, num_drafts: int, num_drafted: int, num_tokens: int, dearness: float | None
    ) -> None:
        """Credit its tokens, settle what it cost, and learn."""
        self.collected_together(num_drafts, [(num_drafted, num_tokens)], dearness)

    def collected_together(
        self, num_drafts: int, brought: Sequence[tuple[int, int]], dearness: float | None
    ) -> None:
        """As `collected`, the ledger being kept of what streams bring on average."""
        num_tokens = sum(tokens for _, tokens in brought) / len(brought)
        self._earned_tokens += num_tokens - 1
        self._unsettled.append(self._in_flight.popleft())
        if dearness is not None:
            self._settle(dearness)
            if self._costs.is_changing:
                self._drafting = _FIRST_DRAFTING
        left = self._allowed() - self._spent
        self._savings.plain_steps = min(max(left, 0.0), MOST_SAVINGS)
        if num_drafts == 0:
            return
        for num_drafted, tokens in brought:
            self._acceptance.note(num_drafted, max(tokens - 1, 0))
        paid = num_tokens >= self._costs.ratios[num_drafts]
        self._pause = _FIRST_PAUSE if paid else min(2 * self._pause, _LONGEST_PAUSE)

    def repeated(self, dearness: float | None) -> None:
        """Take the charge back, and the token: neither says anything about drafting."""
        _, charge = self._in_flight.popleft()
        self._spent -= charge
        self._earned_tokens -= 1
        if dearness is not None:
            self._settle(dearness)

    def _settle(self, dearness: float) -> None:
        """Put what cycles cost in the place of what they were charged with."""
        ratios = self._costs.dear_ratios
        for k, charge in self._unsettled:
            # A plain step is what costs are counted in, however long it took.
            self._spent += (ratios[k] * dearness if k else 1.0) - charge
        self._unsettled.clear()

    def _rate(self, num_drafts: int) -> float:
        """Return tokens per millisecond."""
        return self._acceptance.expected_tokens(num_drafts) / self._costs.ms[num_drafts]

    def _bonus(self, num_drafts: int) -> float:
        """Return what makes up for a cost that is not sure."""
        return math.exp(_CURIOSITY * self._costs.doubts[num_drafts])

    def _can_afford(self, num_drafts: int) -> bool:
        cost = self._costs.dear_ratios[num_drafts]
        return self._spent + cost <= self._allowed(1)

    def _allowed(self, more_tokens: int = 0) -> float:
        """Return the plain steps that tokens so far, and so many more, may cost."""
        return (1.0 + MAX_LOSS) * (self._earned_tokens + more_tokens) + self._credit


def automatic_counts(max_draft_tokens: int) -> Sequence[int]:
    """Return the numbers of drafts among which `AutoSchedule` chooses.

    Passes have 1, 2, 4 or 8 rows, so 1, 3 and 7 drafts fill theirs; 2 and 5 save drafting.
    """
    return [k for k in (0, 1, 2, 3, 5, 7) if k <= max_draft_tokens] or [0]
