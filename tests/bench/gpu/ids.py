"""Are the ids with drafts those of plain decoding, on this machine's GPU? And those of NumPy?

    PYTHONPATH=pyapp:build python tests/bench/gpu/ids.py [--runtime chromium] [--seconds S]

Nano and the tiny members of the Gemma 4 family (tests/vectors), with their MTP drafters and with
n-grams: for prompts, seeds and sampling settings at random, one text without drafts, then the same
with several numbers of drafts and of cycles in flight; with --parallel, several such texts at
once. The tiny ones' texts are also compared with those of the NumPy device. Prints what was
compared; the exit code is 1 when anything differs.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leadout.checkpoint import FileSource, open_checkpoint
from leadout.devices.numpy import NumpyDevice
from leadout.engine import Engine, LoadOptions
from leadout.request import GenerateRequest
from leadout.tokenizer import Tokenizer
from leadout_build.bench.chromium import open_chromium
from leadout_build.bench.node import open_node
from leadout_build.bench.runtime import Subject
from leadout_build.cli.bench import find_subject
from leadout_build.store.nano_prompts import EXAMPLE_TABLE_CSV, NANO_SYSTEM

VECTORS = Path(__file__).parents[2] / "vectors" / "gemma4-tiny"
TINY = ("e2b", "e4b", "12b", "26b-a4b", "31b", "trained-e2b", "trained-31b")

QUESTIONS = (
    "Write a brief.",
    "Which asset fell most this week?",
    "Is ETH overbought?",
    "Compare BTC and SOL.",
    "How many assets are up today?",
)

SETTINGS: tuple[Mapping[str, float], ...] = (
    {},
    {"temperature": 1.0, "top_k": 64, "top_p": 0.95},
    {"temperature": 0.8, "top_k": 40},
    {"temperature": 1.0},
    {"temperature": 1.3, "min_p": 0.05},
    {"temperature": 0.7, "repetition_penalty": 1.2},
    {"repetition_penalty": 1.1},
)

DRAFTS: tuple[Any, ...] = (1, 2, 3, 4, 5, 6, 7, "auto")

#: Drafted texts for each plain one.
COMPARED = 3


@dataclass
class Tally:
    """What was compared with what."""

    generations: int = 0
    tokens: int = 0
    accepted: int = 0
    numpy_generations: int = 0
    differences: list[str] = field(default_factory=list)

    def line(self, name: str, seconds: float) -> str:
        numpy = f", {self.numpy_generations} equal NumPy's" if self.numpy_generations else ""
        return (
            f"{name}: {self.generations} drafted generations, {self.tokens:,} tokens, "
            f"{self.accepted:,} of them accepted drafts{numpy}, "
            f"{len(self.differences)} differences, {seconds:.0f} s"
        )


def requests_of(subject: Subject, rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yield requests without end."""
    while True:
        settings = dict(rng.choice(SETTINGS))
        seed = {"seed": rng.randrange(2**32)} if "temperature" in settings else {}
        if subject.name == "nano":
            table = f"{EXAMPLE_TABLE_CSV.strip()}\n\n{rng.choice(QUESTIONS)}"
            messages = [
                {"role": "system", "content": NANO_SYSTEM},
                {"role": "user", "content": table},
            ]
            asked: dict[str, Any] = {"messages": messages, "max_tokens": 256}
        else:
            length = rng.choice((1, 2, 5, 17, 33, 64, 65, 120))
            ids = [rng.randrange(3, 256) for _ in range(length)]
            asked = {"prompt_ids": ids, "max_tokens": rng.choice((7, 32, 64)), "ignore_eos": True}
        yield {**asked, **settings, **seed}


async def on_numpy(files: Mapping[str, Path]) -> Engine:
    """Load a checkpoint without a tokenizer onto the NumPy device."""

    async def no_tokenizer(text: str) -> Tokenizer:
        raise AssertionError

    checkpoint = await open_checkpoint({name: FileSource(path) for name, path in files.items()})
    options = LoadOptions(drafter="none")
    return await Engine.load(
        NumpyDevice(), checkpoint, options, no_tokenizer, lambda phase: None, lambda a, b: None
    )


def compare(
    runtime: Any,
    subject: Subject,
    rng: random.Random,
    until: float,
    most: int,
    numpy: Engine | None,
    max_drafts: int,
    parallel: int = 1,
) -> Tally:
    """Compare until the time is over, or so many tokens were compared."""
    tally = Tally()
    drafts = [k for k in DRAFTS if k == "auto" or k <= max_drafts]
    if parallel > 1:
        return compare_together(runtime, subject, rng, until, most, drafts, parallel)
    for request in requests_of(subject, rng):
        plain = runtime.generate({**request, "draft_tokens": 0})["tokens"]
        for k in rng.sample(drafts, COMPARED):
            run_ahead = rng.choice((1, 2, 3, 4))
            drafted = runtime.generate({**request, "draft_tokens": k, "run_ahead": run_ahead})
            tally.generations += 1
            tally.tokens += len(drafted["tokens"])
            tally.accepted += drafted["stats"]["accepted_tokens"]
            if drafted["tokens"] != plain:
                tally.differences.append(where(request, plain, drafted["tokens"], f"{k} drafts"))
        if numpy is not None:
            wanted = asyncio.run(numpy.generate(GenerateRequest.from_json(request))).tokens
            tally.numpy_generations += wanted == plain
            if wanted != plain:
                tally.differences.append(where(request, wanted, plain, "the GPU against NumPy"))
        if time.monotonic() > until or tally.tokens >= most:
            return tally
    raise AssertionError


def compare_together(
    runtime: Any,
    subject: Subject,
    rng: random.Random,
    until: float,
    most: int,
    drafts: list[Any],
    parallel: int,
) -> Tally:
    """Compare texts that are written at once with the same alone, without drafts."""
    tally = Tally()
    source = requests_of(subject, rng)
    while True:
        # More than fit at once, so that some join while others run.
        requests = [next(source) for _ in range(parallel + rng.randrange(4))]
        plain = [runtime.generate({**one, "draft_tokens": 0})["tokens"] for one in requests]
        ways = [
            {"draft_tokens": rng.choice([0, *drafts]), "run_ahead": rng.choice((1, 2, 3, 4))}
            for _ in requests
        ]
        together = runtime.generate_together(
            [{**request, **way} for request, way in zip(requests, ways, strict=True)]
        )
        for request, way, wanted, found in zip(requests, ways, plain, together, strict=True):
            tally.generations += 1
            tally.tokens += len(found["tokens"])
            tally.accepted += found["stats"]["accepted_tokens"]
            if found["tokens"] != wanted:
                what = f"{way} among {len(requests)}"
                tally.differences.append(where(request, wanted, found["tokens"], what))
        if time.monotonic() > until or tally.tokens >= most:
            return tally


def where(request: Mapping[str, Any], wanted: list[int], found: list[int], what: str) -> str:
    same = next((i for i, (a, b) in enumerate(zip(wanted, found, strict=False)) if a != b), -1)
    shown = {name: value for name, value in request.items() if name != "messages"}
    return f"{what}: part at token {same} of {len(wanted)}; {shown}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runtime", choices=("node", "chromium"), default="node")
    parser.add_argument("--seconds", type=float, default=240.0, help="in all, about")
    parser.add_argument("--tokens", type=int, default=10_000, help="of Nano's, with MTP")
    parser.add_argument("--models", default=",".join(("nano", *TINY)))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--precision",
        choices=("accurate", "fast"),
        default="accurate",
        help="of the GPU; fast is not compared with NumPy, which has nothing but float32",
    )
    parser.add_argument("--parallel", type=int, default=1, help="texts that are written at once")
    args = parser.parse_args()
    names = args.models.split(",")
    subjects = {
        name: find_subject(name if name == "nano" else str(VECTORS / name), None) for name in names
    }
    rng = random.Random(args.seed)
    begun = time.monotonic()
    end = begun + args.seconds
    loads = [(name, kind) for name in names for kind in ("mtp", "ngram")]
    # Nano's tokens are the ones that count; the others share what is left.
    weights = [8.0 if (name, kind) == ("nano", "mtp") else 1.0 for name, kind in loads]
    differences = 0
    opened = open_node if args.runtime == "node" else open_chromium
    with opened(subjects[names[0]]) as runtime:
        for i, (name, kind) in enumerate(loads):
            started = time.monotonic()
            runtime.subject = subjects[name]  # type: ignore[attr-defined]
            options = {"precision": args.precision, "parallel": args.parallel}
            info = runtime.load(lambda loaded, total: None, kind, options).info
            assert info["precision"] == args.precision, info
            numpy = None
            is_alone = args.parallel == 1
            if kind == "mtp" and name != "nano" and args.precision == "accurate" and is_alone:
                files = subjects[name].files
                assert files is not None
                numpy = asyncio.run(on_numpy(files))
            left = max(end - time.monotonic(), 1.0)
            until = time.monotonic() + left * weights[i] / sum(weights[i:])
            most = args.tokens if name == "nano" else 10**9
            max_drafts = info["max_draft_tokens"]
            tally = compare(
                runtime, subjects[name], rng, until, most, numpy, max_drafts, args.parallel
            )
            what = f"{name} {kind} on {info['device']} in {args.runtime}, {info['self_test']}"
            print(tally.line(what, time.monotonic() - started), flush=True)
            for line in tally.differences[:5]:
                print(f"    {line[:400]}")
            differences += len(tally.differences)
    print(f"{'DIFFERENT' if differences else 'the same'}: {time.monotonic() - begun:.0f} s")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
