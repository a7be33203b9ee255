"""How many rows a prompt's next pass has (session/prompt_rows.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from leadout.devices.base import PassTimes
from leadout.sampling import Sampling
from leadout.scheduler import FixedSchedule
from leadout.session.prompt_rows import PromptRows
from leadout.session.queued import QueuedPass
from leadout.session.stream import Stream


@dataclass
class Ran:
    """The readback of a pass that took some time."""

    times: Sequence[PassTimes] = field(default_factory=list)

    def __await__(self):
        raise AssertionError("nobody waits here")

    def discard(self) -> None:
        pass


def stream(num_ids: int = 1000) -> Stream:
    return Stream(range(num_ids), Sampling(), 8, 1, lambda: False, FixedSchedule(0))


@pytest.mark.parametrize(
    ("num_rows", "ms", "most"),
    [(32, 40.0, 64), (64, 150.0, 32), (256, 90.0, 256), (64, 100.0, 64), (32, 3000.0, 32)],
)
def test_a_pass_is_as_large_as_100_ms_allow_by_what_the_last_one_took(num_rows, ms, most) -> None:
    rows = PromptRows()
    rows.learn(QueuedPass(Ran([PassTimes(0.0, 1.0), PassTimes(7.0, 7.0 + ms)]), num_rows=num_rows))
    assert rows.next_pass(stream(), is_alone=False) == (most, most)
    assert rows.next_pass(stream(), is_alone=True) == (256, 256)


@pytest.mark.parametrize(
    "one",
    [
        QueuedPass(Ran([PassTimes(0.0, 500.0)]), num_drafts=0),
        QueuedPass(Ran(), num_rows=32),
        QueuedPass(Ran([PassTimes(None, 500.0)]), num_rows=32),
    ],
    ids=["a cycle", "no times", "no clock on the device"],
)
def test_what_is_no_timed_pass_of_a_prompt_says_nothing(one: QueuedPass) -> None:
    rows = PromptRows()
    rows.learn(one)
    assert rows.next_pass(stream(), is_alone=False) == (64, 64)


def test_the_rest_of_a_prompt_takes_the_smallest_pass_that_holds_it() -> None:
    assert PromptRows().next_pass(stream(33), is_alone=True) == (64, 33)
    assert PromptRows().next_pass(stream(7), is_alone=False) == (32, 7)
