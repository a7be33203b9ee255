"""What `AutoSchedule` makes of a small model whose cycles wait for a busy host."""

from __future__ import annotations

import random
import statistics

import pytest

from leadout.cycle_costs import CycleCosts
from leadout.scheduler import (
    MAX_LOSS,
    MOST_SAVINGS,
    Acceptance,
    AutoSchedule,
    FixedSchedule,
    Savings,
    Schedule,
    automatic_counts,
)
from noisy_host import NANO, generate

#: A longer gap, of some three plain cycles, is an interruption, and counts as this one.
MOST_GAP_MS = 3.0

#: The goal for what a believed cost may be off; nine of ten are within 0.05.
KNOWN_WITHIN = 0.10


def speed(fixed: int | None, spread: float, *, has_gaps: bool = True) -> float:
    """Return tokens per second of answers of 183 tokens, Nano's briefs; the mean of a few runs."""
    return statistics.mean(_speed(fixed, spread, seed, has_gaps) for seed in range(4))


def _speed(fixed: int | None, spread: float, seed: int, has_gaps: bool) -> float:
    rng = random.Random(seed)
    costs, acceptance, savings = CycleCosts(7), Acceptance(7), Savings()
    took = 0.0
    for _ in range(8):
        schedule: Schedule = AutoSchedule(automatic_counts(7), costs, acceptance, savings)
        if fixed is not None:
            schedule = FixedSchedule(fixed)
        took += generate(NANO, schedule, costs, rng, spread, 183, has_gaps=has_gaps)
    return 1000 * 8 * 183 / took


@pytest.mark.parametrize("spread", [0.1, 0.5, 0.8])
def test_a_host_whose_pace_varies_does_not_keep_it_from_drafting(spread: float) -> None:
    assert speed(None, spread) > 0.88 * speed(7, spread)


def test_nor_where_gaps_are_not_known_apart() -> None:
    assert speed(None, 0.5, has_gaps=False) > 2.2 * speed(0, 0.5)


def test_costs_of_cycles_that_ran_are_known_after_32_tokens() -> None:
    """Of the first request; against what they take of the GPU, and its gaps' average."""
    errors: list[float] = []
    for seed in range(40):
        costs, timed = CycleCosts(7), list[tuple[int, float]]()
        schedule = AutoSchedule(automatic_counts(7), costs, Acceptance(7), Savings())
        generate(NANO, schedule, costs, random.Random(seed), 0.5, 32, timed=timed)
        gap_ms = statistics.mean(min(gap, MOST_GAP_MS) for _, gap in timed)
        kinds = {k for k, _ in timed}
        errors += [abs(costs.ms[k] / (gap_ms + NANO.gpu_ms[k]) - 1) for k in kinds]
    errors.sort()
    assert errors[int(0.9 * len(errors))] < KNOWN_WITHIN


def test_what_a_request_left_lets_the_next_one_draft_from_its_beginning() -> None:
    costs, acceptance, savings = CycleCosts(3), Acceptance(3), Savings()
    for _ in range(40):
        costs.note([(0, 10.0)], 0.1)
        costs.note([(3, 13.0)], 0.1)
    first = AutoSchedule([0, 3], costs, acceptance, savings)
    begun = []
    for _ in range(60):
        begun.append(first.choose())
        first.submitted(begun[-1])
        first.collected(begun[-1], begun[-1], 1 + begun[-1], None)
    assert begun[0] == 0
    assert savings.plain_steps == MOST_SAVINGS
    second = AutoSchedule([0, 3], costs, acceptance, savings)
    assert savings.plain_steps == 0.0
    assert second.choose() == 3


def test_a_drafter_that_is_never_right_costs_the_share_of_all_requests() -> None:
    costs, acceptance, savings = CycleCosts(3), Acceptance(3), Savings()
    ratios = {0: 1.0, 3: 1.3}
    for _ in range(40):
        costs.note([(0, 10.0)], 0.1)
        costs.note([(3, 13.0)], 0.1)
    spent = num_tokens = num_drafting = 0.0
    for request in range(50):
        schedule = AutoSchedule([0, 3], costs, acceptance, savings)
        for _ in range(5 + request):
            k = schedule.choose()
            schedule.submitted(k)
            schedule.collected(k, k, 1, None)
            spent += ratios[k]
            num_tokens += 1
            num_drafting += k > 0
            assert spent <= (1 + MAX_LOSS) * num_tokens
    assert num_drafting > 0
