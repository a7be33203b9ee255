"""An MLX folder on WebGPU in Chromium; the same checks as on the NumPy device."""

from pathlib import Path

import numpy as np
from page_device import PageDevice

from engine_cases import check_golden, folder_files

FOLDER = Path(__file__).parents[1] / "vectors" / "mlx-tiny" / "e2b-mixed"


async def test_logits_and_ids_are_those_of_transformers(kernel_runtime) -> None:
    """4 and 8 bits with bf16 scales, and layers left alone; on kernels for software."""
    device = PageDevice(kernel_runtime, is_software=True)
    with np.load(FOLDER / "golden.npz") as golden:
        await check_golden(device, folder_files(FOLDER), dict(golden))
