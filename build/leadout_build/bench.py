"""`leadout bench`: what loading, prefill and decoding cost on this machine. Nothing is asserted.

    1. load      once: MB/s of the weights, the phases' times, the JavaScript heap
    2. rounds    each measures a prefill of every size, then a decode with every run-ahead, so that
                 what is compared was measured next to each other; the first ones only warm up
    3. report    medians with the lowest and highest, as a table or as one JSON object

Times are the engine's own (`Stats` of web/messages.js), taken next to the device.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from leadout.checkpoint import FileSource, open_checkpoint
from leadout.errors import RequestError
from leadout.models.registry import Config, read_config
from leadout.passes import PREFILL_ROWS
from leadout.request import DEFAULT_RUN_AHEAD
from leadout_build.bench_runtimes import Loaded, Runtime, open_chromium, open_node
from leadout_build.progress import format_bytes, progress_of
from leadout_build.store import Store

#: Passes in flight that are compared; the first is what ratios are to.
RUN_AHEADS = (1, 2, 3)

#: Adapters that compute on the CPU, as their names say.
SOFTWARE_ADAPTERS = ("swiftshader", "llvmpipe", "lavapipe")

#: The rows of a decode step that this version has a Plan for.
DECODE_ROWS = 1

_OTHER_ROWS = "not measured: this version's decode step has one row"


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        prefill_tokens: sizes of prompts, ascending. The first also begins every decode.
        decode_tokens: tokens after the first one, each a step.
        warm_up_rounds: thrown away.
        rounds: measured.
    """

    prefill_tokens: tuple[int, ...]
    decode_tokens: int
    warm_up_rounds: int
    rounds: int


FULL_EFFORT = Effort(PREFILL_ROWS, decode_tokens=16, warm_up_rounds=1, rounds=5)

#: Where a token takes seconds.
SOFTWARE_EFFORT = Effort(PREFILL_ROWS[:2], decode_tokens=3, warm_up_rounds=0, rounds=2)


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing."""

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Sum up at least one value."""
        rounded = [round(value, 4) for value in values]
        median = round(statistics.median(values), 4)
        return cls(median, min(rounded), max(rounded), len(rounded))

    def shown(self) -> str:
        """Return the figures for people."""
        if self.runs == 1:
            return f"{self.median:.4g}"
        return f"{self.median:.4g} ({self.low:.4g} to {self.high:.4g}, {self.runs} runs)"


def run(args: argparse.Namespace) -> int:
    """Run the command; see `leadout bench --help`.

    Raises:
        RequestError: a shape was asked for, or rows without the one that exists.
        LeadoutError: see the runtimes.
    """
    if args.shape is not None:
        raise RequestError("--shape needs Gemma 4, which this version does not run; give a MODEL.")
    if args.model is None:
        raise RequestError("Give a MODEL to measure, such as gemma3-270m.")
    if DECODE_ROWS not in args.rows:
        raise RequestError(
            f"--rows {','.join(map(str, args.rows))}: this version's decode step has one row; "
            "include 1."
        )
    config = asyncio.run(_read_config(args.model))
    opened = open_node if args.runtime == "node" else open_chromium
    with opened(args.model) as runtime:
        with progress_of("Loading") as progress:
            loaded = runtime.load(progress)
        effort = SOFTWARE_EFFORT if is_software(loaded.info["device"]) else FULL_EFFORT
        report = {
            "model": args.model,
            "runtime": args.runtime,
            "adapter": loaded.info["device"],
            "machine": {"system": platform.platform(), "cpus": os.cpu_count()},
            "versions": runtime.versions,
            **load_figures(loaded),
            **measure(runtime, effort, config.vocab_size, loaded.info["context_length"]),
        }
    report |= step_figures(report, loaded.info, config.num_hidden_layers, args.rows)
    print(json.dumps(report) if args.json else "\n".join(table(report)))
    return 0


async def _read_config(model: str) -> Config:
    """Return a checkpoint's configuration; only its headers are read."""
    files = Store().resolve(model)
    sources = {name: FileSource(Path(path)) for name, path in files.items()}
    return read_config(await open_checkpoint(sources))


def is_software(adapter: str) -> bool:
    """Tell whether an adapter computes on the CPU."""
    return any(name in adapter.lower() for name in SOFTWARE_ADAPTERS)


def load_figures(loaded: Loaded) -> dict[str, Any]:
    """Return what loading cost: "load" and "memory" of the report.

    The heap's growth is from the last sample before the load to the highest one in it, garbage
    that was not collected yet included. It is None where no sample fell into either.
    """
    progress = [event for event in loaded.events if event["type"] == "progress"]
    begun = {event["phase"]: event["at_ms"] for event in loaded.events if event["type"] == "phase"}
    first, last = progress[0], progress[-1]
    weights_ms = last["at_ms"] - first["at_ms"]
    weights_bytes = last["loaded_bytes"] - first["loaded_bytes"]
    before = [size for at_ms, size in loaded.samples if at_ms < begun["loading_weights"]]
    during = [size for at_ms, size in loaded.samples if at_ms >= begun["loading_weights"]]
    return {
        "load": {
            "bytes": weights_bytes,
            "mb_per_s": round(weights_bytes / 1000 / max(weights_ms, 1), 2),
            "weights_ms": weights_ms,
            "compiling_kernels_ms": begun["warming_up"] - begun["compiling_kernels"],
            "warming_up_ms": begun["ready"] - begun["warming_up"],
            "load_ms": loaded.info["load_ms"],
        },
        "memory": {
            "gpu_peak_bytes": loaded.info["peak_bytes"],
            "gpu_bytes": loaded.info["allocated_bytes"],
            "gpu_weights_bytes": loaded.info["weights_bytes"],
            "js_heap_peak_bytes": max(before + during, default=None),
            "js_heap_growth_bytes": max(during) - before[-1] if before and during else None,
        },
    }


def measure(
    runtime: Runtime, effort: Effort, vocab_size: int, context_length: int
) -> dict[str, Any]:
    """Run the rounds: "effort", "prefill", "decode" and "submits_per_step" of the report.

    Raises:
        RequestError: not even the smallest prompt fits into the context.
    """
    sizes = [size for size in effort.prefill_tokens if size < context_length]
    if not sizes or sizes[0] + effort.decode_tokens >= context_length:
        raise RequestError(
            f"The model's context of {context_length} tokens is too short to measure; wanted more "
            f"than {effort.prefill_tokens[0] + effort.decode_tokens}."
        )

    def generate(num_prompt_tokens: int, max_tokens: int, run_ahead: int) -> dict[str, Any]:
        request = {
            "prompt_ids": prompt_ids(num_prompt_tokens, vocab_size),
            "max_tokens": max_tokens,
            "ignore_eos": True,
            "run_ahead": run_ahead,
        }
        stats: dict[str, Any] = runtime.generate(request)["stats"]
        return stats

    prefill: dict[int, list[float]] = {size: [] for size in sizes}
    decode: dict[int, list[float]] = {run_ahead: [] for run_ahead in RUN_AHEADS}
    submits = [runtime.submits()]
    generate(sizes[0], 1, 1)
    submits.append(runtime.submits())
    generate(sizes[0], 1 + effort.decode_tokens, DEFAULT_RUN_AHEAD)
    submits.append(runtime.submits())
    decode_submits = (submits[2] - submits[1]) - (submits[1] - submits[0])
    for number in range(effort.warm_up_rounds + effort.rounds):
        is_measured = number >= effort.warm_up_rounds
        for size in sizes:
            stats = generate(size, 1, 1)
            if is_measured:
                prefill[size].append(1000 * stats["prefill_tokens"] / stats["prefill_ms"])
        for run_ahead in RUN_AHEADS:
            stats = generate(sizes[0], 1 + effort.decode_tokens, run_ahead)
            if is_measured:
                decode[run_ahead].append(stats["decode_tokens_per_s"])
    return {
        "effort": asdict(effort) | {"prefill_tokens": sizes},
        "prefill": [
            {"tokens": size, "tokens_per_s": asdict(Spread.of(values))}
            for size, values in prefill.items()
        ],
        "decode": [
            {
                "run_ahead": run_ahead,
                "tokens_per_s": asdict(Spread.of(values)),
                "ratio": asdict(Spread.of(ratios(values, decode[RUN_AHEADS[0]]))),
            }
            for run_ahead, values in decode.items()
        ],
        "submits_per_step": round(decode_submits / effort.decode_tokens, 3),
    }


def ratios(values: Sequence[float], to: Sequence[float]) -> list[float]:
    """Return each round's ratio: a machine that slows down meanwhile slows both."""
    return [value / other for value, other in zip(values, to, strict=True)]


def prompt_ids(length: int, vocab_size: int) -> list[int]:
    """Return always the same ids, spread over the vocabulary."""
    return [(2 + 7919 * i) % vocab_size for i in range(length)]


def step_figures(
    report: dict[str, Any], info: dict[str, Any], num_layers: int, rows: Sequence[int]
) -> dict[str, Any]:
    """Return "dispatches_per_step", "dispatches_per_layer" and "rows" of the report.

    The dispatches per layer are all of a step's, the embedding's, the head's and the choice's too,
    over the number of layers.
    """
    default = next(entry for entry in report["decode"] if entry["run_ahead"] == DEFAULT_RUN_AHEAD)
    step_ms = round(1000 / default["tokens_per_s"]["median"], 3)
    return {
        "num_layers": num_layers,
        "dispatches_per_step": info["dispatches_per_step"],
        "dispatches_per_layer": round(info["dispatches_per_step"] / num_layers, 2),
        "rows": [
            {"rows": count, "step_ms": step_ms}
            if count == DECODE_ROWS
            else {"rows": count, "step_ms": None, "reason": _OTHER_ROWS}
            for count in rows
        ],
    }


def table(report: dict[str, Any]) -> list[str]:
    """Return the report for people, line by line."""
    lines: list[str] = []
    labels = [""]

    def add(label: str, *parts: str) -> None:
        """Add a line; a label is shown once for the lines that follow each other with it."""
        lines.append(f"{'' if label == labels[-1] else label:<9}{', '.join(parts)}")
        labels.append(label)

    machine, load, memory = report["machine"], report["load"], report["memory"]
    versions = [f"{name} {version}" for name, version in report["versions"].items()]
    add("model", f"{report['model']} in {report['runtime']} on {report['adapter']}")
    add("machine", machine["system"], f"{machine['cpus']} CPUs", *versions)
    if is_software(report["adapter"]):
        add("machine", "software rendering: fewer tokens and runs, and the CPU's figures")
    add(
        "load",
        f"{load['mb_per_s']:.4g} MB/s ({format_bytes(load['bytes'])}, {_s(load['weights_ms'])})",
        f"kernels {_s(load['compiling_kernels_ms'])}",
        f"warm-up {_s(load['warming_up_ms'])}",
        f"in all {_s(load['load_ms'])}",
    )
    for entry in report["prefill"]:
        spread = Spread(**entry["tokens_per_s"])
        add("prefill", f"{entry['tokens']:>3} tokens: {spread.shown()} tokens/s")
    for entry in report["decode"]:
        spread, ratio = Spread(**entry["tokens_per_s"]), Spread(**entry["ratio"])
        parts = [f"{entry['run_ahead']} in flight: {spread.shown()} tokens/s"]
        if entry["run_ahead"] != RUN_AHEADS[0]:
            parts.append(f"× {ratio.median:.3f} ({ratio.low:.3f} to {ratio.high:.3f})")
        add("decode", *parts)
    add("decode", f"each over {report['effort']['decode_tokens']} tokens after the first")
    for entry in report["rows"]:
        figure = entry.get("reason") or f"{entry['step_ms']:.4g} ms, {DEFAULT_RUN_AHEAD} in flight"
        add("step", f"rows {entry['rows']}: {figure}")
    each = f"{report['dispatches_per_layer']:g} for each of {report['num_layers']} layers"
    add(
        "step",
        f"{report['dispatches_per_step']} dispatches ({each})",
        f"{report['submits_per_step']:g} submits",
    )
    add(
        "memory",
        f"GPU peak {_bytes(memory['gpu_peak_bytes'])}",
        f"held {_bytes(memory['gpu_bytes'])}",
        f"of it weights {_bytes(memory['gpu_weights_bytes'])}",
    )
    add(
        "memory",
        f"JavaScript heap peak {_bytes(memory['js_heap_peak_bytes'])}",
        f"growth while loading {_bytes(memory['js_heap_growth_bytes'])}",
    )
    return lines


def _bytes(count: int | None) -> str:
    return "not seen" if count is None else format_bytes(count)


def _s(ms: float) -> str:
    return f"{ms / 1000:.3g} s"
