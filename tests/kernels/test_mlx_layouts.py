"""MLX folders loaded in Chromium: what lies on the device is what NumPy has, word for word."""

from pathlib import Path

import pytest
from page_device import PageDevice

from engine_cases import folder_files
from leadout.checkpoint import MemorySource, open_checkpoint
from leadout.devices.numpy import NumpyDevice
from leadout.planning import LoadOptions, plan_load

FOLDER = Path(__file__).parents[1] / "vectors" / "mlx-tiny"


@pytest.mark.parametrize("name", ["gemma3-8bit-f16", "e2b-mixed", "26b-a4b-8bit"])
async def test_a_folder_s_weights_are_the_same_on_both_devices(kernel_runtime, name) -> None:
    """Of mixed bits and groups, with layers left alone, with experts. Kernels' tests read them."""
    files = folder_files(FOLDER / name)
    sources = {name: MemorySource(name, path.read_bytes()) for name, path in files.items()}
    checkpoint = await open_checkpoint(sources)
    devices = NumpyDevice(), PageDevice(kernel_runtime)
    planned = await plan_load(devices[0], checkpoint, None, LoadOptions())
    for device in devices:
        await device.allocate(planned.weights_buffers)
        for load_plan, origin in planned.weights:
            await device.load(load_plan, origin.sources, lambda *_: None)
    for buffer, spec in planned.weights_buffers.items():
        on_numpy, on_gpu = [await device.read(buffer, 0, spec.bytes) for device in devices]
        assert on_gpu == on_numpy, buffer
    devices[1].free(planned.weights_buffers)
