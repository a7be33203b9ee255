"""Gemma 4 and its drafters from GGUF files as llama.cpp's converter writes them."""

import pytest

from engine_cases import RELATIVE_TOLERANCE, folder_files, generated, load, relative_error, scored
from gemma4_cases import (
    RANDOM_NAMES,
    TRAINED_NAMES,
    load_assisted,
    load_llama_cpp,
    load_target,
)
from gemma4_gguf import write_gemma4_gguf
from leadout.devices.numpy import NumpyDevice
from leadout.request import GenerateRequest
from speculation_cases import TINY
from thoroughness import IS_THOROUGH


@pytest.mark.parametrize("name", RANDOM_NAMES)
async def test_a_gguf_of_the_same_weights_gives_the_logits_of_transformers(name, tmp_path) -> None:
    path = write_gemma4_gguf(tmp_path / "tiny.gguf", TINY / name)
    engine = await load(NumpyDevice(), {path.name: path})
    golden = load_target(name)
    logits = await scored(engine, golden.ids.tolist())
    assert relative_error(logits, golden.logits) < RELATIVE_TOLERANCE
    ids = await generated(engine, golden.prompt_ids.tolist(), max_tokens=24)
    assert ids == golden.generated_ids.tolist()


async def test_experts_whose_gate_and_up_are_apart_give_the_same_logits(tmp_path) -> None:
    path = write_gemma4_gguf(tmp_path / "tiny.gguf", TINY / "26b-a4b", are_experts_merged=False)
    engine = await load(NumpyDevice(), {path.name: path})
    golden = load_target("26b-a4b")
    logits = await scored(engine, golden.ids.tolist())
    assert relative_error(logits, golden.logits) < RELATIVE_TOLERANCE


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
async def test_quantised_weights_run_with_their_drafter_and_change_no_id(kind, tmp_path) -> None:
    """In another format everything differs a little, but not between drafted and plain."""
    target = write_gemma4_gguf(tmp_path / "target.gguf", TINY / "trained-e2b", kind)
    drafter = write_gemma4_gguf(tmp_path / "drafter.gguf", TINY / "trained-e2b-assistant", kind)
    engine = await load(NumpyDevice(), {target.name: target}, {drafter.name: drafter})
    plain = await generated(engine, [2, 40, 17], max_tokens=32, drafter="none")
    assert await generated(engine, [2, 40, 17], max_tokens=32, draft_tokens=3) == plain


@pytest.mark.parametrize("name", ["e2b", "12b", "trained-e2b"])
async def test_a_drafter_from_gguf_drafts_what_it_drafts_from_safetensors(name, tmp_path) -> None:
    path = write_gemma4_gguf(tmp_path / "drafter.gguf", TINY / f"{name}-assistant")
    engine = await load(NumpyDevice(), folder_files(TINY / name), {path.name: path})
    case = load_assisted(name)[0]
    request = GenerateRequest(
        prompt_ids=tuple(case.prompt_ids), max_tokens=len(case.ids), ignore_eos=True,
        draft_tokens=3, run_ahead=1,
    )  # fmt: skip
    result = await engine.generate(request)
    assert result.tokens == case.ids
    wanted = sum(case.num_accepted["inclusive"][3])
    if engine.model.config.hidden_size_per_layer_input == 0:
        assert result.stats.accepted_tokens == wanted
    else:
        # GGUF does not say how many centroids count; 32, as in every published drafter, are more
        # than these files were made with.
        assert result.stats.accepted_tokens >= 0.9 * wanted


async def test_a_drafter_without_its_centroids_uses_the_dense_head(tmp_path) -> None:
    """As many files have it, since converters left these tensors out at first."""
    folder = TINY / "trained-e2b-assistant"
    path = write_gemma4_gguf(tmp_path / "drafter.gguf", folder, has_masked_embedding=False)
    engine = await load(NumpyDevice(), folder_files(TINY / "trained-e2b"), {path.name: path})
    assert "drafter.candidates" not in engine.model.buffers
    case = load_assisted("trained-e2b")[0]
    request = {"max_tokens": len(case.ids), "draft_tokens": 3}
    assert await generated(engine, case.prompt_ids, **request) == case.ids


async def test_suppressed_tokens_of_a_gguf_are_never_chosen(tmp_path) -> None:
    path = write_gemma4_gguf(tmp_path / "tiny.gguf", TINY / "12b", suppress_tokens=[7, 8])
    engine = await load(NumpyDevice(), {path.name: path})
    assert engine.checkpoint.suppress_tokens == (7, 8)
    seen = set()
    for seed in range(4):
        seen |= set(await generated(engine, [2], max_tokens=64, temperature=100.0, seed=seed))
    assert len(seen) > 60
    assert not seen & {7, 8}


@pytest.mark.parametrize("name", [*RANDOM_NAMES, *TRAINED_NAMES])
async def test_greedy_ids_are_those_of_llama_cpp_on_the_same_file(name, tmp_path) -> None:
    path = write_gemma4_gguf(tmp_path / "tiny.gguf", TINY / name)
    engine = await load(NumpyDevice(), {path.name: path})
    cases = load_llama_cpp(name)
    for case in cases if IS_THOROUGH else cases[:4]:
        ids = await generated(engine, case.prompt_ids, max_tokens=len(case.ids))
        assert ids == case.ids, case.prompt_ids
