"""How far the costs that the scheduler believes are off, on simulated machines.

    PYTHONPATH=pyapp:tests .venv/bin/python tests/bench/believed_costs.py

A first request of 32 tokens and one of 200, nothing known before, many times each. A cost is what
the GPU works on a cycle and the usual gap before one, as in `leadout bench`. Printed is how far
nine of ten costs are off at most, by how often a cycle with so many drafts ran.
"""

from __future__ import annotations

import random
import statistics
from collections import Counter, defaultdict

from leadout.cycle_costs import MOST_GAP, CycleCosts
from leadout.scheduler import Acceptance, AutoSchedule, Savings, automatic_counts
from noisy_host import Machine, generate

#: What cycles take on an NVIDIA H200, over a plain one, and that in milliseconds.
SHAPES = {
    "nano": (0.46, {0: 1.0, 1: 1.46, 2: 1.83, 3: 2.17, 5: 2.87, 7: 3.54}),
    "e2b": (2.3, {0: 1.0, 1: 1.18, 2: 1.35, 3: 1.52, 5: 1.78, 7: 2.0}),
    "e4b": (4.0, {0: 1.0, 1: 1.22, 2: 1.45, 3: 1.69, 5: 2.2, 7: 2.73}),
    "31b": (13.0, {0: 1.0, 1: 1.24, 2: 1.54, 3: 1.99, 5: 2.54, 7: 3.01}),
}
#: The host's part, in milliseconds: a share of a plain cycle of Nano's, more dispatches of others'.
HOST_MS = {
    "nano": {0: 1.0, 1: 1.15, 2: 1.3, 3: 1.45, 5: 1.75, 7: 2.1},
    "others": {0: 2.3, 1: 2.5, 2: 2.7, 3: 2.9, 5: 3.3, 7: 3.7},
}
ACCEPTED = {"nano": 0.95, "others": 0.75}
GPU_SPREAD, HOST_SPREAD = 0.03, 0.5

NUM_REQUESTS = 150
NUM_RAN = ("0", "1", "2", "3 to 5", "6 to 20", "more")


def how_often(count: int) -> str:
    """Return one of NUM_RAN."""
    if count <= 2:
        return str(count)
    return "3 to 5" if count <= 5 else "6 to 20" if count <= 20 else "more"


def errors(machine: Machine, num_tokens: int) -> dict[str, list[float]]:
    """Return how far costs are off, by how often such cycles ran."""
    found: dict[str, list[float]] = defaultdict(list)
    for seed in range(NUM_REQUESTS):
        costs, timed = CycleCosts(7), list[tuple[int, float]]()
        schedule = AutoSchedule(automatic_counts(7), costs, Acceptance(7), Savings())
        rng = random.Random(seed)
        generate(machine, schedule, costs, rng, HOST_SPREAD, num_tokens, timed=timed)
        most_ms = MOST_GAP * costs.ms[0]
        gap_ms = statistics.mean(min(gap, most_ms) for _, gap in timed)
        ran = Counter(k for k, _ in timed)
        for k, gpu_ms in machine.gpu_ms.items():
            found[how_often(ran[k])].append(abs(costs.ms[k] / (gap_ms + gpu_ms) - 1))
    return found


def main() -> None:
    """Print a table."""
    print("| model, tokens | " + " | ".join(f"ran {name}" for name in NUM_RAN) + " |")
    for name, (plain_ms, ratios) in SHAPES.items():
        kind = name if name in HOST_MS else "others"
        gpu_ms = {k: plain_ms * ratio for k, ratio in ratios.items()}
        machine = Machine(gpu_ms, HOST_MS[kind], ACCEPTED[kind], GPU_SPREAD)
        for num_tokens in (32, 200):
            found = errors(machine, num_tokens)
            cells = []
            for often in NUM_RAN:
                some = sorted(found[often])
                few = len(some) < NUM_REQUESTS / 5
                cells.append("–" if few else f"{100 * some[int(0.9 * len(some))]:.0f} %")
            print(f"| {name}, {num_tokens} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
