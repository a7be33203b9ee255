"""A runtime for `leadout bench` that is not there, and the command run over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from leadout_build.bench.runtimes import Loaded, Subject

from leadout.errors import LeadoutError
from leadout.rows import padded
from leadout_build import bench, cli

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
        self.device = device
        self.submits_per_step = submits_per_step
        self.self_test = self_test
        self.num_submits = 17  # what loading took
        self.error: LeadoutError | None = None

    def load(self, on_progress: Callable[[int, int], None], drafter: str) -> Loaded:
        if self.error is not None:
            raise self.error
        self.loads.append(drafter)
        on_progress(50, 50)
        return a_load(device=self.device, drafter=drafter, self_test=self.self_test)

    def generate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        num_drafts, decoded = request["draft_tokens"], request["max_tokens"] - 1
        # A pass of the prompt, then the steps.
        self.num_submits += -(-len(request["prompt_ids"]) // 64) + decoded * self.submits_per_step
        accepted = min(num_drafts, 1)
        plain = min(decoded, num_drafts + 2) if num_drafts else decoded
        drafting = (decoded - plain) // (1 + accepted)
        plain += (decoded - plain) % (1 + accepted)
        return {
            "stats": {
                "prefill_tokens": len(request["prompt_ids"]),
                "prefill_ms": 10 * len(request["prompt_ids"]),
                "decode_tokens_per_s": 10 * request["run_ahead"] / len(self.requests),
                "decode_ms": 1000 + plain * fake_cycle_ms(0) + drafting * fake_cycle_ms(num_drafts),
                "decode_tokens": decoded,
                "cycles": plain + drafting,
                "accepted_tokens": drafting * accepted,
            }
        }

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

            monkeypatch.setattr(bench, f"open_{name}", fake)
        assert cli.main(["bench", *arguments]) == exit_code
        return opened

    return run
