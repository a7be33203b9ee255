"""`leadout bench`: what loading, prefill and cycles cost on this machine. Nothing is asserted.

1. memory    of a shape: what it needs is computed before anything runs; the command fails if the
             machine has too little
2. load      with the first drafter: MB/s of the weights, the phases' times, the heap
3. passes    in rounds: each measures a prefill of every size, then plain decoding with every
             run-ahead, so that compared figures are measured one right after the other; the
             first rounds only warm up
4. cycles    with each number of drafts, also in rounds, after every number of tokens and with
             every sampling that was asked for; then again with every other drafter
5. drafting  with real weights: how many drafts are accepted, the speed, and whether the ids are
             the same
6. profile   if asked for: what every op of a pass costs
7. report    medians with the lowest and highest, as a table or as one JSON object
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from leadout.checkpoint import Checkpoint, FileSource, open_checkpoint
from leadout.checkpoint.synthetic import synthetic_checkpoint
from leadout.config import read_config
from leadout.errors import ModelNotFoundError, OutOfMemoryError, RequestError
from leadout.forecast import Memory
from leadout.models.registry import check_target
from leadout.planning import DEFAULT_CONTEXT_LENGTH, LoadOptions, PlannedLoad
from leadout.rows import FEW_ROWS
from leadout.state import MAX_DRAFT_TOKENS
from leadout_build.bench.chromium import open_chromium
from leadout_build.bench.constrained import measure_constrained
from leadout_build.bench.drafting import measure_drafting, request_for
from leadout_build.bench.figures import drafter_figures, load_figures, step_figures
from leadout_build.bench.measures import (
    FULL_EFFORT,
    SOFTWARE_EFFORT,
    Effort,
    measure_cycles,
    measure_passes,
    tokens_behind,
    wanted_drafts,
)
from leadout_build.bench.memory import (
    check_memory,
    machine_bytes,
    plan_memory,
    refused,
)
from leadout_build.bench.node import open_node
from leadout_build.bench.parallel import measure_parallel
from leadout_build.bench.profiles import profile_passes
from leadout_build.bench.runtime import Loaded, Runtime, Subject
from leadout_build.bench.table import is_software, table
from leadout_build.cli.progress import progress_of
from leadout_build.serving.browser import has_gpu
from leadout_build.store.drafters import drafter_of
from leadout_build.store.model_store import Store


def run(args: argparse.Namespace) -> int:
    """Run the command; see `leadout bench --help`.

    Raises:
        RequestError: there is nothing to measure, or --rows has a number that no pass has.
        OutOfMemoryError: there is too little memory; the error has the missing bytes.
        LeadoutError: see the runtimes.
    """
    wrong = sorted(set(args.rows) - set(FEW_ROWS))
    if wrong:
        raise RequestError(
            f"--rows has {', '.join(map(str, wrong))}; the passes of a cycle have "
            f"{', '.join(map(str, FEW_ROWS))} rows, fewer are padded."
        )
    subject = find_subject(args.model, args.shape, args.constrained)
    kinds = drafter_kinds(subject, args.drafter)
    target, drafter = open_subject(subject)
    config = check_target(read_config(target), subject.name)
    options = load_options(args, config.max_position_embeddings)
    # The first kind takes the most memory: an n-gram drafter has no weights.
    planned = plan_of(target, drafter, kinds[0], options) if subject.is_shape else None
    if planned is not None:
        check_memory(subject.name, planned, None if has_gpu() else machine_bytes())
    opened = open_node if args.runtime == "node" else open_chromium
    with opened(subject) as runtime:
        session = _Session(args, subject, target, drafter, runtime, options, planned)
        report = session.measure(kinds)
    print(json.dumps(report) if args.json else "\n".join(table(report)))
    return 0


@dataclass
class _Session:
    """One run of the command, over an open runtime."""

    args: argparse.Namespace
    subject: Subject
    target: Checkpoint
    drafter: Checkpoint | None
    runtime: Runtime
    options: dict[str, Any]
    planned: PlannedLoad | None

    def measure(self, kinds: Sequence[str]) -> dict[str, Any]:
        """Return the report."""
        args, subject, runtime = self.args, self.subject, self.runtime
        config = check_target(read_config(self.target), subject.name)
        loaded = self._load(kinds[0])
        effort = effort_of(args, loaded.info["device"])
        report: dict[str, Any] = {
            "model": subject.name,
            "is_shape": subject.is_shape,
            "runtime": args.runtime,
            "adapter": loaded.info["device"],
            "machine": {"system": platform.platform(), "cpus": os.cpu_count()},
            "versions": runtime.versions,
            "load_options": self.options,
            **load_figures(loaded),
            **measure_passes(
                runtime, effort, config.vocab_size, loaded.info["context_length"], args.prompt
            ),
            "drafters": [],
        }
        if self.planned is not None:
            memory = Memory.of(self.planned.buffers)
            report["memory"]["planned"] = asdict(memory) | {"total_bytes": memory.total_bytes}
        for kind in kinds:
            if kind != kinds[0]:
                loaded = self._load(kind)
            counts = wanted_drafts(loaded.info, args.rows, args.draft_tokens)
            runs = [
                {
                    "context_tokens": context_tokens,
                    "sampling": sampling,
                    "cycles": measure_cycles(
                        runtime,
                        effort,
                        config.vocab_size,
                        loaded.info,
                        counts,
                        context_tokens=context_tokens,
                        sampling=sampling,
                        is_shape=subject.is_shape,
                    ),
                    **self._parallel(kind, effort, counts, context_tokens, sampling),
                    **self._constrained(effort, counts, context_tokens, sampling),
                }
                for context_tokens in args.context or (effort.context_tokens,)
                for sampling in args.sampling
            ]
            figures = drafter_figures(kind, loaded.info, runs, self.drafter)
            if not subject.is_shape and len(counts) > 1:
                figures["drafting"] = self._drafting(loaded, effort, counts, config.vocab_size)
            report["drafters"].append(figures)
            if args.profile and kind == kinds[0]:
                contexts = args.context or (effort.context_tokens,)
                most = max(args.parallel or (1,))
                report["profiles"] = profile_passes(runtime, counts, args.sampling, contexts, most)
        return report | step_figures(report, config.num_hidden_layers, self.target)

    def _parallel(
        self,
        kind: str,
        effort: Effort,
        counts: Sequence[int],
        context_tokens: int,
        sampling: str,
    ) -> dict[str, Any]:
        if not self.args.parallel or kind == "ngram":
            return {}
        config = check_target(read_config(self.target), self.subject.name)
        return {
            "parallel": measure_parallel(
                self.runtime,
                effort,
                config.vocab_size,
                self.args.parallel,
                counts,
                context_tokens=context_tokens,
                sampling=sampling,
                is_shape=self.subject.is_shape,
            )
        }

    def _constrained(
        self, effort: Effort, counts: Sequence[int], context_tokens: int, sampling: str
    ) -> dict[str, Any]:
        if not self.args.constrained:
            return {}
        config = check_target(read_config(self.target), self.subject.name)
        return {
            "constrained": measure_constrained(
                self.runtime,
                effort,
                config.vocab_size,
                counts,
                context_tokens=context_tokens,
                sampling=sampling,
                is_shape=self.subject.is_shape,
            )
        }

    def _drafting(
        self, loaded: Loaded, effort: Effort, counts: Sequence[int], vocab_size: int
    ) -> list[dict[str, Any]]:
        target = self.target
        has_tokenizer = target.tokenizer_json is not None or "tokenizer.ggml.tokens" in (
            target.metadata
        )
        request = request_for(self.subject.name, loaded.info, vocab_size, has_tokenizer)
        most = {} if effort is not SOFTWARE_EFFORT else {"most_tokens": 8}
        return [
            {
                "sampling": sampling,
                "counts": measure_drafting(self.runtime, effort, request, counts, sampling, **most),
            }
            for sampling in self.args.sampling
        ]

    def _load(self, kind: str) -> Loaded:
        """Load; if a shape does not fit, raise an error with the missing bytes."""
        try:
            with progress_of("Loading") as progress:
                return self.runtime.load(progress, kind, self.options)
        except OutOfMemoryError as error:
            if self.planned is None:
                raise
            raise refused(self.subject.name, self.planned, error) from error


def effort_of(args: argparse.Namespace, adapter: str) -> Effort:
    """Return how much to measure on an adapter."""
    effort = SOFTWARE_EFFORT if is_software(adapter) else FULL_EFFORT
    return effort if args.rounds is None else dataclasses.replace(effort, rounds=args.rounds)


def load_options(args: argparse.Namespace, limit: int) -> dict[str, Any]:
    """Return `LoadOptions` that are large enough for all measurements.

    Args:
        args: the command's arguments.
        limit: the model's longest context.

    Raises:
        RequestError: a longer context was asked for than the model has.
    """
    options: dict[str, Any] = {} if args.kv_dtype is None else {"kv_dtype": args.kv_dtype}
    if args.placement != "auto":
        options["placement"] = args.placement
    if args.precision != "accurate":
        options["precision"] = args.precision
    if args.parallel:
        options["parallel"] = max(args.parallel)
    if args.draft_tokens is not None:  # more drafts are not measured, so they are not compiled
        options["max_draft_tokens"] = max(args.draft_tokens)
    behind = tokens_behind(MAX_DRAFT_TOKENS, FULL_EFFORT) + MAX_DRAFT_TOKENS + 1
    needed = max([*(args.prompt or ()), *(args.context or ())], default=0) + behind
    if needed > DEFAULT_CONTEXT_LENGTH:
        if needed > limit:
            raise RequestError(f"{needed} tokens are asked for; the model has at most {limit}.")
        options["context_length"] = min(-(-needed // 256) * 256, limit)
    return options


# ---- what is measured -----------------------------------------------------------------------


def find_subject(model: str | None, shape: str | None, has_vocabulary: bool = False) -> Subject:
    """Return the model or shape to measure, with its drafter.

    Raises:
        RequestError: neither a model nor a shape was named.
        ModelNotFoundError: there is no such model.
        StoreError: the model, or its drafter in the store, is incomplete.
    """
    if shape is not None:
        return Subject(shape, None, has_vocabulary=has_vocabulary)
    if model is None:
        raise RequestError("Give a MODEL to measure, such as gemma3-270m, or a --shape.")
    store = Store()
    files = store.resolve(model)
    drafter = drafter_of(store, model)
    return Subject(model, files, None if drafter is None else drafter.files)


def drafter_kinds(subject: Subject, wanted: str) -> list[str]:
    """Return the drafters to measure. Measurements without drafts are done with the first.

    Args:
        subject: the subject to measure.
        wanted: a drafter's kind, or "auto" for all that there are.

    Raises:
        ModelNotFoundError: "mtp" is wanted, and there is no drafter.
    """
    if wanted == "auto":
        return ["mtp", "ngram"] if subject.has_drafter else ["ngram"]
    if wanted == "mtp" and not subject.has_drafter:
        raise ModelNotFoundError(
            f"There is no drafter beside {subject.name}; pull one, put one there, or take "
            "--drafter ngram."
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


def plan_of(
    target: Checkpoint,
    drafter: Checkpoint | None,
    kind: str,
    options: Mapping[str, Any] | None = None,
) -> PlannedLoad:
    """Return the memory plan of a load with this kind of drafter."""
    load = LoadOptions(drafter=kind, **(options or {}))
    return plan_memory(target, drafter if kind == "mtp" else None, load)
