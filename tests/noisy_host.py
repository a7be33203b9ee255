"""A simulated host, which varies, and a GPU, which waits for it: what cycles take on both."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from leadout.cycle_costs import CycleCosts
from leadout.cycle_times import DEVICE_CLOCK_MS
from leadout.scheduler import Schedule

#: Of the host's time, what a cycle takes to be submitted; the rest, once its result is there.
SUBMIT_SHARE = 0.7

#: How often it pauses, and for how long.
PAUSE, PAUSE_MS = 0.03, (2.0, 8.0)

CLOCK_MS = 0.065
IN_FLIGHT = 3


@dataclass(frozen=True)
class Machine:
    """A model on a host and a GPU.

    Attributes:
        gpu_ms: by number of drafts, what a cycle takes of the GPU.
        host_ms: and of the host.
        accepted: how often the draft at a place is right.
        gpu_spread: standard deviation of what the GPU takes, as a share.
    """

    gpu_ms: Mapping[int, float]
    host_ms: Mapping[int, float]
    accepted: float
    gpu_spread: float = 0.0


#: Nano in Chromium on an NVIDIA H100.
NANO = Machine(
    gpu_ms={0: 0.45, 1: 0.65, 2: 0.9, 3: 1.0, 5: 1.25, 7: 1.45},
    host_ms={0: 1.0, 1: 1.1, 2: 1.3, 3: 1.4, 5: 1.7, 7: 2.0},
    accepted=0.95,
)


def clock(ms: float) -> float:
    """Return what the device's clock says."""
    return CLOCK_MS * round(ms / CLOCK_MS)


def generate(
    machine: Machine,
    schedule: Schedule,
    costs: CycleCosts,
    rng: random.Random,
    spread: float,
    num_tokens: int,
    *,
    has_gaps: bool = True,
    timed: list[tuple[int, float]] | None = None,
) -> float:
    """Run one request.

    Args:
        machine: where it runs.
        schedule: chooses drafts.
        costs: learn.
        rng: of the host's pace and of what is accepted.
        spread: of the host's pace, as the deviation of a logarithm.
        num_tokens: how many it brings.
        has_gaps: whether the device has a clock, which shows the gaps.
        timed: gets the drafts of each cycle, and the gap before it.

    Returns:
        The milliseconds that it took.
    """
    host_ms = gpu_ms = done = 0.0
    before: float | None = None
    in_flight: deque[tuple[int, float, float]] = deque()

    def worked(ms: float) -> float:
        return ms * rng.lognormvariate(-(spread**2) / 2, spread)

    while done < num_tokens:
        while len(in_flight) < IN_FLIGHT:
            k = schedule.choose()
            schedule.submitted(k)
            host_ms += worked(SUBMIT_SHARE * machine.host_ms[k])
            host_ms += rng.uniform(*PAUSE_MS) if rng.random() < PAUSE else 0.0
            began = max(host_ms, gpu_ms)
            gpu_ms = began + machine.gpu_ms[k]
            if machine.gpu_spread:
                gpu_ms += machine.gpu_ms[k] * rng.gauss(0, machine.gpu_spread)
            in_flight.append((k, clock(began), clock(gpu_ms)))
        k, began, ended = in_flight.popleft()
        host_ms = max(host_ms, ended) + worked((1 - SUBMIT_SHARE) * machine.host_ms[k])
        dearness = None
        if before is not None:
            idle = began - before if has_gaps else 0.0
            if timed is not None:
                timed.append((k, idle))
            costs.idled(idle)
            dearness = costs.note([(k, max(ended - before - idle, CLOCK_MS))], DEVICE_CLOCK_MS)
        before = ended
        num_accepted = next((i for i in range(k) if rng.random() > machine.accepted), k)
        schedule.collected(k, k, 1 + num_accepted, dearness)
        done += 1 + num_accepted
    costs.rest()
    return host_ms
