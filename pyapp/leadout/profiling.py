"""What each op of a pass costs: `leadout bench --profile`, and the table of bench.html.

The device times a Plan's dispatches (web/runtime/profile.js says how). Here they are grouped: the
same part of every layer, run by the same kernel, is one op. Bytes are what a dispatch has to move:
whole weights, the visible part of the KV cache, the rows that are read of a lookup table, and
everything else as it is bound. This is an estimate: what stays in the GPU's caches between two
dispatches is counted again.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from leadout import inputs, state
from leadout.errors import DeviceError, RequestError
from leadout.kv_cache import KvCache
from leadout.passes import PREFILL_ROWS
from leadout.plan import Binding, Dispatch, Plan
from leadout.sampling import Sampling
from leadout.shown import shown
from leadout.speculative import Decoder

#: Layers' numbers in labels, and drafts': "layers.3.mlp" is "layers.*.mlp".
_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")

#: Scratch that is as long as the context, of which a pass uses what is visible.
_TILE_SCRATCH = "part_"

#: Read where a request asks for penalties or biases, and then in part.
_PENALTIES = "seen"

Numbers = Mapping[str, int | float]

#: Kernels that read few rows of their weights: (constants, grid) → the share that they read.
_TAKEN: Mapping[str, Callable[[Numbers, Sequence[int]], float]] = {
    "embed": lambda c, grid: grid[1] / c["N"],
    "embed_paged": lambda c, grid: grid[1] / c["N"],
    "candidate_logits": lambda c, grid: c["PER"] * c["TOP"] * grid[1] / c["N"],
    "expert_matvec": lambda c, grid: grid[1] * grid[2] * c["N"] / c["COUNT"],
}


@runtime_checkable
class ProfilingDevice(Protocol):
    """A device that can time dispatches."""

    async def profile(
        self, plan: Plan, params: Sequence[int], groups: Sequence[Sequence[int]]
    ) -> dict[str, Any]:
        """Return `PlanProfile` of web/runtime/profile.js."""

    async def bandwidth(self) -> dict[str, Any]:
        """Return how fast the device reads: "gb_per_s", a spread, and "read_bytes" for it."""


@dataclass(frozen=True)
class ProfileRequest:
    """What to profile; see `ProfileRequest` in web/messages.js.

    Attributes:
        kind: "cycle", or "prefill".
        context_tokens: known before the pass.
        draft_tokens: of a cycle.
        parallel: lanes that take part in a cycle.
        rows: of a prefill pass.
        sampling: how the pass chooses.
    """

    kind: str = "cycle"
    context_tokens: int = 512
    draft_tokens: int = 0
    parallel: int = 1
    rows: int = PREFILL_ROWS[-1]
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        if self.kind not in ("cycle", "prefill"):
            raise RequestError(f"kind is {shown(self.kind)}; wanted 'cycle' or 'prefill'.")
        for name in ("context_tokens", "draft_tokens"):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value < 1 << 31:
                raise RequestError(f"{name} is {shown(value)}; wanted a whole number from 0.")
        if type(self.parallel) is not int or not 0 < self.parallel < 1 << 31:
            raise RequestError(f"parallel is {shown(self.parallel)}; wanted a whole number from 1.")
        if self.rows not in PREFILL_ROWS:
            raise RequestError(f"rows is {shown(self.rows)}; wanted one of {PREFILL_ROWS}.")

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> ProfileRequest:
        """Check a request that crossed a boundary.

        Raises:
            RequestError: a field is unknown or out of its range.
        """
        own = {"kind", "context_tokens", "draft_tokens", "parallel", "rows"}
        chosen = set(Sampling.__dataclass_fields__)
        if unknown := sorted(set(fields) - own - chosen):
            raise RequestError(f"Unknown fields {unknown}; known are {sorted(own | chosen)}.")
        settings = Sampling(**{name: fields[name] for name in chosen & set(fields)})
        return cls(**{name: fields[name] for name in own & set(fields)}, sampling=settings)


async def profile_pass(decoder: Decoder, request: ProfileRequest) -> dict[str, object]:
    """Time a pass, op by op; nothing else may use the lane meanwhile.

    The cache holds what it holds: positions that nobody computed cost the same.

    Returns:
        `PassProfile` of web/messages.js.

    Raises:
        RequestError: the pass does not fit into the context, or was not prepared for.
        DeviceError: the device has no timestamps.
    """
    device = decoder.device
    if not isinstance(device, ProfilingDevice):
        raise DeviceError(f"{device.info.name} has no timestamps; a profile needs a WebGPU device.")
    plan, last_position = _staged(decoder, request)
    params = plan.values(last_position + 1)
    value_of = {param.name: value for param, value in zip(plan.params, params, strict=True)}
    groups = grouped(plan)
    try:
        timed = await device.profile(plan, params, list(groups.values()))
        bandwidth = await device.bandwidth()
    finally:
        for lane in range(request.parallel):
            decoder.unstage(lane)
    traffic = _Traffic(decoder.caches, last_position, request.parallel, decoder.tables, plan)
    dispatches = []
    for dispatch, alone_us in zip(plan.dispatches, timed["alone_us"], strict=True):
        variant = plan.pipelines[dispatch.pipeline].variant
        grid = [value_of[n] if isinstance(n, str) else n for n in dispatch.workgroups]
        dispatches.append(
            {
                "label": dispatch.label,
                "kernel": variant,
                "workgroups": grid,
                "alone_us": _rounded(alone_us),
                "bytes": traffic.of(dispatch, grid, timed["binding_types"][variant]),
            }
        )
    gb_per_s = bandwidth["gb_per_s"]["median"]
    rows = [
        _op_row(key, indices, group, dispatches, gb_per_s)
        for (key, indices), group in zip(groups.items(), timed["group_us"], strict=True)
    ]
    rows.sort(key=lambda row: -row["us"])
    return {
        "plan": plan.name,
        "context_tokens": request.context_tokens,
        "whole_us": _spread(timed["whole_us"]),
        "sum_us": _rounded(sum(row["us"] for row in rows)),
        "empty_us": _rounded(timed["empty_us"]),
        "tick_us": _rounded(timed["tick_us"]),
        "bandwidth_gb_per_s": _spread(bandwidth["gb_per_s"]),
        "bandwidth_bytes": int(bandwidth["read_bytes"]),
        "ops": rows,
        "dispatches": dispatches,
    }


def grouped(plan: Plan) -> dict[tuple[str, str], list[int]]:
    """Return the dispatches of every op: (op, kernel) → indices, in the order of their first."""
    groups: dict[tuple[str, str], list[int]] = {}
    for i, dispatch in enumerate(plan.dispatches):
        key = (op_of(dispatch.label), plan.pipelines[dispatch.pipeline].variant)
        groups.setdefault(key, []).append(i)
    return groups


def op_of(label: str) -> str:
    """Return a label without the layer's number."""
    return _NUMBER.sub("*", label)


def _staged(decoder: Decoder, request: ProfileRequest) -> tuple[Plan, int]:
    """Write what the pass begins with; return its Plan and its last position."""
    passes, tables = decoder.passes, decoder.tables
    num_known = max(request.context_tokens, 1)
    if request.kind == "cycle":
        if request.parallel not in passes.group_counts:
            raise RequestError(
                f"parallel is {request.parallel}; as it was loaded, the model has cycles of "
                f"{passes.group_counts} lanes."
            )
        cycles = passes.cycles_of(request.parallel)
        if request.draft_tokens not in cycles:
            raise RequestError(
                f"draft_tokens is {request.draft_tokens}; as it was loaded, the model has cycles "
                f"with {sorted(cycles)} of {request.parallel} lanes."
            )
        plan, num_new = cycles[request.draft_tokens], 1 + request.draft_tokens
    else:
        plan, num_new = passes.prefill_last[request.rows], request.rows
    assert isinstance(plan, Plan)
    # A few more: a dispatch that runs again and again may go on a little.
    if num_known + num_new + state.MAX_DRAFT_TOKENS >= tables.context_length:
        raise RequestError(
            f"{num_known} tokens and a pass over {num_new} more do not fit into the context of "
            f"{tables.context_length}."
        )
    tokens = [(2 + 7919 * i) % tables.vocab_size for i in range(num_known + num_new)]
    if request.kind == "cycle":
        lanes = range(request.parallel)
        for lane in lanes:
            decoder.stage(tokens[:num_known], request.sampling, lane)
        decoder.give(decoder.turns(lanes))
        return plan, num_known + request.draft_tokens - 1
    decoder.stage(tokens, request.sampling)
    decoder.device.write("state", 0, state.pack_state(len(tokens)))
    last = inputs.last_row(0, len(tokens) - 1, tokens[-1])
    decoder.give([last, inputs.prompt_rows(0, num_known, tokens[num_known:], request.rows)])
    return plan, len(tokens) - 1


class _Traffic:
    """The bytes that dispatches of one pass have to move."""

    def __init__(
        self,
        caches: Sequence[KvCache],
        last_position: int,
        num_lanes: int,
        tables: state.Tables,
        plan: Plan,
    ) -> None:
        self._plan = plan
        self._lanes_share = num_lanes / tables.num_lanes
        self._context_share = min(1.0, (last_position + 1) / tables.context_length)
        self._caches: dict[str, tuple[KvCache, int]] = {}
        for cache in caches:
            visible = last_position + 1
            visible = min(visible, cache.window) if cache.window else visible
            for binding in (cache.keys, cache.values):
                self._caches[binding.buffer] = (cache, visible)

    def of(self, dispatch: Dispatch, grid: Sequence[int], types: Sequence[str]) -> int:
        """Return the bytes of one dispatch; `types` are its bindings'."""
        pipeline = self._plan.pipelines[dispatch.pipeline]
        taken = _TAKEN.get(pipeline.variant.partition(".")[0])
        share = 1.0
        with contextlib.suppress(KeyError):  # a kernel that names its sizes otherwise: all of it
            share = share if taken is None else min(1.0, taken(pipeline.constants, grid))
        total = 0.0
        for binding, kind in zip(dispatch.bindings, types, strict=True):
            total += self._bytes(binding, kind == "storage", share, grid)
        return round(total)

    def _bytes(
        self, binding: Binding, is_written: bool, taken: float, grid: Sequence[int]
    ) -> float:
        name = binding.buffer
        if name in self._caches:
            cache, visible = self._caches[name]
            positions = grid[1] if is_written else visible
            return binding.bytes * self._lanes_share * min(1.0, positions / cache.capacity)
        if name == _PENALTIES:
            return 0.0
        if name.startswith(_TILE_SCRATCH):
            return binding.bytes * self._context_share
        # What only looks into a table does not read it; results are bound as they are.
        return binding.bytes * (1.0 if is_written else taken)


def _op_row(
    key: tuple[str, str],
    indices: Sequence[int],
    group: Mapping[str, Any],
    dispatches: Sequence[Mapping[str, Any]],
    gb_per_s: float,
) -> dict[str, Any]:
    op, kernel = key
    us, num_bytes = group["median"], sum(dispatches[i]["bytes"] for i in indices)
    alone = [dispatches[i]["alone_us"] for i in indices]
    reached = num_bytes / us / 1e3 if us > 0 else None
    return {
        "op": op,
        "kernel": kernel,
        "times": len(indices),
        "us": _rounded(us),
        "us_low": _rounded(group["low"]),
        "us_high": _rounded(group["high"]),
        "each_us": _rounded(us / len(indices)),
        "alone_us": None if None in alone else _rounded(sum(alone)),
        "bytes": num_bytes,
        "gb_per_s": _rounded(reached),
        "bandwidth_share": None if reached is None else round(reached / gb_per_s, 4),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _spread(runs: Mapping[str, Any]) -> dict[str, float]:
    return {name: round(runs[name], 3) for name in ("median", "low", "high")} | {
        "runs": int(runs["runs"])
    }
