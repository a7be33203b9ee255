"""What a cycle costs by its number of drafts, learnt from the cycles that run.

A cost is the time from the end of the pass before to the cycle's own end while cycles are queued
one behind the other: what is really paid, gaps between passes included. Every cycle that runs is
evidence. Where the device has a clock, the gap before a cycle is known by itself: there the GPU
waited for the host, which is as slow whatever the cycle drafts, but not always. So

- cost(k) = idle + busy(k), `idle` being an average of the last gaps; 0 without such a clock, when
  `busy` is all there is.

Assumed of `busy` is, in logarithms:

- busy(k) = plain x dearness(k). `plain`, that of a cycle without drafts, changes quickly: with
  the card's clock, other programs, the length of the context. `dearness` changes slowly. So a card
  that turns out three times faster than at load corrects the costs of all numbers of drafts, also
  of those that did not run.
- dearness(k) is nearly 1 + k x `share`: drafts add alike, by an unknown share of a plain cycle.
  What differs from that is what the first draft adds, for the drafter runs at all, and a little at
  each further step. It never falls, and is at most 2 (1 + k). So what 3 drafts cost says much of
  2, 5 and 7 as well.
- Old evidence counts less: with every cycle all that is believed becomes less certain.
- A surprise says that something has changed at once. But now and then something takes longer that
  has nothing to do with cycles (a tab in the background): a much higher cost counts only when the
  next cycle of the kind has it, too.

That is a Kalman filter over (log plain, log dearness(1), log dearness(2), ...). Where the clock is
coarse, or the costs are well known, several cycles, of any kind, are evidence together.

What cannot be seen: while only cycles with drafts run, a dearer verify pass looks like a slower
card. So `AutoSchedule` runs a plain step now and then.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

#: Costs before anything was timed: of a plain cycle in ms, and the share of it that a draft adds.
#: Seen on graphics cards: 0.14 to 0.18 of E2B, 0.22 to 0.29 of larger models, 0.36 of Nano.
_GUESSED_PLAIN_MS = 10.0
_GUESSED_SHARE = 0.18

#: Plain cycles that a row of a verify pass, and its draft, can cost at most.
_MOST_DEARNESS = 2.0

#: How unsure that is, as standard deviations of logarithms: of `plain`, of the share, of the step
#: from no draft to one, and of every step. Less doubt of the first step makes the first attempts
#: of a drafter that is dearer than any we saw too cheap to be paid within the promise.
_PLAIN_DOUBT = 2.0
_SHARE_DOUBT = 0.5
_FIRST_STEP_DOUBT = 0.35
_STEP_DOUBT = 0.08

#: As unsure a surprise can make of dearness.
_DEARNESS_SURPRISE = 1.1

#: What of these comes back after the first request, which a card began that was idle before.
_DOUBT_AFTER_THE_FIRST = 0.5
#: What a new request may change of `plain`: the card has rested, or the context is another.
_DOUBT_AFTER_REST = 0.15

#: Change from cycle to cycle, as standard deviations: of `plain` (more in the first request, in
#: which a card speeds up), and of every step.
_PLAIN_DRIFT = 0.04
_PLAIN_DRIFT_AT_FIRST = 0.1
_STEP_DRIFT = 0.01

#: Standard deviation of what a cycle takes from what it takes on average: at least, and at most.
#: A small model's passes wait for the host, whose pace varies much.
_NOISE = 0.04
_MOST_NOISE = 0.6
#: How much evidence changes what is believed of the noise, as a logarithm of its variance; of
#: normal noise, so large a share stays within its deviation.
_NOISE_STEP = 0.2
_SHARE_WITHIN = 0.68

#: Evidence has at least so many times the clock's resolution, whose noise has this deviation.
_RESOLUTIONS = 4
_RESOLUTION_NOISE = 0.41

#: The least share by which a gap changes the average. Gaps vary by half, so that it takes some
#: twenty to know them within a tenth.
_IDLE_SHARE = 0.04
#: What a gap counts for at most, in plain cycles: a longer one is an interruption.
MOST_GAP = 3.0

#: Cycles taken together once the cost of each is known this well, to save the host's time.
_CYCLES_TOGETHER = 4
_WELL_KNOWN = 0.06

#: Standard deviations beyond which evidence is a surprise, and may be an interruption.
_SURPRISE = 2.0
_INTERRUPTION = 3.0


class CycleCosts:
    """See the module's docstring.

    Args:
        max_drafts: costs are known for 0 to this many drafts.

    Attributes:
        ms: believed, by number of drafts; never less for more drafts.
        doubts: standard deviations of the logarithms of what the GPU is busy.
        ratios: `ms` in plain cycles.
        dear_ratios: the same, a standard deviation higher.
        is_known: whether anything was timed.
        is_changing: whether the last evidence was a surprise.
    """

    def __init__(self, max_drafts: int) -> None:
        self._means = [math.log(_GUESSED_PLAIN_MS)]
        self._means += [math.log(1 + _GUESSED_SHARE * k) for k in range(1, 1 + max_drafts)]
        self._most_variances = [_guess_variance(k) for k in range(1 + max_drafts)]
        self._covariance = [[0.0] * len(self._means) for _ in self._means]
        self._forget(_PLAIN_DOUBT, _FIRST_STEP_DOUBT, _STEP_DOUBT, _SHARE_DOUBT)
        self._counts: Counter[int] = Counter()
        self._elapsed_ms = 0.0
        # Since the last answer: what was learnt from, and what that took.
        self._judged: Counter[int] = Counter()
        self._judged_ms = 0.0
        # Numbers of drafts whose last cycle was taken for an interruption.
        self._slow: set[int] = set()
        self._plain_drift = _PLAIN_DRIFT_AT_FIRST
        # Of one cycle, a variance; what was only guessed says nothing of it.
        self._noise = _NOISE**2
        self._ran: set[int] = set()
        self._idle_ms = 0.0
        self._num_gaps = 0
        self._busy_ms: list[float] = []
        self.is_known = False
        self.is_changing = False
        self.ms: list[float] = []
        self.doubts: list[float] = []
        self.ratios: list[float] = []
        self.dear_ratios: list[float] = []
        self._conclude()

    def rest(self) -> None:
        """Say that no cycle runs for a while: a request ended."""
        self._counts.clear()
        self._elapsed_ms = 0.0
        self._judged.clear()
        self._judged_ms = 0.0
        self._slow.clear()
        if self._plain_drift != _PLAIN_DRIFT:
            self._plain_drift = _PLAIN_DRIFT
            doubts = (_FIRST_STEP_DOUBT, _STEP_DOUBT, _SHARE_DOUBT)
            share = _DOUBT_AFTER_THE_FIRST
            self._forget(share, *(share * doubt for doubt in doubts))
        else:
            self._forget(_DOUBT_AFTER_REST)
        self._conclude()

    def idled(self, ms: float) -> None:
        """Learn from the gap before a cycle; before `note` is told of the cycle."""
        plain_ms = self._busy_ms[0] + self._idle_ms
        self._num_gaps += 1
        share = max(_IDLE_SHARE, 1 / self._num_gaps)
        self._idle_ms += share * (min(ms, MOST_GAP * plain_ms) - self._idle_ms)

    def note(self, cycles: Sequence[tuple[int, float]], resolution_ms: float) -> float | None:
        """Learn from cycles, in the order in which they ended.

        Args:
            cycles: number of drafts of each, and the milliseconds from the end of the pass before,
                without what `idled` was told of.
            resolution_ms: how far these may be off.

        Returns:
            What the cycles since the last answer that was not None took, over what they are now
            believed to take (1 where that was taken for an interruption); None while they are too
            few to tell.
        """
        for num_drafts, ms in cycles:
            self._counts[num_drafts] += 1
            self._elapsed_ms += ms
            doubt = max(self.doubts[0], self.doubts[num_drafts])
            num_wanted = _CYCLES_TOGETHER if doubt < _WELL_KNOWN else 1
            is_enough = self._elapsed_ms >= _RESOLUTIONS * resolution_ms
            if is_enough and self._counts.total() >= num_wanted:
                self._learn(resolution_ms)
        if self._counts or not self._judged:
            return None
        believed = sum(count * self._busy_ms[k] for k, count in self._judged.items())
        dearness = self._judged_ms / believed
        self._judged.clear()
        self._judged_ms = 0.0
        return dearness

    def _learn(self, resolution_ms: float) -> None:
        """Take the cycles that were noted for evidence."""
        counts, elapsed_ms = self._counts, self._elapsed_ms
        self._counts, self._elapsed_ms = Counter(), 0.0
        num_cycles = counts.total()
        expected = {k: count * self._busy_ms[k] for k, count in counts.items()}
        expected_ms = sum(expected.values())
        self._forget(self._plain_drift * num_cycles**0.5, step=_STEP_DRIFT * num_cycles**0.5)
        surprise = math.log(elapsed_ms / expected_ms)
        shares = {k: cost / expected_ms for k, cost in expected.items()}
        noise = self._noise + (_RESOLUTION_NOISE * resolution_ms / elapsed_ms) ** 2
        gain, variance = self._gain(shares)
        deviations = surprise / math.sqrt(variance + noise)
        if self._ran.issuperset(counts):
            share = _SHARE_WITHIN if abs(deviations) > 1 else _SHARE_WITHIN - 1
            louder = self._noise * math.exp(_NOISE_STEP * share)
            self._noise = min(max(louder, _NOISE**2), _MOST_NOISE**2)
        self._ran.update(counts)
        self._judged += counts
        was_slow = not self._slow.isdisjoint(counts)
        if deviations > _INTERRUPTION and not was_slow and self.is_known:
            self._slow |= set(counts)
            self._judged_ms += expected_ms
            return
        self._judged_ms += elapsed_ms
        self._slow -= set(counts)
        self.is_known = True
        self.is_changing = abs(deviations) > _SURPRISE
        if self.is_changing:
            # Something changed at once: what was believed of these cycles is worth less.
            self._doubt(shares, surprise**2 / (4 * variance))
            gain, variance = self._gain(shares)
        total = variance + noise
        self._means = [
            mean + a * surprise / total for mean, a in zip(self._means, gain, strict=True)
        ]
        rows = self._covariance
        for i, a in enumerate(gain):
            for j in range(i + 1):
                # Written to both halves, or rounding errors would grow with every surprise.
                rows[i][j] = rows[j][i] = rows[i][j] - a * gain[j] / total
        self._conclude()

    def _gain(self, shares: Mapping[int, float]) -> tuple[list[float], float]:
        """Return the covariances of a sum of costs with everything, and its variance.

        A change of the logarithm of one cost changes that of the sum by its share.
        """
        gain = list(self._covariance[0])
        for k, share in shares.items():
            if k > 0:
                gain = [a + share * b for a, b in zip(gain, self._covariance[k], strict=True)]
        return gain, gain[0] + sum(share * gain[k] for k, share in shares.items() if k > 0)

    def _doubt(self, shares: Mapping[int, float], factor: float) -> None:
        """Multiply variances of what such cycles cost, up to a limit."""
        rows = self._covariance
        scale = [1.0] * len(rows)
        for k in {0, *shares}:
            most = (_DEARNESS_SURPRISE if k else _PLAIN_DOUBT) ** 2
            scale[k] = math.sqrt(max(1.0, min(factor, most / rows[k][k])))
        self._covariance = [
            [a * s * t for a, t in zip(row, scale, strict=True)]
            for row, s in zip(rows, scale, strict=True)
        ]

    def _forget(
        self, plain: float, first_step: float = 0.0, step: float = 0.0, share: float = 0.0
    ) -> None:
        """Become less certain, by standard deviations of `plain` and of what makes up dearness.

        Nothing becomes less certain than a guess.
        """
        rows = self._covariance
        is_sure = [rows[k][k] < most for k, most in enumerate(self._most_variances)]
        rows[0][0] += plain**2 * is_sure[0]
        sure = [k for k in range(1, len(rows)) if is_sure[k]]
        steps = [first_step**2 + k * step**2 for k in range(len(rows))]
        for i in sure:
            for j in sure:
                rows[i][j] += steps[min(i, j)]
        if share:
            shares = [share * _weight_of_share(k) for k in range(len(rows))]
            for i in sure:
                for j in sure:
                    rows[i][j] += shares[i] * shares[j]

    def _conclude(self) -> None:
        """Work out what is believed; what cannot be was noise."""
        rows, plain_ms = self._covariance, math.exp(self._means[0])
        variances = [rows[k][k] for k in range(1, len(rows))]
        for k, mean in enumerate(ascending(self._means[1:], variances), 1):
            self._means[k] = min(max(mean, 0.0), math.log(_MOST_DEARNESS * (1 + k)))
        idle_ms = self._idle_ms
        self._busy_ms, self.ms = [plain_ms], [idle_ms + plain_ms]
        self.ratios, self.dear_ratios = [1.0], [1.0]
        self.doubts = [math.sqrt(rows[0][0])]
        for k in range(1, len(rows)):
            self._busy_ms.append(plain_ms * math.exp(self._means[k]))
            self.ms.append(idle_ms + self._busy_ms[k])
            self.ratios.append(self.ms[k] / self.ms[0])
            dear_ms = self._busy_ms[k] * math.exp(math.sqrt(max(rows[k][k], 0.0)))
            self.dear_ratios.append((idle_ms + dear_ms) / self.ms[0])
            variance = rows[0][0] + 2 * rows[0][k] + rows[k][k]
            self.doubts.append(math.sqrt(max(variance, 0.0)))


def ascending(values: Sequence[float], variances: Sequence[float]) -> list[float]:
    """Return the values nearest to these that do not fall; what is less sure gives way.

    Source: isotonic regression by pooling neighbours that are the wrong way round.
    """
    pools: list[tuple[float, float, int]] = []
    for value, variance in zip(values, variances, strict=True):
        mean, weight, length = value, 1.0 / max(variance, 1e-9), 1
        while pools and pools[-1][0] > mean:
            before, its_weight, its_length = pools.pop()
            mean = (before * its_weight + mean * weight) / (its_weight + weight)
            weight += its_weight
            length += its_length
        pools.append((mean, weight, length))
    return [value for value, _, length in pools for _ in range(length)]


def _guess_variance(num_drafts: int) -> float:
    """Return how unsure `plain` (0) or dearness is before anything was timed."""
    if num_drafts == 0:
        return _PLAIN_DOUBT**2
    share = _SHARE_DOUBT * _weight_of_share(num_drafts)
    return _FIRST_STEP_DOUBT**2 + num_drafts * _STEP_DOUBT**2 + share**2


def _weight_of_share(num_drafts: int) -> float:
    """Return by how much log dearness changes with the logarithm of the share, near the guess."""
    added = _GUESSED_SHARE * num_drafts
    return added / (1 + added)
