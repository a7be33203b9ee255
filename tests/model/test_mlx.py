"""MLX folders, as mlx-lm and mlx-vlm write them, against transformers on dequantised weights."""

from pathlib import Path

import numpy as np
import pytest

from engine_cases import check_golden, folder_files
from leadout.devices.numpy import NumpyDevice

FOLDER = Path(__file__).parents[1] / "vectors" / "mlx-tiny"


@pytest.mark.parametrize("name", [path.parent.name for path in sorted(FOLDER.glob("*/golden.npz"))])
async def test_logits_and_ids_are_those_of_transformers(name: str) -> None:
    files = folder_files(FOLDER / name)
    assert "config.json" in files
    with np.load(FOLDER / name / "golden.npz") as golden:
        await check_golden(NumpyDevice(), files, dict(golden))
