"""Ops, their bytes, and what cannot be profiled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine_cases import folder_files, load
from leadout import profiling
from leadout.devices.numpy import NumpyDevice
from leadout.engine import Engine
from leadout.errors import DeviceError, RequestError
from leadout.kv_cache import KvCache
from leadout.lowering import lower
from leadout.ops import Program
from leadout.plan import Binding, Dispatch, Pipeline, Plan
from leadout.profiling import ProfileRequest
from leadout.state import Tables
from lowered import caps, kernels

TINY = Path(__file__).parents[1] / "vectors" / "gemma3-tiny" / "multi-query"


@pytest.mark.parametrize(
    ("label", "op"),
    [
        ("layers.3.mlp.down_proj", "layers.*.mlp.down_proj"),
        ("draft.2.layers.13.attn", "draft.*.layers.*.attn"),
        ("lm_head", "lm_head"),
        ("layers.0", "layers.*"),
        ("q4.v2x", "q4.v2x"),
    ],
)
def test_an_op_is_a_label_without_the_layer(label: str, op: str) -> None:
    assert profiling.op_of(label) == op


def plan_of(*dispatches: tuple[str, Sequence[Binding]]) -> Plan:
    """Return a Plan of (label, bindings), all through one pipeline each."""
    return Plan(
        "p",
        (
            Pipeline("matvec.q4", {}),
            Pipeline("embed.q4", {"N": 1000}),
        ),
        tuple(
            Dispatch(int(label.startswith("embed")), tuple(bindings), (1, 4, 1), label)
            for label, bindings in dispatches
        ),
    )


def test_the_same_part_of_all_layers_is_one_op() -> None:
    x = [Binding("x", 0, 4)]
    plan = plan_of(("layers.0.mlp", x), ("embed", x), ("layers.1.mlp", x))
    assert profiling.grouped(plan) == {
        ("layers.*.mlp", "matvec.q4"): [0, 2],
        ("embed", "embed.q4"): [1],
    }


def test_bytes_are_what_a_dispatch_has_to_move() -> None:
    cache = KvCache("layers.0.kv", 1, 1, 8, 0, 1024, "f32")
    ring = KvCache("layers.1.kv", 1, 1, 8, 64, 512, "f32")
    weights, y = Binding("w#0", 0, 100_000), Binding("y", 0, 400)
    plan = plan_of(
        ("layers.0.mlp", [weights, y]),
        ("embed", [weights, y]),
        ("layers.0.attention", [cache.keys, y]),
        ("layers.1.attention", [ring.keys, y]),
        ("layers.0.keys", [y, cache.keys]),
    )
    traffic = profiling._Traffic([cache, ring], 255, 1, Tables(1, 1024, 1024), plan)
    read, write = "read-only-storage", "storage"
    mlp, embed, attention, sliding, keys = plan.dispatches
    assert traffic.of(mlp, (1, 4, 1), [read, write]) == 100_400
    assert traffic.of(embed, (1, 4, 1), [read, write]) == 400 + 400  # 4 of 1,000 rows
    assert traffic.of(attention, (1, 4, 1), [read, write]) == 256 * 8 * 4 + 400
    assert traffic.of(sliding, (1, 4, 1), [read, write]) == 64 * 8 * 4 + 400
    assert traffic.of(keys, (1, 4, 1), [read, write]) == 400 + 4 * 8 * 4  # 4 rows are written


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "score"}, "'cycle' or 'prefill'"),
        ({"context_tokens": -1}, "context_tokens is -1"),
        ({"draft_tokens": True}, "draft_tokens is True"),
        ({"parallel": 0}, "parallel is 0"),
        ({"rows": 7}, "rows is 7"),
        ({"speed": 1}, "Unknown fields"),
        ({"temperature": -1}, "temperature"),
    ],
)
def test_a_request_is_checked_at_the_door(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        ProfileRequest.from_json(fields)


# ---- a device that times --------------------------------------------------------------------


class TimingDevice(NumpyDevice):
    """Lowers as for a GPU and says that everything takes 2 us; nothing runs on it."""

    def __init__(self) -> None:
        super().__init__()
        self.profiled: list[tuple[str, list[int]]] = []

    async def profile(
        self, plan: Plan, params: Sequence[int], groups: Sequence[Sequence[int]]
    ) -> dict[str, Any]:
        self.profiled.append((plan.name, list(params)))
        runs = {"median": 2.0, "low": 1.0, "high": 3.0, "runs": 5}
        return {
            "whole_us": runs,
            "empty_us": 6.5,
            "tick_us": 0.032,
            "alone_us": [2.0] * len(plan.dispatches),
            "group_us": [
                {name: value * len(group) for name, value in runs.items()} for group in groups
            ],
            "binding_types": {
                one.variant: [binding["type"] for binding in kernels()[one.variant]["bindings"]]
                for one in plan.pipelines
            },
        }

    async def bandwidth(self) -> dict[str, Any]:
        runs = {"median": 2000.0, "low": 1990.0, "high": 2010.0, "runs": 6}
        return {"gb_per_s": runs, "read_bytes": 1 << 30}


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = await load(TimingDevice(), folder_files(TINY), context_length=512, parallel=4)
    passes = engine.decoder.passes
    # The engine has Programs here; what is profiled are the Plans of a GPU.
    for plans in (passes.cycles, passes.prefill_last, *passes.batch_cycles.values()):
        for key, program in list(plans.items()):
            assert isinstance(program, Program)
            plans[key] = lower(program, caps())
    yield engine
    engine.close()


async def test_ops_have_times_bytes_and_their_share_of_the_bandwidth(engine: Engine) -> None:
    found = await profiling.profile_pass(engine.decoder, ProfileRequest(context_tokens=100))
    ops: Any = found["ops"]
    num_layers = engine.model.config.num_hidden_layers
    down = next(op for op in ops if op["op"] == "layers.*.down_proj")
    assert (down["times"], down["us"]) == (num_layers, 2.0 * num_layers)
    assert down["bytes"] > 0
    assert down["gb_per_s"] == round(down["bytes"] / down["us"] / 1e3, 3)
    assert down["bandwidth_share"] == round(down["bytes"] / down["us"] / 1e3 / 2000, 4)
    assert sum(op["times"] for op in ops) == len(found["dispatches"])  # type: ignore[arg-type]
    assert [op["us"] for op in ops] == sorted((op["us"] for op in ops), reverse=True)


async def test_a_prefill_pass_and_a_cycle_see_their_positions(engine: Engine) -> None:
    device = engine.device
    assert isinstance(device, TimingDevice)
    await profiling.profile_pass(engine.decoder, ProfileRequest("prefill", 100, rows=256))
    await profiling.profile_pass(engine.decoder, ProfileRequest(context_tokens=300))
    (prefill, _), (cycle, params) = device.profiled
    assert (prefill, cycle) == ("prefill-256-last", "cycle-0")
    assert all(value >= 0 for value in params)


async def test_lanes_that_take_part_have_their_rows_and_their_share_of_the_cache(
    engine: Engine,
) -> None:
    lanes = {}
    for parallel in (1, 4):
        request = ProfileRequest(context_tokens=100, parallel=parallel)
        lanes[parallel] = await profiling.profile_pass(engine.decoder, request)
    assert [found["plan"] for found in lanes.values()] == ["cycle-0", "cycle-0-of-4"]
    attention: list[Any] = [
        sum(op["bytes"] for op in found["ops"] if op["op"].endswith("attention"))  # type: ignore[attr-defined]
        for found in lanes.values()
    ]
    assert 2 * attention[0] < attention[1] <= 4 * attention[0]


@pytest.mark.parametrize(
    "request_",
    [
        ProfileRequest(context_tokens=510),
        ProfileRequest(draft_tokens=1),
        ProfileRequest(parallel=3),
        ProfileRequest("prefill"),
    ],
)
async def test_a_pass_that_does_not_fit_is_refused(
    engine: Engine, request_: ProfileRequest
) -> None:
    with pytest.raises(RequestError):
        await profiling.profile_pass(engine.decoder, request_)


async def test_a_device_without_timestamps_is_named() -> None:
    engine = await load(NumpyDevice(), folder_files(TINY), context_length=64)
    with pytest.raises(DeviceError, match="has no timestamps"):
        await engine.profile(ProfileRequest())
    engine.close()


async def test_ids_are_taken_as_prefilled_where_weights_are_made_up_alone() -> None:
    engine = await load(NumpyDevice(), folder_files(TINY), context_length=64)
    with pytest.raises(RequestError, match="made up"):
        engine.assume([2, 3])
    engine.close()
