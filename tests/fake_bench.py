"""A runtime for `leadout bench` that is not there, and the command run over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from leadout.errors import LeadoutError
from leadout.rows import padded
from leadout_build import cli
from leadout_build.bench.runtime import Loaded, Subject
from leadout_build.cli import bench as command

#: What loading said of cycles; the fake's own times are below.
CYCLE_MS = {"0": 1.0, "1": 2.0, "2": 2.5, "3": 3.0, "5": 4.0, "7": 5.0}


def fake_cycle_ms(num_drafts: int) -> float:
    """10 ms, and for drafts 2 ms each and 1 ms for every row more than one."""
    return 10.0 + 2.0 * num_drafts + padded(1 + num_drafts) - 1


class FakeRuntime:
    """Prefills 100 tokens/s; decodes 10 tokens/s for each pass in flight, slower each time.

    Cycles with drafts bring one accepted draft each. Near the end they draft nothing, as the
    engine's do, and the first one takes a second.
    """

    def __init__(
        self, device: str = "NVIDIA H100", submits_per_step: int = 1, self_test: str = "identical"
    ) -> None:
        self.versions = {"leadout": "1.2", "fake": "3"}
        self.requests: list[Mapping[str, Any]] = []
        self.loads: list[str] = []
        self.options: list[dict[str, Any]] = []
        self.assumed: list[int] = []
        self.profiled: list[Mapping[str, Any]] = []
        self.device = device
        self.submits_per_step = submits_per_step
        self.self_test = self_test
        self.num_submits = 17  # what loading took
        self.error: LeadoutError | None = None

    def load(
        self,
        on_progress: Callable[[int, int], None],
        drafter: str,
        options: Mapping[str, Any] | None = None,
    ) -> Loaded:
        if self.error is not None:
            raise self.error
        self.loads.append(drafter)
        self.options.append(dict(options or {}))
        on_progress(50, 50)
        return a_load(device=self.device, drafter=drafter, self_test=self.self_test)

    def assume(self, ids: list[int]) -> None:
        self.assumed = ids

    def profile(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.profiled.append(request)
        return a_profile()

    def generate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        num_drafts = 3 if request["draft_tokens"] == "auto" else request["draft_tokens"]
        decoded = request["max_tokens"] - 1
        prompt = request.get("prompt_ids", range(64))
        # A pass of the prompt, then the steps.
        self.num_submits += -(-len(prompt) // 64) + decoded * self.submits_per_step
        accepted = min(num_drafts, 1)
        plain = min(decoded, num_drafts + 2) if num_drafts else decoded
        drafting = (decoded - plain) // (1 + accepted)
        plain += (decoded - plain) % (1 + accepted)
        run_ahead = request.get("run_ahead") or 3
        return {
            "tokens": self.tokens(num_drafts),
            "stats": {
                "prefill_tokens": len(prompt),
                "prefill_ms": 10 * len(prompt),
                "decode_tokens_per_s": 10 * run_ahead / len(self.requests),
                "decode_ms": 1000 + plain * fake_cycle_ms(0) + drafting * fake_cycle_ms(num_drafts),
                "decode_tokens": decoded,
                "cycles": plain + drafting,
                "tokens_per_cycle": decoded / max(plain + drafting, 1),
                "drafted_tokens": drafting * num_drafts,
                "accepted_tokens": drafting * accepted,
                "cycle_ms": {"0": 9.0, "3": 20.0, "7": 28.0},
                "cycle_run_ms": {"0": 10.0, "3": 19.0},
                "cycle_runs": {"0": 2, "3": 12},
            },
        }

    def tokens(self, num_drafts: int) -> list[int]:
        """The same whatever is drafted."""
        return [7, 8, 9]

    def submits(self) -> int:
        return self.num_submits


def a_load(
    device: str = "NVIDIA H100",
    samples: object = None,
    drafter: str = "mtp",
    self_test: str = "identical",
    *,
    is_shape: bool = False,
) -> Loaded:
    times = {
        "loading_runtime": 0,
        "loading_package": 50,
        "loading_weights": 100,
        "compiling_kernels": 1200,
        "warming_up": 1500,
        "ready": 1750,
    }
    events: list[dict[str, Any]] = [
        {"type": "phase", "phase": phase, "at_ms": at_ms} for phase, at_ms in times.items()
    ]
    steps = [] if is_shape else [(0, 200), (30_000_000, 500), (200_000_000, 1200)]
    for loaded_bytes, at_ms in steps:
        events.append({"type": "progress", "loaded_bytes": loaded_bytes, "at_ms": at_ms})
    info = {
        "device": device,
        "load_ms": 1650.0,
        "context_length": 4096,
        "peak_bytes": 310_000_000,
        "allocated_bytes": 300_000_000,
        "weights_bytes": 250_000_000,
        "dispatches_per_step": 18,
        "drafter": None
        if drafter == "none"
        else {"kind": drafter, "name": "d", "num_parameters": 5, "weights_bytes": 7_000_000},
        "max_draft_tokens": 0 if drafter == "none" else 7,
        "self_test": "not run" if drafter == "none" else self_test,
        "cycle_ms": {"0": 1.0} if drafter == "none" else CYCLE_MS,
    }
    default = [(10, 90_000_000), (90, 20_000_000), (100, 30_000_000), (1700, 52_000_000)]
    return Loaded(info, events, default if samples is None else samples)  # type: ignore[arg-type]


def a_profile() -> dict[str, Any]:
    spread = {"median": 5900.0, "low": 5800.0, "high": 6000.0, "runs": 5}
    ops = [
        {
            "op": op,
            "kernel": kernel,
            "times": times,
            "us": us,
            "us_low": us - 1,
            "us_high": us + 1,
            "each_us": us / times,
            "alone_us": None if op == "accept" else us + 2.0,
            "bytes": 1000 * times,
            "gb_per_s": 1.5,
            "bandwidth_share": None if op == "accept" else 0.25,
        }
        for op, kernel, times, us in (
            ("layers.*.self_attn", "attention.tiles", 35, 2800.0),
            ("accept", "accept", 1, 3.0),
        )
    ]
    return {
        "plan": "cycle-0",
        "context_tokens": 512,
        "whole_us": spread,
        "sum_us": 2803.0,
        "empty_us": 6.5,
        "tick_us": 0.032,
        "bandwidth_gb_per_s": spread,
        "bandwidth_bytes": 1 << 30,
        "ops": ops,
        "dispatches": [],
    }


#: Runs the command over a runtime; returns (name, subject) of the runtimes that were opened.
Run = Callable[..., list[Any]]


def run_with(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs the command."""

    def run(runtime: Any, *arguments: str, exit_code: int = 0) -> list[Any]:
        opened: list[Any] = []
        for name in ("chromium", "node"):

            @contextmanager
            def fake(subject: Subject, name: str = name) -> Iterator[Any]:
                opened.append((name, subject))
                yield runtime

            monkeypatch.setattr(command, f"open_{name}", fake)
        assert cli.main(["bench", *arguments]) == exit_code
        return opened

    return run
