"""The test checkpoints themselves: other people's readers find in them what was meant."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import safetensors.numpy
from gguf.quants import dequantize

import reference_gemma3
from k_quants import quantize_k
from raw_blocks import WHOLE_FORMATS
from tiny_checkpoints import (
    BYTE,
    CONTROL,
    NORMAL,
    gguf_name,
    random_gemma3_weights,
    tiny_gemma3_config,
    tiny_vocabulary,
    write_gguf,
    write_safetensors,
)

CONFIG = tiny_gemma3_config()
WEIGHTS = random_gemma3_weights(CONFIG)

#: Wide enough for blocks of 256 columns.
WIDE = tiny_gemma3_config(
    num_hidden_layers=1, hidden_size=256, intermediate_size=256, num_attention_heads=8
)

#: Largest error, as a share of the largest value: half a step of the format, and what comes from
#: scales that are stored with fewer bits. Seen on 512 rows of normal values: 0.098, 0.060, 0.047,
#: 0.029, 0.0041, 0.060, 0.029, 0.016, 0.0005, 0.0037.
BOUNDS = {
    "F32": 1e-6,
    "F16": 1e-3,
    "BF16": 6e-3,
    "Q4_0": 0.13,
    "Q4_1": 0.08,
    "Q5_0": 0.07,
    "Q5_1": 0.04,
    "Q8_0": 0.008,
    "Q4_K": 0.08,
    "Q5_K": 0.04,
    "Q6_K": 0.025,
}


def test_logits_of_random_weights_are_lively() -> None:
    """They spread, no token wins by far, and greedy text does not repeat one token for ever."""
    for seed in range(3):
        weights = random_gemma3_weights(CONFIG, seed)
        ids = [2, 300, 310, 400]
        for _ in range(16):
            logits = reference_gemma3.forward(CONFIG, weights, ids)[-1]
            assert 2 < logits.std() < 5
            ids.append(int(logits.argmax()))
        assert len(set(ids[4:])) >= 5


def test_the_same_seed_gives_the_same_weights_and_another_gives_others() -> None:
    again, other = random_gemma3_weights(CONFIG), random_gemma3_weights(CONFIG, seed=1)
    for name, values in WEIGHTS.items():
        assert np.array_equal(values, again[name])
        assert not np.array_equal(values, other[name])


@pytest.mark.parametrize("dtype", ["F32", "F16"])
def test_the_safetensors_package_reads_what_was_written(tmp_path: Path, dtype: str) -> None:
    write_safetensors(tmp_path, CONFIG, WEIGHTS, dtype)
    found = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    assert set(found) == set(WEIGHTS)
    kind = {"F32": np.float32, "F16": np.float16}[dtype]
    for name, values in WEIGHTS.items():
        assert np.array_equal(found[name], values.astype(kind))
    assert json.loads((tmp_path / "config.json").read_text()) == CONFIG


def test_bf16_is_rounded_to_the_nearest_value(tmp_path: Path) -> None:
    write_safetensors(tmp_path, CONFIG, WEIGHTS, "BF16")
    _, found = reference_gemma3.safetensors_weights(tmp_path)
    for name, values in WEIGHTS.items():
        assert np.all(np.abs(found[name] - values) <= np.abs(values) * 2.0**-8)


def test_shards_hold_every_tensor_once(tmp_path: Path) -> None:
    write_safetensors(tmp_path, CONFIG, WEIGHTS, shards=3)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(WEIGHTS)
    assert not (tmp_path / "model.safetensors").exists()
    for shard in set(index["weight_map"].values()):
        names = set(safetensors.numpy.load_file(tmp_path / shard))
        assert names == {name for name, file in index["weight_map"].items() if file == shard}


@pytest.mark.parametrize("kind", WHOLE_FORMATS)
def test_the_gguf_package_dequantises_what_was_written(tmp_path: Path, kind: str) -> None:
    weights = random_gemma3_weights(WIDE)
    path = write_gguf(tmp_path / "tiny.gguf", WIDE, weights, kind)
    config, found = reference_gemma3.gguf_weights(path)
    assert set(found) == set(weights)
    for name, values in weights.items():
        assert found[name].shape == values.shape
        bound = 1e-6 if values.ndim == 1 else BOUNDS[kind]
        assert np.abs(found[name] - values).max() <= bound * np.abs(values).max(), name
    for field in ("hidden_size", "head_dim", "layer_types", "rope_parameters", "sliding_window"):
        assert config[field] == WIDE[field]


def test_formats_can_differ_between_matrices_and_vectors_stay_f32(tmp_path: Path) -> None:
    path = write_gguf(
        tmp_path / "tiny.gguf", CONFIG, WEIGHTS, lambda name: "Q8_0" if "mlp" in name else "F16"
    )
    for tensor in gguf.GGUFReader(path).tensors:
        matrix = "Q8_0" if "ffn" in tensor.name else "F16"
        assert tensor.tensor_type.name == ("F32" if "norm" in tensor.name else matrix)


def test_gguf_names_are_those_of_the_gguf_package() -> None:
    mapping = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA3, CONFIG["num_hidden_layers"])
    for name in WEIGHTS:
        assert gguf_name(name) == mapping.get_name(name, try_suffixes=(".weight",))


def test_linear_rope_scaling_is_written(tmp_path: Path) -> None:
    rope = {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    }
    config = tiny_gemma3_config(rope_parameters=rope)
    path = write_gguf(tmp_path / "tiny.gguf", config, WEIGHTS)
    assert reference_gemma3.gguf_weights(path)[0]["rope_parameters"] == rope


def test_layer_types_that_gguf_cannot_say_are_refused(tmp_path: Path) -> None:
    kinds = ["full_attention", "sliding_attention", "sliding_attention"] * 2
    with pytest.raises(ValueError, match="irregular"):
        write_gguf(tmp_path / "tiny.gguf", tiny_gemma3_config(layer_types=kinds), WEIGHTS)


@pytest.mark.parametrize("kind", ["Q4_K", "Q5_K", "Q6_K"])
@pytest.mark.parametrize("shape", ["zero", "constant", "positive", "tiny", "outlier"])
def test_k_quantisers_hold_on_edge_cases(kind: str, shape: str) -> None:
    rng = np.random.default_rng(0)
    values = {
        "zero": np.zeros((2, 256)),
        "constant": np.full((2, 256), -3.0),
        "positive": rng.uniform(5, 6, (2, 256)),
        "tiny": rng.normal(0, 1e-3, (2, 256)),
        "outlier": np.where(
            np.arange(512).reshape(2, 256) == 77, 100.0, rng.normal(0, 1, (2, 256))
        ),
    }[shape].astype(np.float32)
    packed = quantize_k(values, kind)
    found = dequantize(packed, gguf.GGMLQuantizationType[kind])
    assert np.abs(found - values).max() <= BOUNDS[kind] * np.abs(values).max()


@pytest.mark.parametrize("size", [384, 512, 1024])
def test_the_vocabulary_has_every_kind_of_token_once(size: int) -> None:
    tokens, scores, types = tiny_vocabulary(size)
    assert len(tokens) == len(scores) == len(types) == size == len(set(tokens))
    assert tokens[:5] == ["<pad>", "<eos>", "<bos>", "<unk>", "<0x00>"]
    assert [tokens[4 + byte] for byte in range(256)] == [f"<0x{byte:02X}>" for byte in range(256)]
    assert {types[4 + byte] for byte in range(256)} == {BYTE}
    assert types[tokens.index("<end_of_turn>")] == CONTROL


def test_every_piece_can_be_merged_from_characters() -> None:
    tokens, scores, types = tiny_vocabulary()
    pieces = {t: s for t, s, kind in zip(tokens, scores, types, strict=True) if kind == NORMAL}
    reachable = {piece for piece in pieces if len(piece) == 1}
    for piece in sorted(pieces, key=lambda piece: -pieces[piece]):
        if len(piece) == 1:
            continue
        splits = ((piece[:i], piece[i:]) for i in range(1, len(piece)))
        assert any(left in reachable and right in reachable for left, right in splits), piece
        reachable.add(piece)
    assert set(pieces.values()) == {-float(i) for i in range(len(pieces))}
