"""Checkpoints without a file: the published shapes, exactly, in formats that GGUF files have."""

from __future__ import annotations

import dataclasses
from array import array
from itertools import pairwise

import pytest

import gemma4_configs
from leadout.checkpoint.load_plan import LoadPlanBuilder
from leadout.checkpoint.synthetic import SHAPES, SYNTHETIC, checkpoint_of, synthetic_checkpoint
from leadout.checkpoint.tensors import TOKEN_ORDERING, check_extents
from leadout.checkpoint.token_ordering import read_token_ordering
from leadout.config import Gemma4AssistantConfig, Gemma4TextConfig, read_config, text_config_of
from leadout.devices.numpy import NumpyDevice
from leadout.engine import Engine
from leadout.errors import RequestError
from leadout.forecast import Memory
from leadout.models.registry import place_model
from leadout.planning import LoadOptions
from leadout.request import GenerateRequest
from leadout_build.bench.memory import plan_memory

REAL = [shape for shape in SHAPES if shape != "tiny"]

#: Parameters of the text models and of their drafters, as published (facts: model cards, GGUF
#: loaders): to four digits.
PARAMETERS = {
    "e2b": (4.629e9, 77.73e6),
    "e4b": (7.463e9, 78.52e6),
    "12b": (11.907e9, 422.86e6),
    "26b-a4b": (25.233e9, 419.71e6),
    "31b": (30.697e9, 469.52e6),
}

#: Google's gemma-4-26B-A4B-it-qat-q4_0.gguf has 14.44 GB, its vocabulary among them.
FILE_BYTES_26B = 14.44e9


@pytest.mark.parametrize("shape", REAL)
def test_a_shape_has_the_published_model_s_configuration(shape: str) -> None:
    name = shape.upper()
    for role, published in (
        ("target", gemma4_configs.target(name, "flat")),
        ("drafter", gemma4_configs.drafter(name, "flat")),
    ):
        config = read_config(synthetic_checkpoint(shape, role))
        read = Gemma4TextConfig if role == "target" else Gemma4AssistantConfig
        assert config == read.from_json({**text_config_of(published), "eos_token_id": [1, 106]})


@pytest.mark.parametrize("shape", REAL)
def test_a_shape_has_the_published_number_of_parameters(shape: str) -> None:
    target, drafter = PARAMETERS[shape]
    assert synthetic_checkpoint(shape, "target").num_parameters == pytest.approx(target, rel=2e-4)
    found = synthetic_checkpoint(shape, "drafter")
    ordering = found.tensors.get(TOKEN_ORDERING)
    num_ids = 0 if ordering is None else ordering.num_elements
    assert found.num_parameters - num_ids == pytest.approx(drafter, rel=2e-4)


def test_formats_add_up_to_the_published_file() -> None:
    found = synthetic_checkpoint("26b-a4b", "target").tensor_bytes
    assert found == pytest.approx(FILE_BYTES_26B, rel=5e-3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("role", ["target", "drafter"])
def test_tensors_lie_one_behind_the_other_without_a_file(shape: str, role: str) -> None:
    checkpoint = synthetic_checkpoint(shape, role)
    assert checkpoint.kind == SYNTHETIC
    assert checkpoint.sources == []
    check_extents(shape, checkpoint.tensor_bytes, checkpoint.tensors.values())


def test_formats_are_those_of_quantised_files() -> None:
    tensors = synthetic_checkpoint("e2b", "target").tensors
    formats = {name: tensor.format for name, tensor in tensors.items()}
    assert formats["model.embed_tokens.weight"] == "Q6_K"
    assert formats["model.embed_tokens_per_layer.weight"] == "Q4_0"
    assert formats["model.per_layer_model_projection.weight"] == "BF16"
    assert formats["model.layers.0.self_attn.q_proj.weight"] == "Q4_0"
    assert formats["model.layers.0.layer_scalar"] == "F32"
    assert "model.layers.15.self_attn.k_proj.weight" not in formats  # it reads layer 13's cache
    mixture = synthetic_checkpoint("26b-a4b", "target").tensors
    assert mixture["model.layers.0.experts.gate_up_proj"].format == "Q4_0"
    assert mixture["model.layers.0.router.proj.weight"].format == "F32"
    drafter = synthetic_checkpoint("e2b", "drafter").tensors
    assert drafter["model.embed_tokens.weight"].format == "Q8_0"
    assert drafter[TOKEN_ORDERING].format == "I32"


def test_columns_that_q6_k_cannot_have_are_stored_as_q8_0() -> None:
    checkpoint = checkpoint_of("narrow", gemma4_configs.SMALL)
    assert checkpoint.tensors["model.embed_tokens.weight"].format == "Q8_0"


@pytest.mark.parametrize("max_binding_bytes", [128 << 20, (1 << 31) - 4])
@pytest.mark.parametrize("shape", ["e2b", "26b-a4b", "31b"])
def test_every_matrix_can_be_bound(shape: str, max_binding_bytes: int) -> None:
    checkpoint = synthetic_checkpoint(shape, "target")
    config = read_config(checkpoint)
    assert isinstance(config, Gemma4TextConfig)
    load = LoadPlanBuilder(max_binding_bytes)
    sizes = {"num_lanes": 1, "context_length": 4096, "max_rows": 256}
    place_model(checkpoint, config, load, kv_dtype="f32", **sizes)
    placed = load.build().placed
    assert max(plane.bytes for each in placed for plane in each.planes) <= max_binding_bytes


async def test_a_made_up_order_of_tokens_has_each_once_and_far_apart() -> None:
    drafter = synthetic_checkpoint("e2b", "drafter")
    ids = array("I", await read_token_ordering(drafter, 262_144))
    assert sorted(ids) == list(range(262_144))
    # The 128 tokens of a centroid: no two in neighbouring rows.
    of_one = sorted(ids[128 * 77 : 128 * 78])
    assert min(b - a for a, b in pairwise(of_one)) > 1000


@pytest.mark.parametrize("vocab_size", [32, 96, 8192 * 3, 262_144])
async def test_a_made_up_order_exists_for_any_vocabulary(vocab_size: int) -> None:
    config = gemma4_configs.small_drafter(
        {"vocab_size": vocab_size},
        num_centroids=8,
        centroid_intermediate_top_k=2,
        use_ordered_embeddings=True,
    )
    drafter = checkpoint_of("any", config)
    ids = array("I", await read_token_ordering(drafter, vocab_size))
    assert sorted(ids) == list(range(vocab_size))


async def load_tiny(options: LoadOptions, device: NumpyDevice | None = None) -> Engine:
    return await Engine.load(
        device or NumpyDevice(),
        synthetic_checkpoint("tiny", "target"),
        options,
        make_tokenizer=None,  # type: ignore[arg-type]  # there is none to make
        on_phase=lambda phase: None,
        on_progress=lambda loaded, total: None,
        drafter=synthetic_checkpoint("tiny", "drafter") if options.drafter == "mtp" else None,
    )


async def test_made_up_weights_run_and_give_the_same_ids_with_any_drafter() -> None:
    found = []
    for drafter in ("mtp", "ngram"):
        engine = await load_tiny(LoadOptions(drafter=drafter, max_draft_tokens=3))
        assert engine.model.self_test == "identical"
        for k in (0, 3):
            request = {"prompt_ids": [5, 900, 17, 5], "max_tokens": 9, "ignore_eos": True}
            wanted = GenerateRequest.from_json(request | {"draft_tokens": k})
            generated = await engine.generate(wanted)
            found.append(generated.tokens)
    assert all(tokens == found[0] for tokens in found)
    assert len(set(found[0])) > 1  # noise, but not one and the same token


async def test_a_matrix_larger_than_a_buffer_lies_in_several() -> None:
    device = NumpyDevice()
    device.info = dataclasses.replace(device.info, max_buffer_bytes=540_000)
    engine = await load_tiny(LoadOptions(drafter="none"), device)
    assert "embed_tokens#1" in engine.model.buffers
    request = {"prompt_ids": [5, 900, 17, 5], "max_tokens": 3, "ignore_eos": True}
    generated = await engine.generate(GenerateRequest.from_json(request))
    assert len(generated.tokens) == 3


def test_a_mixture_of_experts_can_be_planned_without_being_placed() -> None:
    target = checkpoint_of("mixture", gemma4_configs.SMALL | gemma4_configs.EXPERTS)
    planned = plan_memory(target, None, LoadOptions(drafter="none", context_length=64))
    memory = Memory.of(planned.buffers)
    experts = 6 * 8 * (2 * 32 * 64 + 64 * 32) // 32 * 18
    assert memory.weights_bytes > experts
    assert memory.drafter_bytes == 0


@pytest.mark.parametrize(
    ("shape", "role", "said"), [("e3b", "target", "'e3b'; wanted one of e2b"), ("e2b", "x", "'x'")]
)
def test_what_there_is_no_shape_of_is_refused(shape: str, role: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        synthetic_checkpoint(shape, role)


def test_weights_are_made_up_for_gemma_4_alone() -> None:
    with pytest.raises(RequestError, match="is no Gemma 4"):
        checkpoint_of("gemma3", {"model_type": "gemma3_text"})
