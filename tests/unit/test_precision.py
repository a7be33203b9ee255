"""The load option `precision`, from what is asked to the kernels' constants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lowered
from engine_cases import folder_files, load
from leadout.checkpoint.synthetic import synthetic_checkpoint
from leadout.devices.base import DeviceInfo
from leadout.devices.numpy import NumpyDevice
from leadout.lowering import Caps, lower
from leadout.ops import Program
from leadout.plan import Plan
from leadout.planning import LoadOptions, PlannedLoad, plan_load

TINY_GEMMA3 = Path(__file__).parents[1] / "vectors" / "gemma3-tiny" / "multi-query"


class LoweringDevice:
    """A GPU as far as plans go."""

    def __init__(self, *, is_software: bool, features: Iterable[str]) -> None:
        self.info: DeviceInfo = replace(
            NumpyDevice().info,
            kernels=lowered.kernels(),
            is_software=is_software,
            features=tuple(features),
        )

    def lower(self, program: Program, precision: str = "accurate") -> Plan:
        return lower(program, replace(Caps.of(self.info), is_fast=precision == "fast"))


async def planned(
    precision: str, *, is_software: bool = False, features: Iterable[str] | None = None
) -> PlannedLoad:
    found = lowered.all_features() if features is None else features
    device = LoweringDevice(is_software=is_software, features=found)
    target, drafter = (synthetic_checkpoint("tiny", role) for role in ("target", "drafter"))
    return await plan_load(device, target, drafter, LoadOptions(precision=precision))


def packed_pipelines(load: PlannedLoad) -> list[dict[str, float]]:
    """Return the constants of all that multiplies packed activations."""
    plans = [*load.passes.cycles.values(), *load.passes.checks.values()]
    return [
        dict(pipeline.constants)
        for plan in plans
        if isinstance(plan, Plan)
        for pipeline in plan.pipelines
        if pipeline.variant.startswith(("packed_matvec.", "norm_gated."))
    ]


async def test_fast_leaves_the_low_bytes_out_everywhere() -> None:
    load = await planned("fast")
    assert load.precision == "fast"
    constants = packed_pipelines(load)
    assert len(constants) > 10
    assert all(one == {"WITH_LOW": 0} for one in constants)


async def test_accurate_is_the_default_and_leaves_nothing_out() -> None:
    assert LoadOptions().precision == "accurate"
    load = await planned("accurate")
    assert load.precision == "accurate"
    constants = packed_pipelines(load)
    assert len(constants) > 10
    assert not any(constants)


@pytest.mark.parametrize("lack", [{"is_software": True}, {"features": ()}])
async def test_what_has_nothing_but_accurate_says_so(lack: dict[str, Any]) -> None:
    load = await planned("fast", **lack)
    assert load.precision == "accurate"
    assert packed_pipelines(load) == []


@pytest.mark.parametrize("precision", ["accurate", "fast"])
async def test_numpy_computes_in_float32_and_says_so(precision: str) -> None:
    engine = await load(NumpyDevice(), folder_files(TINY_GEMMA3), precision=precision)
    assert engine.info()["precision"] == "accurate"
    engine.close()
