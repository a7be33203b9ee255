"""Gemma 4 on WebGPU in Chromium, driven from CPython; the same checks as on the NumPy device."""

from pathlib import Path

import numpy as np
import pytest
from page_device import PageDevice

from engine_cases import (
    RELATIVE_TOLERANCE,
    decoded,
    folder_files,
    load,
    relative_error,
    scored,
)
from gemma4_gguf import write_gemma4_gguf

TINY = Path(__file__).parents[1] / "vectors" / "gemma4-tiny"

#: Whose kernels are those for GPUs: one of every kind of layer. A CPU compiles them for half a
#: minute a model, so that the others take those for software.
ON_KERNELS_FOR_GPUS = ("e2b", "26b-a4b")

#: How many steps these decode, instead of 24; a step is most of a second, and none of the 24
#: reaches another tile of the KV cache. Scoring looks at all 97 positions.
NUM_STEPS_ON_THESE = 8


@pytest.mark.parametrize("name", ["e2b", "e4b", "12b", "26b-a4b", "31b"])
async def test_safetensors_give_the_logits_of_transformers(kernel_runtime, name) -> None:
    device = PageDevice(kernel_runtime, is_software=name not in ON_KERNELS_FOR_GPUS)
    engine = await load(device, folder_files(TINY / name))
    with np.load(TINY / name / "golden.npz") as golden:
        ids = [int(token) for token in golden["ids"]]
        error = relative_error(await scored(engine, ids), golden["logits"])
        assert error < RELATIVE_TOLERANCE
        prompt = [int(token) for token in golden["prompt_ids"]]
        wanted = golden["generated_ids"].tolist()
        if name in ON_KERNELS_FOR_GPUS:
            wanted = wanted[:NUM_STEPS_ON_THESE]
        tokens, _ = await decoded(engine, prompt, len(wanted))
        assert tokens == wanted
    engine.close()


@pytest.mark.parametrize("name", ["e2b", "26b-a4b"])
async def test_a_gguf_of_the_same_weights_gives_the_same_logits(
    kernel_runtime, name, tmp_path
) -> None:
    """Of those with tensors of their own; the others are read as these are (tests/model)."""
    # They were stored in bfloat16, so that this format holds them exactly.
    path = write_gemma4_gguf(tmp_path / "tiny.gguf", TINY / name, "BF16")
    engine = await load(PageDevice(kernel_runtime, is_software=True), {path.name: path})
    with np.load(TINY / name / "golden.npz") as golden:
        ids = [int(token) for token in golden["ids"]]
        _, logits = await decoded(engine, ids[:40], 4)
        assert relative_error(logits[:1], golden["logits"][39:40]) < RELATIVE_TOLERANCE
        error = relative_error(await scored(engine, ids), golden["logits"])
        assert error < RELATIVE_TOLERANCE
    engine.close()
