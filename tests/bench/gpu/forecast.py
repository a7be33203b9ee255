"""Does a forecast come true on this machine's GPU? Memory and speed of several shapes.

    PYTHONPATH=pyapp:build python tests/bench/gpu/forecast.py [--runtime chromium] [--shapes e2b]

For each shape, in a runtime of its own: the forecast with its probe, as a page asks for it, then a
load, and plain and drafted tokens behind as many others as the probe had. Beside each forecast
stand what came of it and their ratio.
"""

from __future__ import annotations

import argparse
import os
from statistics import median
from typing import Any

from leadout.checkpoint.synthetic import SHAPES
from leadout_build.bench.node import open_node, open_running_chromium
from leadout_build.cli.bench import find_subject

#: Tokens that are timed.
TIMED_TOKENS = 160

#: Times that they are; the first does not count, because a card speeds up first.
ROUNDS = 6


def speed(runtime: Any, num_known: int, num_drafts: int) -> tuple[float, float]:
    """Return the medians of tokens/s and ms a cycle behind so many tokens."""
    ids = [2 + i % 97 for i in range(num_known)]
    rates, cycles = [], []
    for _ in range(ROUNDS):
        runtime.assume(ids[:-1])
        request = {"prompt_ids": ids, "max_tokens": TIMED_TOKENS, "ignore_eos": True}
        stats = runtime.generate({**request, "draft_tokens": num_drafts})["stats"]
        rates.append(stats["decode_tokens_per_s"])
        cycles.append(stats["decode_ms"] / max(stats["cycles"], 1))
    return median(rates[1:]), median(cycles[1:])


def main() -> None:
    """Print a line for each shape and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runtime", choices=("node", "chromium"), default="node")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    args = parser.parse_args()
    for shape in args.shapes.split(","):
        subject = find_subject(None, shape)
        port = int(os.environ.get("LEADOUT_CHROMIUM_PORT", "0"))
        is_node = args.runtime == "node"
        opened = open_node(subject) if is_node else open_running_chromium(subject, port)
        with opened as runtime:
            found = runtime.forecast("mtp")
            probe = found["probe"]
            options = {"context_length": found["context_length"]}
            info = runtime.load(lambda loaded, total: None, "mtp", options).info
            known = probe["context_length"]
            rate, cycle = speed(runtime, known, 0)[0], speed(runtime, known, 3)[1]
        pairs = {
            "GB": (found["memory"]["total_bytes"] / 1e9, info["allocated_bytes"] / 1e9),
            "tokens/s": (probe["decode_tokens_per_s"], rate),
            "ms a cycle of 3 drafts": (probe["cycle_ms"]["3"], cycle),
        }
        for what, (said, came) in pairs.items():
            print(
                f"{shape:8} {what:24} {said:8.2f} said, {came:8.2f} came, {said / came:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
