"""Loads that a device cannot bind or hold are refused before weights are read, with what fits."""

from __future__ import annotations

import dataclasses

import pytest

from engine_cases import open_files
from leadout.checkpoint.synthetic import synthetic_checkpoint
from leadout.devices.numpy import NumpyDevice
from leadout.errors import DeviceLimitError
from leadout.forecast import forecast
from leadout.planning import LoadOptions, PlannedLoad, plan_load
from lowered import LoweringDevice, caps
from speculation_cases import pair_files

MIB = 1 << 20


async def planned(device: NumpyDevice, shape: str, **options: object) -> PlannedLoad:
    checkpoint = synthetic_checkpoint(shape, "target")
    return await plan_load(device, checkpoint, None, LoadOptions(**options))  # type: ignore[arg-type]


async def refused(device: NumpyDevice, shape: str, **options: object) -> DeviceLimitError:
    with pytest.raises(DeviceLimitError) as caught:
        await planned(device, shape, **options)
    return caught.value


# The largest caches are those of full layers, of rings, and of full layers that see it all.
@pytest.mark.parametrize(
    ("shape", "parallel", "context_length", "limit"),
    [("31b", 8, 4096, 128 * MIB), ("31b", 8, 2048, 128 * MIB), ("e2b", 2, 131_072, 256 * MIB)],
)
async def test_the_context_that_a_refusal_names_fits(
    shape: str, parallel: int, context_length: int, limit: int
) -> None:
    device = NumpyDevice(max_binding_bytes=limit)
    asked = {"parallel": parallel, "context_length": context_length}
    error = await refused(device, shape, **asked)
    fits, fewer = (error.detail[f"fitting_{one}"] for one in ("context_length", "parallel"))
    assert f"for {parallel} requests at once" in error.message
    assert f"a context of {fits} or this one with parallel {fewer} fits" in error.message
    await planned(device, shape, **{**asked, "context_length": fits})
    await planned(device, shape, **{**asked, "parallel": fewer})
    await refused(device, shape, **{**asked, "context_length": fits + 1})
    await refused(device, shape, **{**asked, "parallel": 2 * fewer})
    options = LoadOptions(**asked)  # type: ignore[arg-type]
    found = await forecast(device, synthetic_checkpoint(shape, "target"), None, options)
    assert (found.problem, found.max_context_length) == (error.message, fits)


async def test_fewer_requests_at_once_are_named_where_no_context_fits_otherwise() -> None:
    device = NumpyDevice(max_binding_bytes=600_000)
    error = await refused(device, "e2b", parallel=8, context_length=4096)
    assert "a context of 64 with parallel 4 fits" in error.message
    await planned(device, "e2b", parallel=4, context_length=64)
    nothing = await refused(NumpyDevice(max_binding_bytes=100_000), "e2b", context_length=4096)
    assert "no context fits. Take a smaller model." in nothing.message


async def test_what_a_model_computes_with_is_bound_too() -> None:
    device = LoweringDevice(caps())
    limit = 100_000
    device.info = dataclasses.replace(device.info, kernels=caps().kernels, max_binding_bytes=limit)
    target = await open_files(pair_files("trained-e2b")[0])
    for parallel in (1, 2):
        options = LoadOptions(context_length=64, parallel=parallel, max_draft_tokens=0)
        with pytest.raises(DeviceLimitError, match="binds at most 100,000") as caught:
            await plan_load(device, target, None, options)
        assert caught.value.detail["needed_bytes"] > limit
        assert ("a smaller parallel" in caught.value.message) == (parallel > 1)
    device.info = dataclasses.replace(
        device.info, max_binding_bytes=caught.value.detail["needed_bytes"]
    )
    await plan_load(device, target, None, options)


async def test_more_kept_prompts_than_a_buffer_holds_are_refused() -> None:
    device = NumpyDevice()
    device.info = dataclasses.replace(device.info, max_buffer_bytes=256 * MIB)
    error = await refused(device, "31b", kept_prompts=64)
    fits = error.detail["fitting_kept_prompts"]
    assert f"{fits} fits. Load the model with a smaller kept_prompts." in error.message
    await planned(device, "31b", kept_prompts=fits)
    await refused(device, "31b", kept_prompts=fits + 1)
