"""Gemma 4 on WebGPU in Chromium, driven from CPython; the same checks as on the NumPy device."""

from pathlib import Path

import numpy as np
import pytest
from page_device import PageDevice

from gemma3_cases import (
    RELATIVE_TOLERANCE,
    decoded,
    folder_files,
    load,
    relative_error,
    scored,
)

TINY = Path(__file__).parents[1] / "vectors" / "gemma4-tiny"


@pytest.mark.parametrize("name", ["e2b", "e4b", "12b", "26b-a4b", "31b"])
async def test_safetensors_give_the_logits_of_transformers(kernel_runtime, name) -> None:
    engine = await load(PageDevice(kernel_runtime), folder_files(TINY / name))
    with np.load(TINY / name / "golden.npz") as golden:
        ids = [int(token) for token in golden["ids"]]
        error = relative_error(await scored(engine, ids), golden["logits"])
        assert error < RELATIVE_TOLERANCE
        prompt = [int(token) for token in golden["prompt_ids"]]
        tokens, _ = await decoded(engine, prompt, len(golden["generated_ids"]))
        assert tokens == golden["generated_ids"].tolist()
    engine.close()
