"""Times come for several passes together, and belong to the cycles they are of."""

import pytest

from leadout.cycle_times import DEVICE_CLOCK_MS, CycleTime, CycleTimes
from leadout.devices.base import PassTimes


def passes(*ends):
    """Return passes that take 2 ms each and end at these times."""
    return [PassTimes(end - 2.0, end) for end in ends]


def test_a_cycle_takes_from_the_end_of_the_pass_before_to_its_own() -> None:
    times = CycleTimes()
    assert times.collected(None, passes(10.0)) == []
    assert times.collected(0, passes(12.5)) == [CycleTime(0, 2.5, 0.5)]
    assert times.collected(3, passes(16.5)) == [CycleTime(3, 4.0, 2.0)]


def test_times_that_come_together_belong_to_the_last_passes() -> None:
    times = CycleTimes()
    assert times.collected(None, []) == []
    assert times.collected(1, passes(1.0, 4.0, 6.0, 9.0)) == [CycleTime(1, 3.0, 1.0)]
    for k in (0, 2, 3):
        assert times.collected(k, []) == []
    known = times.collected(7, passes(11.0, 13.0, 15.0, 18.0))
    assert [(time.num_drafts, time.ms) for time in known] == [(0, 2), (2, 2), (3, 2), (7, 3)]


def test_what_nobody_timed_has_no_time() -> None:
    times = CycleTimes()
    for k in (None, 0, 0):
        assert times.collected(k, []) == []
    assert times.collected(3, []) == []


def test_two_clocks_are_not_compared() -> None:
    times = CycleTimes()
    times.collected(0, passes(1000.0))
    assert times.collected(0, [PassTimes(None, 5.0)]) == []
    assert times.collected(3, [PassTimes(None, 8.0)]) == [CycleTime(3, 3.0, None)]


def test_behind_a_pass_without_a_time_none_is_made_up() -> None:
    times = CycleTimes()
    times.collected(0, passes(4.0))
    times.collected(0, [])
    assert times.collected(0, passes(8.0)) == []
    assert times.collected(0, passes(10.0)) == [CycleTime(0, 2.0, 0.0)]


def test_a_clock_of_the_device_is_finer_than_arrivals() -> None:
    assert CycleTime(0, 2.0, 0.0).resolution_ms(4.0) == DEVICE_CLOCK_MS
    assert CycleTime(0, 2.0, None).resolution_ms(0.1) == 1.0
    assert CycleTime(0, 2.0, None).resolution_ms(4.0) == pytest.approx(6.0)
