"""How many tokens to draft next, decided when a cycle is submitted.

`AutoSchedule` keeps a ledger, in units of cost (milliseconds of the device, as measured):

    spent   the cost of every cycle submitted
    earned  one plain step's cost for every token that came, or, for a cycle still in flight, the
            one token that it brings at least

A draft that may be rejected whole is made only while, even so, `spent` stays within
(1 + MAX_LOSS) x `earned`. So a request never costs more than MAX_LOSS above plain decoding,
whatever the text; it begins with plain steps, whose tokens pay for the first attempts, and every
accepted draft pays for bolder ones.

Among what the ledger allows it takes the number with the best expected tokens per cost, from the
acceptance seen at each position. Where that is 0, a short draft is tried again now and then, ever
less often while it keeps failing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

#: The share by which a request may become slower than without a drafter.
MAX_LOSS = 0.05

#: Old outcomes count less: a new one at a position takes this share off the others' weight.
_FORGET = 0.03

#: Acceptance assumed before anything was seen, and how many outcomes that assumption weighs.
_PRIOR = 0.6
_PRIOR_WEIGHT = 3.0

#: Plain cycles between two attempts while drafting does not pay: at first, and at most.
_FIRST_PAUSE = 16
_LONGEST_PAUSE = 256


class Schedule(Protocol):
    """Decides on drafts, cycle by cycle."""

    def choose(self) -> int:
        """Return how many tokens the next cycle drafts; it is then submitted."""

    def submitted(self, num_drafts: int) -> None:
        """Note what was submitted: what `choose` said, or less near the end of a request."""

    def collected(self, num_drafts: int, num_drafted: int, num_tokens: int) -> None:
        """Note what a cycle brought, in the order of submission.

        Args:
            num_drafts: as submitted.
            num_drafted: how many of them the drafter had.
            num_tokens: new tokens, the bonus token included.
        """


@dataclass
class FixedSchedule:
    """Always the same number."""

    num_drafts: int

    def choose(self) -> int:
        """Return the number."""
        return self.num_drafts

    def submitted(self, num_drafts: int) -> None:
        """Nothing to note."""

    def collected(self, num_drafts: int, num_drafted: int, num_tokens: int) -> None:
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


class AutoSchedule:
    """See the module's docstring.

    Args:
        costs: of a cycle, by number of drafts, 0 among them.
        acceptance: learned so far; goes on learning.
    """

    def __init__(self, costs: Mapping[int, float], acceptance: Acceptance) -> None:
        self._costs = monotonic(costs)
        self._plain = self._costs[0]
        self._acceptance = acceptance
        self._spent = 0.0
        self._earned_tokens = 0
        self._pause = _FIRST_PAUSE
        self._plain_cycles = 0

    def choose(self) -> int:
        """Return the best number that the ledger allows."""
        affordable = [k for k in self._costs if k == 0 or self._can_afford(k)]
        best = max(affordable, key=lambda k: (self._rate(k), -k))
        if best == 0 and len(affordable) > 1 and self._plain_cycles >= self._pause:
            return min(k for k in affordable if k > 0)
        return best

    def submitted(self, num_drafts: int) -> None:
        """Charge a cycle."""
        self._spent += self._cost(num_drafts)
        self._earned_tokens += 1
        self._plain_cycles = 0 if num_drafts else self._plain_cycles + 1

    def collected(self, num_drafts: int, num_drafted: int, num_tokens: int) -> None:
        """Credit its tokens, and learn."""
        self._earned_tokens += num_tokens - 1
        if num_drafts == 0:
            return
        self._acceptance.note(num_drafted, max(num_tokens - 1, 0))
        paid = num_tokens * self._plain >= self._cost(num_drafts)
        self._pause = _FIRST_PAUSE if paid else min(2 * self._pause, _LONGEST_PAUSE)

    def _rate(self, num_drafts: int) -> float:
        return self._acceptance.expected_tokens(num_drafts) / self._costs[num_drafts]

    def _cost(self, num_drafts: int) -> float:
        """Return the cost of a cycle; of one between two that were measured, the larger's."""
        return next(cost for k, cost in self._costs.items() if k >= num_drafts)

    def _can_afford(self, num_drafts: int) -> bool:
        earned = self._plain * (self._earned_tokens + 1)
        return self._spent + self._costs[num_drafts] <= (1.0 + MAX_LOSS) * earned


def monotonic(costs: Mapping[int, float]) -> dict[int, float]:
    """Return costs in ascending order of drafts, none below that of fewer drafts.

    More drafts never cost less; where a measurement says so, it is noise.
    """
    result: dict[int, float] = {}
    highest = 0.0
    for num_drafts in sorted(costs):
        highest = max(highest, costs[num_drafts])
        result[num_drafts] = highest
    return result


def automatic_counts(max_draft_tokens: int) -> Sequence[int]:
    """Return the numbers of drafts among which `AutoSchedule` chooses.

    Passes have 1, 2, 4 or 8 rows, so 1, 3 and 7 drafts fill theirs; 2 and 5 save drafting.
    """
    return [k for k in (0, 1, 2, 3, 5, 7) if k <= max_draft_tokens] or [0]
