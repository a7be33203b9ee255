"""The oracle is checked against transformers' own logits before anything is checked against it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reference_gemma3
import tiny_checkpoints

VECTORS = Path(__file__).parents[1] / "vectors"
TINY = VECTORS / "gemma3-tiny"
MANIFEST = json.loads((TINY / "manifest.json").read_text())
NAMES = sorted(MANIFEST["checkpoints"])

# Largest difference of a logit, relative to the largest logit. Seen: 2.8e-6.
RELATIVE_TOLERANCE = 1e-5


def relative_error(logits: np.ndarray, golden: np.ndarray) -> float:
    return float(np.abs(logits - golden).max() / np.abs(golden).max())


@pytest.mark.parametrize("name", NAMES)
def test_files_are_those_of_the_manifest(name: str) -> None:
    for file_name, entry in MANIFEST["checkpoints"][name]["files"].items():
        data = (TINY / name / file_name).read_bytes()
        assert len(data) == entry["bytes"]
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]


@pytest.mark.parametrize("name", NAMES)
def test_logits_equal_those_of_transformers(name: str) -> None:
    config, weights = reference_gemma3.safetensors_weights(TINY / name)
    golden = np.load(TINY / name / "golden.npz")
    ids = [*golden["prompt_ids"].tolist(), *golden["generated_ids"].tolist()]

    logits = reference_gemma3.forward(config, weights, ids)

    assert logits.dtype == np.float32
    assert relative_error(logits, golden["logits"]) < RELATIVE_TOLERANCE
    num_generated = len(golden["generated_ids"])
    choices = logits[-num_generated - 1 : -1].argmax(axis=-1)
    assert choices.tolist() == golden["generated_ids"].tolist()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda c: {"sliding_window": c["sliding_window"] + 1}, id="window"),
        pytest.param(lambda c: {"layer_types": c["layer_types"][::-1]}, id="layer_types"),
        pytest.param(lambda c: {"query_pre_attn_scalar": 48}, id="query_pre_attn_scalar"),
        pytest.param(
            lambda c: {
                "rope_parameters": {
                    kind: {"rope_type": "default", "rope_theta": 10_000.0}
                    for kind in ("sliding_attention", "full_attention")
                }
            },
            id="rope_theta",
        ),
    ],
)
def test_golden_logits_tell_a_wrong_configuration_apart(
    name: str, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    config, weights = reference_gemma3.safetensors_weights(TINY / name)
    golden = np.load(TINY / name / "golden.npz")
    wrong = {**config, **change(config)}
    logits = reference_gemma3.forward(wrong, weights, golden["prompt_ids"].tolist())
    assert relative_error(logits, golden["logits"][: len(logits)]) > 1e-3


def test_blocks_of_rows_do_not_change_a_logit(monkeypatch: pytest.MonkeyPatch) -> None:
    config, weights = reference_gemma3.safetensors_weights(TINY / "multi-query")
    ids = np.load(TINY / "multi-query" / "golden.npz")["prompt_ids"].tolist()
    whole = reference_gemma3.forward(config, weights, ids)
    monkeypatch.setattr(reference_gemma3, "ROWS_PER_BLOCK", 7)
    assert relative_error(reference_gemma3.forward(config, weights, ids), whole) < 1e-5
    blocks = list(reference_gemma3.forward_blocks(config, weights, ids, rows=10))
    assert [len(block) for block in blocks] == [10, 10, 10, 10, 5]
    assert relative_error(np.concatenate(blocks), whole) < 1e-5


def test_an_unknown_rope_type_is_refused() -> None:
    config, weights = reference_gemma3.safetensors_weights(TINY / "multi-query")
    config["rope_parameters"]["full_attention"]["rope_type"] = "yarn"
    with pytest.raises(ValueError, match="yarn"):
        reference_gemma3.forward(config, weights, [2, 3])


@pytest.mark.parametrize("name", ["multi-query", "grouped-query"])
def test_a_gguf_of_the_same_weights_gives_the_same_logits(name: str, tmp_path: Path) -> None:
    config, weights = reference_gemma3.safetensors_weights(TINY / name)
    golden = np.load(TINY / name / "golden.npz")
    tiny_checkpoints.write_gguf(tmp_path / "model.gguf", config, weights)

    read_config, read_weights = reference_gemma3.gguf_weights(tmp_path / "model.gguf")

    for key, value in read_config.items():
        wanted = config[key]
        assert value == (pytest.approx(wanted) if key == "rms_norm_eps" else wanted)
    assert read_weights.keys() == weights.keys()
    logits = reference_gemma3.forward(read_config, read_weights, golden["prompt_ids"].tolist())
    assert relative_error(logits, golden["logits"][: len(logits)]) < RELATIVE_TOLERANCE


def test_kl_divergence_is_that_of_two_known_distributions() -> None:
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])
    expected = 0.5 * np.log(2) + 0.25 * np.log(0.5)
    rows = reference_gemma3.kl_divergence([np.log(p), np.log(p) + 7], [np.log(q), np.log(p)])
    assert rows.dtype == np.float64
    np.testing.assert_allclose(rows, [expected, 0.0], atol=1e-15)


def test_kl_divergence_survives_large_logits() -> None:
    rows = reference_gemma3.kl_divergence([[1000.0, 0.0]], [[0.0, 0.0]])
    np.testing.assert_allclose(rows, [np.log(2)])


def test_top_two_gives_ids_and_margin() -> None:
    ids, margins = reference_gemma3.top_two([[1.0, 4.0, 3.5], [2.0, 2.0, 0.0]])
    assert ids.tolist() == [[1, 2], [0, 1]]
    np.testing.assert_allclose(margins, [0.5, 0.0])
