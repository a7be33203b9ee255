"""What cycles took is said in the sense in which the scheduler believes it."""

import pytest

from leadout.stats import Clock, Stats


def clock_of(*cycles, believed_ms=None):
    """Return the stats of (drafts, milliseconds, gap)."""
    stats = Stats("a device", 3)
    stats.cycle_ms = {"0": believed_ms}
    clock = Clock(stats)
    for cycle in cycles:
        clock.cycle(*cycle)
    clock.finish()
    return stats


def test_every_cycle_took_the_usual_gap_whichever_it_stood_behind() -> None:
    """A plain cycle between long ones has none, and the one behind it has both."""
    stats = clock_of((7, 2.0, 0.5), (0, 0.5, 0.0), (7, 2.5, 1.0), (7, 2.0, 0.5), believed_ms=1.0)
    assert stats.cycle_run_ms == {"0": 1.0, "7": pytest.approx(2.0, abs=0.001)}
    assert stats.cycle_runs == {"0": 1, "7": 3}
    assert stats.gpu_idle_share == pytest.approx(2.0 / 7.0)


def test_an_interruption_counts_for_a_few_plain_cycles() -> None:
    stats = clock_of((0, 1000.5, 1000.0), (0, 1.0, 0.5), believed_ms=1.0)
    assert stats.cycle_run_ms == {"0": pytest.approx(0.5 + (3.0 + 0.5) / 2)}


def test_without_a_clock_of_the_device_gaps_are_part_of_cycles() -> None:
    stats = clock_of((0, 1.0, None), (3, 2.0, None), (3, 3.0, None))
    assert stats.cycle_run_ms == {"0": 1.0, "3": 2.5}
    assert stats.cycle_runs == {"0": 1, "3": 2}
    assert stats.gpu_idle_share is None
