"""The ledger's promise and the choice's sense, on simulated drafters."""

import random
from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadout.scheduler import (
    MAX_LOSS,
    Acceptance,
    AutoSchedule,
    FixedSchedule,
    automatic_counts,
    monotonic,
)

#: Cost of a cycle by number of drafts, in plain steps: cheap and dear drafters.
CHEAP = {0: 1.0, 1: 1.1, 2: 1.2, 3: 1.3, 5: 1.7, 7: 1.9}
DEAR = {0: 1.0, 1: 1.6, 2: 2.4, 3: 2.9, 5: 4.5, 7: 6.0}


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
    schedule = AutoSchedule(costs, acceptance or Acceptance(7))
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
        schedule.collected(k, k, count)
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
def test_no_sequence_of_outcomes_costs_more_than_the_share(drafts, outcomes, run_ahead) -> None:
    """Adversarial: outcomes are chosen, not drawn, and costs are anything."""
    costs, cost = {0: 1.0}, 1.0
    for k, more in zip((1, 2, 3, 5, 7), drafts, strict=True):
        cost += more
        costs[k] = cost
    schedule = AutoSchedule(costs, Acceptance(7))
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
        schedule.collected(k, k, 1 + accepted)
        tokens += 1 + accepted


def test_a_cheap_drafter_that_is_often_right_is_used_to_the_full() -> None:
    spent, tokens, chosen = simulate(CHEAP, lambda _: 0.9, 500, run_ahead=3)
    assert tokens / spent > 2.4  # at 0.9, seven drafts bring 5.7 tokens for 1.9
    assert sum(k == 7 for k in chosen[-50:]) > 40


def test_a_dear_drafter_is_used_as_far_as_it_pays() -> None:
    _, _, chosen = simulate(DEAR, lambda _: 0.75, 1000, run_ahead=3)
    assert set(chosen[-100:]) <= {0, 1}, "one draft brings 1.75 tokens for 1.6, two 2.3 for 2.4"
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


def test_costs_that_a_noisy_clock_turned_round_are_set_right() -> None:
    assert monotonic({3: 1.2, 0: 1.0, 1: 1.5, 7: 1.4}) == {0: 1.0, 1: 1.5, 3: 1.5, 7: 1.5}


def test_only_numbers_that_were_loaded_for_are_chosen_among() -> None:
    assert list(automatic_counts(0)) == [0]
    assert list(automatic_counts(4)) == [0, 1, 2, 3]
    assert list(automatic_counts(7)) == [0, 1, 2, 3, 5, 7]


def test_a_fixed_number_stays_what_it_is() -> None:
    schedule = FixedSchedule(4)
    schedule.submitted(4)
    schedule.collected(4, 4, 1)
    assert schedule.choose() == 4
