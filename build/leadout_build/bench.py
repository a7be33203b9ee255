"""`leadout bench`: what loading, prefill and cycles cost on this machine. Nothing is asserted.

1. memory    of a shape: what it will take is known before anything runs, and refused where the
             machine does not have it
2. load      with the first drafter there is: MB/s of the weights, the phases' times, the heap
3. passes    rounds, each of which measures a prefill of every size, then plain decoding with
             every run-ahead, so that what is compared was measured next to each other; the
             first ones only warm up
4. cycles    by how many tokens they draft, in rounds likewise; then again with every other
             drafter there is
5. report    medians with the lowest and highest, as a table or as one JSON object
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from leadout.checkpoint import Checkpoint, FileSource, open_checkpoint
from leadout.checkpoint.synthetic import synthetic_checkpoint
from leadout.config import read_config
from leadout.errors import ModelNotFoundError, OutOfMemoryError, RequestError
from leadout.loading import LoadOptions
from leadout.models.registry import check_target
from leadout.rows import FEW_ROWS
from leadout_build.bench_measures import (
    FULL_EFFORT,
    SOFTWARE_EFFORT,
    draft_ms,
    measure_cycles,
    measure_passes,
)
from leadout_build.bench_memory import (
    MemoryPlan,
    check_memory,
    machine_bytes,
    plan_memory,
    shortage,
)
from leadout_build.bench_runtimes import Loaded, Runtime, Subject, open_chromium, open_node
from leadout_build.bench_table import is_software, table
from leadout_build.browser import has_gpu
from leadout_build.drafters import drafter_of
from leadout_build.progress import progress_of
from leadout_build.step_reads import step_reads
from leadout_build.store import Store


def run(args: argparse.Namespace) -> int:
    """Run the command; see `leadout bench --help`.

    Raises:
        RequestError: there is nothing to measure, or rows that no pass has.
        OutOfMemoryError: there is too little memory; with the bytes that are missing.
        LeadoutError: see the runtimes.
    """
    wrong = sorted(set(args.rows) - set(FEW_ROWS))
    if wrong:
        raise RequestError(
            f"--rows has {', '.join(map(str, wrong))}; the passes of a cycle have "
            f"{', '.join(map(str, FEW_ROWS))} rows, fewer are padded."
        )
    subject = find_subject(args.model, args.shape)
    kinds = drafter_kinds(subject, args.drafter)
    target, drafter = open_subject(subject)
    config = check_target(read_config(target), subject.name)
    # The first kind takes the most memory: an n-gram drafter has no weights.
    memory = plan_of(target, drafter, kinds[0]) if subject.is_shape else None
    if memory is not None:
        check_memory(subject.name, memory, None if has_gpu() else machine_bytes())
    opened = open_node if args.runtime == "node" else open_chromium
    with opened(subject) as runtime:
        loaded = _load(runtime, subject, kinds[0], memory)
        effort = SOFTWARE_EFFORT if is_software(loaded.info["device"]) else FULL_EFFORT
        report: dict[str, Any] = {
            "model": subject.name,
            "is_shape": subject.is_shape,
            "runtime": args.runtime,
            "adapter": loaded.info["device"],
            "machine": {"system": platform.platform(), "cpus": os.cpu_count()},
            "versions": runtime.versions,
            **load_figures(loaded),
            **measure_passes(runtime, effort, config.vocab_size, loaded.info["context_length"]),
            "drafters": [],
        }
        if memory is not None:
            report["memory"]["planned"] = asdict(memory) | {"total_bytes": memory.total_bytes}
        for kind in kinds:
            if kind != kinds[0]:
                loaded = _load(runtime, subject, kind, memory)
            cycles = measure_cycles(
                runtime,
                effort,
                config.vocab_size,
                loaded.info,
                args.rows,
                temperature=1.0 if subject.is_shape else 0.0,
            )
            report["drafters"].append(drafter_figures(kind, loaded.info, cycles, drafter))
    report |= step_figures(report, config.num_hidden_layers, target)
    print(json.dumps(report) if args.json else "\n".join(table(report)))
    return 0


# ---- what is measured -----------------------------------------------------------------------


def find_subject(model: str | None, shape: str | None) -> Subject:
    """Return what is to be measured, with the drafter beside it.

    Raises:
        RequestError: neither a model nor a shape was named.
        ModelNotFoundError: there is no such model.
        StoreError: the model, or its drafter in the store, is incomplete.
    """
    if shape is not None:
        return Subject(shape, None)
    if model is None:
        raise RequestError("Give a MODEL to measure, such as gemma3-270m, or a --shape.")
    store = Store()
    files = store.resolve(model)
    drafter = drafter_of(store, model)
    return Subject(model, files, None if drafter is None else drafter.files)


def drafter_kinds(subject: Subject, wanted: str) -> list[str]:
    """Return the drafters to measure, the first of which also serves what is not about drafts.

    Args:
        subject: what is measured.
        wanted: one of them, or "auto" for all that there are.

    Raises:
        ModelNotFoundError: MTP is wanted, and there is no drafter.
    """
    if wanted == "auto":
        return ["mtp", "ngram"] if subject.has_drafter else ["ngram"]
    if wanted == "mtp" and not subject.has_drafter:
        raise ModelNotFoundError(
            f"No drafter lies beside {subject.name}; pull or put it there, or take --drafter ngram."
        )
    return [wanted]


def open_subject(subject: Subject) -> tuple[Checkpoint, Checkpoint | None]:
    """Return the checkpoints of the target and of its drafter; only headers are read."""
    if subject.files is None:
        name = subject.name
        return synthetic_checkpoint(name, "target"), synthetic_checkpoint(name, "drafter")
    target = _open(subject.files)
    return target, None if subject.drafter_files is None else _open(subject.drafter_files)


def _open(files: Mapping[str, Path]) -> Checkpoint:
    sources = {name: FileSource(path) for name, path in files.items()}
    return asyncio.run(open_checkpoint(sources))


def plan_of(target: Checkpoint, drafter: Checkpoint | None, kind: str) -> MemoryPlan:
    """Return what loading with a kind of drafter will take."""
    options = LoadOptions(drafter=kind)
    return plan_memory(target, drafter if kind == "mtp" else None, options)


def _load(runtime: Runtime, subject: Subject, kind: str, memory: MemoryPlan | None) -> Loaded:
    """Load, and say of a shape that does not fit what is missing."""
    try:
        with progress_of("Loading") as progress:
            return runtime.load(progress, kind)
    except OutOfMemoryError as error:
        if memory is None:
            raise
        missing = error.detail.get("missing_bytes")
        missing_bytes = int(missing) if isinstance(missing, int | float) else None
        raise shortage(subject.name, memory, missing_bytes, error.message.rstrip(".")) from error


# ---- figures --------------------------------------------------------------------------------


def load_figures(loaded: Loaded) -> dict[str, Any]:
    """Return what loading cost: "load" and "memory" of the report.

    Where weights are made up there is no progress, and nothing is read. The heap's growth is from
    the last sample before the load to the highest one in it, garbage that was not collected yet
    included. It is None where no sample fell into either.
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
    cycles: Sequence[dict[str, Any]],
    drafter: Checkpoint | None,
) -> dict[str, Any]:
    """Return an entry of the report's "drafters".

    Args:
        kind: "none", "mtp" or "ngram".
        info: `ModelInfo` of web/messages.js.
        cycles: as measured.
        drafter: its checkpoint, where it has one.
    """
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
    reads = None
    if kind == "mtp" and drafter is not None:
        reads = asdict(step_reads(drafter, read_config(drafter)))
    return {
        "kind": kind,
        "name": info["drafter"]["name"] if info["drafter"] else None,
        "weights_bytes": info["drafter"]["weights_bytes"] if info["drafter"] else 0,
        "self_test": info["self_test"],
        "draft_ms": one_draft_ms,
        "draft_reads": reads,
        "cycle_ms_at_load": info["cycle_ms"],
        "cycles": entries,
    }


def step_figures(report: Mapping[str, Any], num_layers: int, target: Checkpoint) -> dict[str, Any]:
    """Return what a step of plain decoding is, and how fast it reads its weights.

    The dispatches per layer are all of a step's, the embedding's, the head's and the choice's too,
    over the number of layers.
    """
    step_ms = report["drafters"][0]["cycles"][0]["ms"]["median"]
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
