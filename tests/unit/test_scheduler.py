"""The ledger's promise and the choice's sense, on simulated drafters."""

import itertools
import math
import random
from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadout.cycle_costs import CycleCosts
from leadout.scheduler import (
    MAX_LOSS,
    Acceptance,
    AutoSchedule,
    FixedSchedule,
    automatic_counts,
)
from thoroughness import IS_THOROUGH

#: Cost of a cycle by number of drafts, in plain steps: cheap and dear drafters.
CHEAP = {0: 1.0, 1: 1.1, 2: 1.2, 3: 1.3, 5: 1.7, 7: 1.9}
DEAR = {0: 1.0, 1: 1.6, 2: 2.4, 3: 2.9, 5: 4.5, 7: 6.0}

#: Of a device's clock; and what Chromium cuts it to.
RESOLUTION_MS = 0.1
QUANTUM_MS = 0.065536

#: Cycles whose times come together; see web/runtime/pass_times.js.
TIMED_TOGETHER = 4

#: Requests with costs that drift; each takes some 30 ms.
NUM_DRIFTING = 500 if IS_THOROUGH else 100


def learnt(costs, scale=1.0):
    """Return costs of which loading, and a request, have seen enough."""
    known = CycleCosts(7)
    for _ in range(20):
        for k, cost in costs.items():
            known.note([(k, scale * cost)], RESOLUTION_MS)
    return known


def simulate(costs, rates, num_tokens, run_ahead=1, acceptance=None, seed=0):
    """Run a request whose drafter is right with the given rates.

    Args:
        costs: by number of drafts.
        rates: called with the tokens so far, gives the rate at every position.
        num_tokens: of the request.
        run_ahead: cycles in flight.
        acceptance: learned before, if anything.
        seed: of the outcomes.

    Returns:
        (cost of all cycles submitted, tokens, cycles by number of drafts).
    """
    rng = random.Random(seed)
    known = learnt(costs)
    schedule = AutoSchedule(automatic_counts(7), known, acceptance or Acceptance(7))
    in_flight: deque[int] = deque()
    tokens, spent, chosen = 0, 0.0, []
    while tokens < num_tokens:
        while len(in_flight) < run_ahead:
            k = schedule.choose()
            schedule.submitted(k)
            in_flight.append(k)
            spent += costs[k]
            chosen.append(k)
        k = in_flight.popleft()
        count = 1
        while count <= k and rng.random() < rates(tokens):
            count += 1
        schedule.collected(k, k, count, known.note([(k, costs[k])], RESOLUTION_MS))
        tokens += count
    # What is still in flight brings a token each at least.
    return spent, tokens + len(in_flight), chosen


@pytest.mark.parametrize("costs", [CHEAP, DEAR])
@pytest.mark.parametrize("run_ahead", [1, 2, 4])
@pytest.mark.parametrize("num_tokens", [1, 5, 20, 100, 1000])
def test_a_drafter_that_is_never_right_costs_at_most_the_share(
    costs, run_ahead, num_tokens
) -> None:
    spent, tokens, _ = simulate(costs, lambda _: 0.0, num_tokens, run_ahead)
    assert spent <= (1 + MAX_LOSS) * tokens + 1e-9


@given(
    drafts=st.lists(st.floats(0.0, 2.0), min_size=5, max_size=5),
    outcomes=st.lists(st.integers(0, 7), min_size=1, max_size=400),
    run_ahead=st.integers(1, 4),
)
@settings(deadline=None)
def test_no_sequence_of_outcomes_costs_more_than_the_share(drafts, outcomes, run_ahead) -> None:
    """Adversarial: outcomes are chosen, not drawn, and costs are anything."""
    costs, cost = {0: 1.0}, 1.0
    for k, more in zip((1, 2, 3, 5, 7), drafts, strict=True):
        cost += more
        costs[k] = cost
    known = learnt(costs)
    schedule = AutoSchedule(automatic_counts(7), known, Acceptance(7))
    in_flight: deque[int] = deque()
    spent, tokens = 0.0, 0
    for outcome in outcomes:
        while len(in_flight) < run_ahead:
            k = schedule.choose()
            schedule.submitted(k)
            in_flight.append(k)
            spent += costs[k]
            # A lower bound on what is to come: one token for each in flight.
            assert spent <= (1 + MAX_LOSS) * (tokens + len(in_flight)) + 1e-9
        k = in_flight.popleft()
        accepted = min(outcome, k)
        schedule.collected(k, k, 1 + accepted, known.note([(k, costs[k])], RESOLUTION_MS))
        tokens += 1 + accepted


# ---- costs that change while a request runs ----------------------------------------------------

#: What loading guessed, over what is true, by number of drafts.
GUESSES = {
    "right": lambda k, rng: 1.0,
    "drafts 3x too cheap": lambda k, rng: 1 / 3 if k else 1.0,
    "drafts 3x too dear": lambda k, rng: 3.0 if k else 1.0,
    "all 3x too dear": lambda k, rng: 3.0,
    "each up to 3x off": lambda k, rng: 3 ** rng.uniform(-1, 1),
}

#: A plain cycle's cost at a time, in milliseconds.
PLAIN_MS = {
    "steady": lambda now: 3.0,
    "a cold card speeds up 3x": lambda now: 3.0 * (1 + 2 * max(0, 1 - now / 150)),
    "a card slows down 3x": lambda now: 1.0 + 2 * min(1, now / 300),
    "a program steals half for a while": lambda now: 6.0 if 200 < now < 500 else 3.0,
    "it comes and goes": lambda now: 6.0 if now % 200 > 100 else 3.0,
}

#: What becomes of the cost of drafting, over that of a plain step, by cycle.
DEARNESS = {
    "as at first": lambda n: 1.0,
    "a context that grows": lambda n: 1 + min(1, n / 400),
    "a sudden change": lambda n: 1.6 if n > 150 else 1.0,
}

#: Drafts that are accepted: by the cycle's number, how many were drafted, and at random.
OUTCOMES = {
    "none": lambda n, k, rng: 0,
    "all or none": lambda n, k, rng: rng.choice((0, 0, k)),
    "all": lambda n, k, rng: k,
    "all, then none": lambda n, k, rng: k if n < 60 else 0,
    "in turns": lambda n, k, rng: k if (n // 7) % 2 else 0,
    "half of each": lambda n, k, rng: next((i for i in range(k) if rng.random() > 0.5), k),
}

#: Of such requests, how many keep the promise to the letter; and what is the most that any other
#: one costs above it, in plain steps. Seen, of 2,500: all but 5, and 20.
KEPT_SHARE = 0.99
MOST_DEBT_STEPS = 25


def test_costs_that_drift_are_paid_within_the_share() -> None:
    """What is really paid, against what plain steps would have cost at the same time."""
    cases = list(
        itertools.product((CHEAP, DEAR), GUESSES, PLAIN_MS, DEARNESS, OUTCOMES, (2, 3, 8), range(3))
    )
    random.Random(0).shuffle(cases)
    debts = [debt_of_drifting_request(*case) for case in cases[:NUM_DRIFTING]]
    debts.sort()
    assert debts[-1] < MOST_DEBT_STEPS
    assert sum(debt <= 0 for debt in debts) >= KEPT_SHARE * len(debts)


def debt_of_drifting_request(costs, guess, plain_ms, dearness, outcome, run_ahead, seed):
    """Return what a request of 400 tokens costs above the promise, in plain steps of its end."""
    rng = random.Random(seed)
    at_load = {k: costs[k] * PLAIN_MS[plain_ms](0) * GUESSES[guess](k, rng) for k in costs}
    known = CycleCosts(7)
    for _ in range(3):
        for k, ms in at_load.items():
            for _ in range(2):
                known.note([(k, ms)], RESOLUTION_MS)
    known.rest()
    schedule = AutoSchedule(automatic_counts(7), known, Acceptance(7))
    in_flight: deque[int] = deque()
    tokens, number, now, seen, fair = 0, 0, 0.0, 0.0, 0.0
    timed: list[tuple[int, float]] = []
    while tokens < 400:
        while len(in_flight) < run_ahead:
            in_flight.append(schedule.choose())
            schedule.submitted(in_flight[-1])
        k = in_flight.popleft()
        plain = PLAIN_MS[plain_ms](now)
        ratio = costs[k] * DEARNESS[dearness](number) if k else 1.0
        now += plain * ratio * math.exp(rng.gauss(0, 0.02))
        count = 1 + OUTCOMES[outcome](number, k, rng)
        fair += plain * count
        stamp = math.floor(now / QUANTUM_MS) * QUANTUM_MS
        timed.append((k, stamp - seen))
        said = None
        if len(timed) == TIMED_TOGETHER:
            said = known.note(timed, RESOLUTION_MS)
            timed = []
        schedule.collected(k, k, count, said)
        seen = stamp
        tokens += count
        number += 1
    return (now - (1 + MAX_LOSS) * fair) / plain


#: A drafter much dearer than any that we saw, and what the first request may owe for finding out,
#: in plain steps (seen: 5.2).
HUGE = {0: 1.0, 1: 3.5, 2: 5.0, 3: 7.0, 5: 11.0, 7: 15.0}
MOST_FIRST_DEBT_STEPS = 6.5


@pytest.mark.parametrize("plain_ms", [0.5, 10.0])
def test_nor_does_a_first_request_pay_much_for_a_drafter_dearer_than_any(plain_ms) -> None:
    for seed, outcome, run_ahead in itertools.product(range(2), OUTCOMES, (3, 8)):
        rng = random.Random(seed)
        known = CycleCosts(7)
        schedule = AutoSchedule(automatic_counts(7), known, Acceptance(7))
        in_flight: deque[int] = deque()
        tokens, number, spent, debts = 0, 0, 0.0, []
        timed: list[tuple[int, float]] = []
        while tokens < 200:
            while len(in_flight) < run_ahead:
                in_flight.append(schedule.choose())
                schedule.submitted(in_flight[-1])
            k = in_flight.popleft()
            spent += HUGE[k]
            timed.append((k, plain_ms * HUGE[k] * math.exp(rng.gauss(0, 0.02))))
            said = None
            if len(timed) == TIMED_TOGETHER:
                said, timed = known.note(timed, RESOLUTION_MS), []
            count = 1 + OUTCOMES[outcome](number, k, rng)
            schedule.collected(k, k, count, said)
            tokens += count
            number += 1
            debts.append(spent - (1 + MAX_LOSS) * tokens)
        assert max(debts) < MOST_FIRST_DEBT_STEPS
        assert debts[-1] <= 0


def test_a_plain_step_is_run_now_and_then() -> None:
    _, _, chosen = simulate(CHEAP, lambda _: 1.0, 3000, run_ahead=3)
    plain = [i for i, k in enumerate(chosen) if k == 0 and i > 20]
    assert 2 <= len(plain) < 0.05 * len(chosen)


def test_a_number_whose_cost_is_not_sure_is_tried() -> None:
    known = learnt({k: CHEAP[k] for k in (0, 1, 2, 3)})
    schedule = AutoSchedule(automatic_counts(7), known, Acceptance(7))
    chosen = []
    for _ in range(60):
        chosen.append(schedule.choose())
        schedule.submitted(chosen[-1])
        ms = CHEAP[chosen[-1]]
        schedule.collected(
            chosen[-1], chosen[-1], 1 + chosen[-1], known.note([(chosen[-1], ms)], RESOLUTION_MS)
        )
    assert {5, 7} & set(chosen)
    assert known.ms[7] == pytest.approx(CHEAP[7], rel=0.1)


def test_a_cheap_drafter_that_is_often_right_is_used_to_the_full() -> None:
    spent, tokens, chosen = simulate(CHEAP, lambda _: 0.9, 500, run_ahead=3)
    assert tokens / spent > 2.4  # at 0.9, seven drafts bring 5.7 tokens for 1.9
    assert sum(k == 7 for k in chosen[-50:]) > 40


def test_a_dear_drafter_is_used_as_far_as_it_pays() -> None:
    _, _, chosen = simulate(DEAR, lambda _: 0.75, 1000, run_ahead=3)
    # One draft brings 1.75 tokens for 1.6, two 2.3 for 2.4. More are tried now and then.
    assert sum(k > 1 for k in chosen[-100:]) <= 2
    assert sum(k == 1 for k in chosen[-100:]) > 80


def test_drafting_stops_when_it_does_not_pay_and_is_tried_again_later() -> None:
    _, _, chosen = simulate(CHEAP, lambda _: 0.0, 2000, run_ahead=2)
    attempts = [i for i, k in enumerate(chosen) if k]
    assert len(attempts) >= 3
    gaps = [b - a for a, b in pairwise(attempts)]
    assert gaps[-1] > 100, "the attempts become rare"
    assert sum(k > 0 for k in chosen[-500:]) <= 5


def test_text_that_becomes_predictable_is_drafted_again() -> None:
    rates = lambda tokens: 0.0 if tokens < 600 else 0.95  # noqa: E731
    _, _, chosen = simulate(CHEAP, rates, 2500, run_ahead=2)
    assert sum(k >= 5 for k in chosen[-60:]) > 40


def test_what_one_request_learned_the_next_one_uses() -> None:
    acceptance = Acceptance(7)
    simulate(CHEAP, lambda _: 0.95, 300, acceptance=acceptance)
    assert acceptance.rates[0] > 0.9
    _, _, chosen = simulate(CHEAP, lambda _: 0.95, 40, acceptance=acceptance, seed=1)
    first = next(i for i, k in enumerate(chosen) if k)
    assert first <= 3, "plain steps pay for the first draft"
    assert 7 in chosen[: first + 8]


def test_a_drafter_that_finds_nothing_is_not_taken_for_a_wrong_one() -> None:
    acceptance = Acceptance(7)
    for _ in range(200):
        acceptance.note(0, 0)
    assert acceptance.rates[0] == pytest.approx(0.6)
    assert acceptance.expected_tokens(7) < 1.01
    for _ in range(200):
        acceptance.note(7, 7)
    assert acceptance.expected_tokens(7) > 6


def test_only_numbers_that_were_loaded_for_are_chosen_among() -> None:
    assert list(automatic_counts(0)) == [0]
    assert list(automatic_counts(4)) == [0, 1, 2, 3]
    assert list(automatic_counts(7)) == [0, 1, 2, 3, 5, 7]


def test_a_fixed_number_stays_what_it_is() -> None:
    schedule = FixedSchedule(4)
    schedule.submitted(4)
    schedule.collected(4, 4, 1, 1.0)
    assert schedule.choose() == 4


def test_a_cycle_that_is_run_again_is_neither_charged_nor_credited() -> None:
    """However many there are, the ledger allows what it allowed before."""
    schedule = AutoSchedule(sorted(CHEAP), learnt(CHEAP), Acceptance(7))
    for _ in range(40):
        schedule.submitted(0)
        schedule.collected(0, 0, 1, None)
    before = schedule._spent, schedule._earned_tokens
    for _ in range(100):
        schedule.submitted(3)
        schedule.submitted(0)
        schedule.repeated(None)
        schedule.repeated(None)
    assert (schedule._spent, schedule._earned_tokens) == (pytest.approx(before[0]), before[1])
