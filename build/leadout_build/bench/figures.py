"""The figures of `leadout bench` that are computed from measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from leadout.checkpoint import Checkpoint
from leadout.config import read_config
from leadout_build.bench.measures import draft_ms
from leadout_build.bench.runtime import Loaded
from leadout_build.bench.step_reads import step_reads


def load_figures(loaded: Loaded) -> dict[str, Any]:
    """Return what loading cost: "load" and "memory" of the report.

    Made-up weights have no progress events, because nothing is read. The heap's growth is the
    difference between the last sample before the load and the highest sample during the load. It
    includes garbage that was not collected yet: all of it in Chromium, little in Node (probe.mjs).
    It is None if there is no sample before or during the load.
    """
    progress = [event for event in loaded.events if event["type"] == "progress"]
    begun = {event["phase"]: event["at_ms"] for event in loaded.events if event["type"] == "phase"}
    weights_bytes = weights_ms = speed = None
    if progress:
        weights_ms = progress[-1]["at_ms"] - progress[0]["at_ms"]
        weights_bytes = progress[-1]["loaded_bytes"] - progress[0]["loaded_bytes"]
        speed = round(weights_bytes / 1000 / max(weights_ms, 1), 2)
    before = [size for at_ms, size in loaded.samples if at_ms < begun["loading_weights"]]
    during = [size for at_ms, size in loaded.samples if at_ms >= begun["loading_weights"]]
    return {
        "load": {
            "bytes": weights_bytes,
            "mb_per_s": speed,
            "weights_ms": weights_ms,
            "loading_weights_ms": begun["compiling_kernels"] - begun["loading_weights"],
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
        "dispatches_per_step": loaded.info["dispatches_per_step"],
    }


def drafter_figures(
    kind: str,
    info: Mapping[str, Any],
    runs: Sequence[Mapping[str, Any]],
    drafter: Checkpoint | None,
) -> dict[str, Any]:
    """Return an entry of the report's "drafters".

    Args:
        kind: "none", "mtp" or "ngram".
        info: `ModelInfo` of web/messages.js.
        runs: the measured {"context_tokens", "sampling", "cycles"}.
        drafter: the drafter's checkpoint, if it has one.
    """
    reads = None
    if kind == "mtp" and drafter is not None:
        reads = asdict(step_reads(drafter, read_config(drafter)))
    return {
        "kind": kind,
        "name": info["drafter"]["name"] if info["drafter"] else None,
        "weights_bytes": info["drafter"]["weights_bytes"] if info["drafter"] else 0,
        "self_test": info["self_test"],
        "draft_reads": reads,
        "cycle_ms_at_load": info["cycle_ms"],
        "runs": [{**run, **cycle_figures(run["cycles"])} for run in runs],
    }


def cycle_figures(cycles: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return figures from the times of cycles: "draft_ms", and "cycles" with more fields."""
    one_draft_ms = draft_ms(cycles)
    plain_ms = cycles[0]["ms"]["median"]
    entries = []
    for cycle in cycles:
        k, ms = cycle["draft_tokens"], cycle["ms"]["median"]
        entries.append(
            {
                **cycle,
                "verify_ms": None if one_draft_ms is None else round(ms - k * one_draft_ms, 4),
                "break_even_tokens": round(ms / plain_ms, 4),
                "can_pay": ms / plain_ms < 1 + k,
            }
        )
    return {"draft_ms": one_draft_ms, "cycles": entries}


def step_figures(report: Mapping[str, Any], num_layers: int, target: Checkpoint) -> dict[str, Any]:
    """Return the figures of a step of plain decoding, and how fast it reads its weights.

    "dispatches_per_layer" is all dispatches of a step, those of the embedding, the head and the
    choice included, divided by the number of layers.
    """
    step_ms = report["drafters"][0]["runs"][0]["cycles"][0]["ms"]["median"]
    reads = step_reads(target, read_config(target))
    return {
        "num_layers": num_layers,
        "dispatches_per_layer": round(report["dispatches_per_step"] / num_layers, 2),
        "step": {
            "ms": step_ms,
            "read_bytes": reads.total_bytes,
            "head_read_bytes": reads.head_bytes,
            "read_gb_per_s": round(reads.total_bytes / step_ms / 1e6, 2),
        },
    }
