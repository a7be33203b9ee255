"""MLX folders, as mlx-lm and mlx-vlm write them, against transformers on dequantised weights."""

from pathlib import Path

import numpy as np
import pytest

from engine_cases import check_golden, folder_files, load
from leadout.devices.numpy import NumpyDevice
from leadout.request import GenerateRequest

FOLDER = Path(__file__).parents[1] / "vectors" / "mlx-tiny"


@pytest.mark.parametrize("name", [path.parent.name for path in sorted(FOLDER.glob("*/golden.npz"))])
async def test_logits_and_ids_are_those_of_transformers(name: str) -> None:
    files = folder_files(FOLDER / name)
    assert "config.json" in files
    with np.load(FOLDER / name / "golden.npz") as golden:
        await check_golden(NumpyDevice(), files, dict(golden))


async def test_a_quantised_drafter_drafts_for_its_target() -> None:
    """A third of what it proposes is accepted here, and the ids are the target's."""
    folder = FOLDER / "trained-e2b-4bit"
    drafter = folder_files(FOLDER / "trained-e2b-4bit-assistant")
    engine = await load(NumpyDevice(), folder_files(folder), drafter)
    with np.load(folder / "golden.npz") as golden:
        request = {
            "prompt_ids": golden["prompt_ids"].tolist(),
            "ignore_eos": True,
            "max_tokens": len(golden["generated_ids"]),
            "draft_tokens": 4,
        }
        done = await engine.generate(GenerateRequest.from_json(request))
        assert done.tokens == golden["generated_ids"].tolist()
    assert done.stats.accepted_tokens > done.stats.drafted_tokens / 5
