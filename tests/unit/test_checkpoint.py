"""Checkpoints opened whole: one description for every format, and what is missing is named."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from leadout.checkpoint import Checkpoint, FileSource, MemorySource, check_tensors, open_checkpoint
from leadout.checkpoint.json_file import (
    MAX_DEPTH,
    MAX_JSON_BYTES,
    MAX_VALUES,
    parse_json_object,
)
from leadout.checkpoint.names import (
    GGUF_ARCHITECTURES,
    text_name_of_gguf,
    text_name_of_safetensors,
)
from leadout.checkpoint.source import Source
from leadout.config import read_config
from leadout.errors import (
    CheckpointError,
    LeadoutError,
    TensorError,
    UnsupportedFormatError,
    UnsupportedModelError,
)
from raw_headers import FLOAT32, array_key, gguf_file, key, tensor, text_key, u32_key
from tiny_checkpoints import (
    random_gemma3_weights,
    safetensors_bytes,
    tiny_gemma3_config,
    write_gguf,
    write_safetensors,
)

CONFIG = tiny_gemma3_config(num_hidden_layers=3)
WEIGHTS = random_gemma3_weights(CONFIG)


def sources(folder: Path) -> dict[str, Source]:
    return {path.name: FileSource(path) for path in folder.iterdir()}


async def open_folder(folder: Path, **extra: Any) -> Checkpoint:
    """Open a folder; `extra` replaces or adds files: text, bytes, or JSON. `__` is a dot."""
    files = sources(folder)
    for name, content in extra.items():
        data = content if isinstance(content, str | bytes) else json.dumps(content)
        data = data.encode() if isinstance(data, str) else data
        file = name.replace("__", ".")
        files[file] = MemorySource(file, data)
    return await open_checkpoint(files)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_safetensors(tmp_path / "model", CONFIG, WEIGHTS)


@pytest.fixture
def gguf_folder(tmp_path: Path) -> Path:
    (tmp_path / "gguf").mkdir()
    return write_gguf(tmp_path / "gguf" / "tiny.gguf", CONFIG, WEIGHTS).parent


# ---- one description ----------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "language_model.model.", "model.language_model."])
@pytest.mark.parametrize("shards", [1, 3])
async def test_safetensors_have_the_same_names_whatever_the_prefix(
    tmp_path: Path, prefix: str, shards: int
) -> None:
    write_safetensors(tmp_path, CONFIG, WEIGHTS, shards=shards, prefix=prefix)
    checkpoint = await open_folder(tmp_path)
    assert checkpoint.kind == "safetensors"
    assert {n: t.shape for n, t in checkpoint.tensors.items()} == {
        name: values.shape for name, values in WEIGHTS.items()
    }
    assert all(name == info.name for name, info in checkpoint.tensors.items())
    assert len(checkpoint.sources) == shards
    for name, info in checkpoint.tensors.items():
        data = await checkpoint.sources[info.source].read(info.offset, info.bytes)
        assert data == WEIGHTS[name].tobytes()
    assert read_config(checkpoint).num_hidden_layers == 3
    assert not checkpoint.norms_are_folded
    assert checkpoint.metadata == {}


async def test_gguf_has_the_names_and_fields_of_safetensors(
    folder: Path, gguf_folder: Path
) -> None:
    checkpoint = await open_folder(gguf_folder)
    other = await open_folder(folder)
    assert checkpoint.kind == "gguf"
    assert checkpoint.name == "tiny.gguf"
    assert {n: t.shape for n, t in checkpoint.tensors.items()} == {
        n: t.shape for n, t in other.tensors.items()
    }
    assert checkpoint.norms_are_folded
    assert checkpoint.num_parameters == other.num_parameters
    assert checkpoint.tensor_bytes == other.tensor_bytes == 4 * checkpoint.num_parameters
    assert len(checkpoint.metadata["tokenizer.ggml.tokens"]) == 512  # type: ignore[arg-type]
    eps = read_config(checkpoint).rms_norm_eps
    assert eps == struct.unpack("<f", struct.pack("<f", 1e-6))[0]
    checkpoint.config["rms_norm_eps"] = 1e-6
    assert read_config(checkpoint) == read_config(other)


async def test_towers_are_left_out_even_in_formats_that_are_not_read(folder: Path) -> None:
    header: dict[str, Any] = {}
    for i, name in enumerate(
        [
            "vision_tower.layers.0.weight",
            "model.vision_tower.layers.0.weight",
            "multi_modal_projector.mm_input_projection_weight",
            "model.audio_tower.conv.weight",
            "model.embed_vision.embedding_projection.weight",
        ]
    ):
        header[name] = {"dtype": "I64", "shape": [1], "data_offsets": [8 * i, 8 * i + 8]}
    text = json.dumps(header).encode()
    towers = struct.pack("<Q", len(text)) + text + bytes(40)
    weight_map = dict.fromkeys(header, "towers.safetensors") | dict.fromkeys(
        WEIGHTS, "text.safetensors"
    )
    (folder / "model.safetensors").rename(folder / "text.safetensors")
    checkpoint = await open_folder(
        folder,
        towers__safetensors=towers,
        model__safetensors__index__json={"weight_map": weight_map},
    )
    assert set(checkpoint.tensors) == set(WEIGHTS)


async def test_a_head_of_its_own_is_found_in_both_formats(tmp_path: Path) -> None:
    config = tiny_gemma3_config(num_hidden_layers=1, tie_word_embeddings=False)
    weights = random_gemma3_weights(config)
    (tmp_path / "gguf").mkdir()
    write_gguf(tmp_path / "gguf" / "m.gguf", config, weights)
    write_safetensors(tmp_path / "hf", config, weights)
    for name in ("gguf", "hf"):
        checkpoint = await open_folder(tmp_path / name)
        assert checkpoint.tensors["lm_head.weight"].shape == (512, 64)
        assert not read_config(checkpoint).tie_word_embeddings


def test_every_layer_tensor_has_a_gguf_name_of_its_own() -> None:
    gemma3 = GGUF_ARCHITECTURES["gemma3"]
    names = {text_name_of_gguf(gemma3, f"blk.17.{name}") for name in gemma3.layer_tensors}
    layer = {n.replace("layers.0", "layers.17") for n in WEIGHTS if ".layers.0." in n}
    assert names == layer
    for unknown in (
        "blk.1.attn_qkv.weight",
        "blk.x.attn_q.weight",
        "rope_freqs.weight",
        "",
        "v.blk",
    ):
        assert text_name_of_gguf(gemma3, unknown) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"),
        ("language_model.model.norm.weight", "model.norm.weight"),
        ("language_model.lm_head.weight", "lm_head.weight"),
        ("model.language_model.norm.weight", "model.norm.weight"),
        ("lm_head.weight", "lm_head.weight"),
        ("model.embed_audio.x", None),
    ],
)
def test_safetensors_names_become_those_of_the_text_model(name: str, expected: str | None) -> None:
    assert text_name_of_safetensors(name) == expected


# ---- the files beside the weights ---------------------------------------------------------


async def test_ids_that_end_a_text_come_from_generation_config_first(folder: Path) -> None:
    assert (await open_folder(folder)).eos_token_ids == (1,)
    generation = {"eos_token_id": [1, 106, 50], "bos_token_id": 5, "top_k": 64}
    checkpoint = await open_folder(folder, generation_config__json=generation)
    assert checkpoint.eos_token_ids == (1, 106, 50)
    assert checkpoint.bos_token_id == 5
    assert checkpoint.generation_config == generation


async def test_ids_beside_text_config_win_over_those_inside(tmp_path: Path) -> None:
    write_safetensors(tmp_path, CONFIG, WEIGHTS, prefix="model.language_model.")
    root = {"model_type": "gemma3", "text_config": CONFIG, "eos_token_id": [1, 106]}
    checkpoint = await open_folder(tmp_path, config__json=root)
    assert checkpoint.eos_token_ids == (1, 106)
    assert checkpoint.bos_token_id == 2


async def test_the_end_of_a_turn_ends_a_chat_of_a_gguf(tmp_path: Path, gguf_folder: Path) -> None:
    assert (await open_folder(gguf_folder)).eos_token_ids == (1,)
    (tmp_path / "chat").mkdir()
    write_gguf(tmp_path / "chat" / "it.gguf", CONFIG, WEIGHTS, chat_template="{{ messages }}")
    chat = await open_folder(tmp_path / "chat")
    tokens: Any = chat.metadata["tokenizer.ggml.tokens"]
    assert chat.chat_template == "{{ messages }}"
    assert chat.eos_token_ids == (1, tokens.index("<end_of_turn>"))
    assert chat.bos_token_id == 2


async def test_chat_templates_are_found_wherever_they_are(folder: Path, gguf_folder: Path) -> None:
    assert (await open_folder(folder)).chat_template is None
    one = {"chat_template": "one"}
    many = {
        "chat_template": [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]
    }
    for place in (folder, gguf_folder):
        found = await open_folder(place, tokenizer_config__json=one)
        assert found.chat_template == "one"
        found = await open_folder(place, tokenizer_config__json=many)
        assert found.chat_template == "d"
        found = await open_folder(place, tokenizer_config__json=one, chat_template__jinja="two")
        assert found.chat_template == "two"
        assert (await open_folder(place, tokenizer_config__json={})).chat_template is None


async def test_tokenizer_json_is_passed_on_unread(folder: Path, gguf_folder: Path) -> None:
    for place in (folder, gguf_folder):
        assert (await open_folder(place)).tokenizer_json is None
        found = await open_folder(place, tokenizer__json=b"\xff no JSON")
        assert found.tokenizer_json is not None
        assert await found.tokenizer_json.read(0, 9) == b"\xff no JSON"


@pytest.mark.parametrize(
    ("path", "name"),
    [("org/tiny-it/", "tiny-it"), ("", "gemma3_text"), ("a\nb", "gemma3_text"), (3, "gemma3_text")],
)
async def test_safetensors_are_called_what_config_json_says(
    folder: Path, path: Any, name: str
) -> None:
    checkpoint = await open_folder(folder, config__json=CONFIG | {"_name_or_path": path})
    assert checkpoint.name == name


async def test_extra_files_are_ignored(folder: Path) -> None:
    checkpoint = await open_folder(folder, README__md="hello", pytorch_model__bin=b"\0")
    assert set(checkpoint.tensors) == set(WEIGHTS)


# ---- what is refused ----------------------------------------------------------------------


async def refusal(files: dict[str, bytes]) -> LeadoutError:
    with pytest.raises(LeadoutError) as caught:
        await open_checkpoint({name: MemorySource(name, data) for name, data in files.items()})
    return caught.value


@pytest.mark.parametrize(
    "names",
    [[], ["readme.md"], ["config.json"], ["model.safetensors"], ["model.safetensors.index.json"]],
)
async def test_files_without_a_model_are_refused_with_what_is_wanted(names: list[str]) -> None:
    error = await refusal(dict.fromkeys(names, b""))
    assert type(error) is CheckpointError
    assert "wanted a .gguf file, or config.json with model.safetensors" in error.message
    assert all(name in error.message for name in names)


@pytest.mark.parametrize("second", ["b.GGUF", "model.safetensors"])
async def test_two_models_are_refused(second: str) -> None:
    error = await refusal({"a.gguf": b"", second: b"", "config.json": b""})
    assert type(error) is CheckpointError
    assert f"several models (a.gguf, {second})" in error.message


@pytest.mark.parametrize("architecture", ["llama", "gemma3n", ""])
async def test_an_unknown_gguf_architecture_is_named(architecture: str) -> None:
    file = gguf_file([text_key("general.architecture", architecture)])
    error = await refusal({"m.gguf": file})
    assert type(error) is UnsupportedModelError
    assert f"architecture {architecture!r}; Leadout runs gemma3" in error.message


async def test_a_gguf_without_an_architecture_is_unsupported() -> None:
    for keys in ([], [u32_key("general.architecture", 3)]):
        assert type(await refusal({"m.gguf": gguf_file(keys)})) is UnsupportedModelError


async def test_an_unknown_model_type_is_named() -> None:
    config = json.dumps({"model_type": "qwen3"}).encode()
    error = await refusal({"config.json": config, "model.safetensors": b""})
    assert type(error) is UnsupportedModelError
    assert "'qwen3'; Leadout runs gemma3_text, gemma3" in error.message


GEMMA3 = text_key("general.architecture", "gemma3")
SIZES = [
    GEMMA3,
    u32_key("gemma3.block_count", 1),
    u32_key("gemma3.embedding_length", 1),
    u32_key("gemma3.feed_forward_length", 1),
    u32_key("gemma3.attention.head_count", 1),
]


async def test_a_gguf_without_an_embedding_is_a_tensor_error() -> None:
    error = await refusal({"m.gguf": gguf_file([GEMMA3])})
    assert type(error) is TensorError
    assert "'token_embd.weight'" in error.message


async def test_a_gguf_tensor_of_a_type_that_is_not_read_is_named() -> None:
    file = gguf_file(SIZES, [tensor("token_embd.weight", [256, 1], 20)], bytes(144))
    error = await refusal({"m.gguf": file})
    assert type(error) is UnsupportedFormatError
    assert "'model.embed_tokens.weight' is stored as IQ4_NL" in error.message
    assert "Q4_K" in error.message


async def test_a_safetensors_dtype_that_is_not_read_is_named(folder: Path) -> None:
    header = {"model.norm.weight": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}
    text = json.dumps(header).encode()
    with pytest.raises(UnsupportedFormatError, match=r"'model\.norm\.weight' is stored as F64"):
        await open_folder(folder, model__safetensors=struct.pack("<Q", len(text)) + text + bytes(8))


async def test_two_names_for_one_tensor_are_a_tensor_error(folder: Path) -> None:
    norm = WEIGHTS["model.norm.weight"]
    twice = safetensors_bytes({"model.norm.weight": norm, "model.language_model.norm.weight": norm})
    with pytest.raises(TensorError, match=r"'model\.norm\.weight' occurs twice"):
        await open_folder(folder, model__safetensors=twice)


@pytest.mark.parametrize(
    "name", ["config__json", "generation_config__json", "tokenizer_config__json"]
)
@pytest.mark.parametrize("content", ["", "[]", "{", "\x00", '{"a": 1, "a": 2}'])
async def test_a_broken_json_file_is_named(folder: Path, name: str, content: str) -> None:
    with pytest.raises(CheckpointError, match=name.replace("__", r"\.")):
        await open_folder(folder, **{name: content})


async def test_an_enormous_json_file_is_not_read(folder: Path) -> None:
    class Enormous(MemorySource):
        async def size(self) -> int:
            return MAX_JSON_BYTES + 1

        async def read(self, offset: int, length: int) -> bytes:
            raise AssertionError("it was read")

    files = sources(folder) | {"config.json": Enormous("config.json", b"")}
    with pytest.raises(CheckpointError, match=r"config\.json has 16,777,217 bytes"):
        await open_checkpoint(files)


@pytest.mark.parametrize("template", [3, {"a": "b"}, [{"name": "default", "template": 3}]])
async def test_a_chat_template_that_is_no_text_is_refused(folder: Path, template: Any) -> None:
    with pytest.raises(CheckpointError, match="chat_template"):
        await open_folder(folder, tokenizer_config__json={"chat_template": template})


@pytest.mark.parametrize("value", ["1", -1, 1.5, True, [1, None], [[1]], 1 << 31, {}])
async def test_a_token_id_that_is_none_is_refused(folder: Path, value: Any) -> None:
    with pytest.raises(CheckpointError, match="wanted a token id"):
        await open_folder(folder, generation_config__json={"eos_token_id": value})


async def test_a_gguf_token_id_that_is_none_is_refused() -> None:
    eos = key("tokenizer.ggml.eos_token_id", FLOAT32, struct.pack("<f", 1.0))
    file = gguf_file([*SIZES, eos], [tensor("token_embd.weight", [32, 1])], bytes(128))
    error = await refusal({"m.gguf": file})
    assert "m.gguf: tokenizer.ggml.eos_token_id is 1.0; wanted a token id" in error.message


async def test_more_suppressed_tokens_than_any_vocabulary_has_are_refused() -> None:
    count = 1_000_001
    ids = array_key("tokenizer.ggml.suppress_tokens", 0, count, bytes(count))
    file = gguf_file([*SIZES, ids], [tensor("token_embd.weight", [32, 1])], bytes(128))
    error = await refusal({"m.gguf": file})
    assert error.message.startswith("suppress_tokens has 1,000,001 ids, at most 1,000,000 are")


# ---- tensors against a configuration ------------------------------------------------------


async def test_expected_tensors_pass_and_extra_ones_are_ignored(folder: Path) -> None:
    checkpoint = await open_folder(folder)
    check_tensors(checkpoint, {name: values.shape for name, values in WEIGHTS.items()})
    check_tensors(checkpoint, {"model.norm.weight": [64]})


async def test_missing_tensors_are_named_and_counted(folder: Path) -> None:
    checkpoint = await open_folder(folder)
    expected = dict.fromkeys(["model.norm.weight", "a.weight", "b.weight", "c.weight"], (64,))
    with pytest.raises(TensorError, match=r"has no tensor 'a\.weight' \(nor 2 others\)") as caught:
        check_tensors(checkpoint, expected)
    assert caught.value.detail["missing"] == ["a.weight", "b.weight", "c.weight"]


async def test_a_wrong_shape_is_named_with_both_shapes(folder: Path) -> None:
    checkpoint = await open_folder(folder)
    name = "model.embed_tokens.weight"
    with pytest.raises(
        TensorError, match=r"\[512, 64\], but the configuration calls for \[64, 512\]"
    ):
        check_tensors(checkpoint, {name: (64, 512)})


# ---- JSON ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a":' * MAX_DEPTH + b"0" + b"}" * MAX_DEPTH, None),
        (b'{"a":' * (MAX_DEPTH + 1) + b"0" + b"}" * (MAX_DEPTH + 1), "deeper than 64 levels"),
        (b'{"a": ' + b"[" * 10_000, "deeper than 64 levels"),
        (b'{"a": "' + b"[" * 10_000 + b'"}', None),
        (b'{"a\\\\": "\\"' + b"[" * 10_000 + b'\\\\"}', None),
        (b'{"a\\\\\\"": 0, "b": ' + b"[" * 10_000 + b'"', "deeper than 64 levels"),
        ('{"a": "∢", "b": '.encode("utf-16-le") + "[".encode("utf-16-le") * 9_000, "levels"),
        (b'{"a": [' + b"{}," * MAX_VALUES + b"0]}", "values and keys, at most 300,000"),
        (b"{" + b'"a":""' * MAX_VALUES + b"}", "values and keys, at most 300,000"),
    ],
)
def test_json_is_bounded_before_it_is_parsed(text: bytes, reason: str | None) -> None:
    if reason is None:
        assert parse_json_object(text, "x.json")
        assert parse_json_object(text.decode(), "x.json")
        return
    with pytest.raises(CheckpointError, match=reason):
        parse_json_object(text, "x.json")
