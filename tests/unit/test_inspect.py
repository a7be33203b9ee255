"""`leadout inspect` of Gemma 4: what a step reads, and what its KV cache takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fake_hub import REPO, FakeHub, serve_hub
from gemma4_gguf import write_gemma4_gguf
from leadout.checkpoint.synthetic import synthetic_checkpoint
from leadout.config import FULL, SLIDING, read_config
from leadout_build import cli
from leadout_build.bench.step_reads import kv_bytes_per_token, kv_kinds, step_reads
from leadout_build.cli.headers import open_pair
from leadout_build.cli.inspect import Inspection, describe, inspect_model
from leadout_build.store.known_models import known_models
from leadout_build.store.model_store import Store
from raw_headers import gguf_file, text_key
from tiny_gemma4 import Weights, safetensors_bytes, tiny_target, tiny_weights

VECTORS = Path(__file__).parents[1] / "vectors" / "gemma4-tiny"

#: In GB: the published shapes in 4.5 bits a weight, the head in Q6_K (8.625 bits on a device),
#: per_layer_model_projection in BF16 and the router in F32.
STEP_GB = {"e2b": 1.511, "e4b": 3.000, "12b": 7.220, "26b-a4b": 2.570, "31b": 17.999}

#: f16, per token: all layers, and full ones alone.
KV_BYTES = {
    "e2b": (12_288 + 6_144, 6_144),
    "e4b": (40_960 + 16_384, 16_384),
    "12b": (327_680 + 16_384, 16_384),
    "26b-a4b": (204_800 + 20_480, 20_480),
    "31b": (819_200 + 81_920, 81_920),
}


def inspect(name: str) -> Inspection:
    return inspect_model(*open_pair(Store(), str(VECTORS / name)))


@pytest.mark.parametrize("shape", STEP_GB)
def test_a_step_of_a_real_shape_reads_what_its_weights_are(shape: str) -> None:
    checkpoint = synthetic_checkpoint(shape, "target")
    reads = step_reads(checkpoint, read_config(checkpoint))
    assert reads.total_bytes / 1e9 == pytest.approx(STEP_GB[shape], abs=0.001)
    embedding = checkpoint.tensors["model.embed_tokens.weight"]
    assert reads.head_bytes == embedding.num_elements * 69 // 64  # 34.5 bytes for 32


@pytest.mark.parametrize("shape", KV_BYTES)
def test_only_layers_that_write_a_cache_take_memory_for_it(shape: str) -> None:
    kinds = kv_kinds(read_config(synthetic_checkpoint(shape, "target")))
    every, full = KV_BYTES[shape]
    assert kv_bytes_per_token(kinds)["f16"] == every
    assert kv_bytes_per_token(kinds, is_past_window=True)["f16"] == full
    assert kv_kinds(read_config(synthetic_checkpoint(shape, "drafter"))) == []


def test_a_drafter_with_centroids_reads_a_part_of_its_head() -> None:
    for shape, rows in (("e2b", 32 * 128), ("12b", 262_144)):
        checkpoint = synthetic_checkpoint(shape, "drafter")
        config = read_config(checkpoint)
        hidden = checkpoint.tensors["model.norm.weight"].shape[0]
        row = hidden * 17 // 16  # Q8_0: 34 bytes for 32
        centroids = 2048 * hidden * 18 // 32 + 4 * rows if shape == "e2b" else 0
        reads = step_reads(checkpoint, config)
        assert reads.head_bytes == rows * row + centroids
        assert reads.total_bytes > reads.head_bytes


def test_shared_layers_and_the_drafter_are_shown() -> None:
    found = inspect("e2b")
    config = json.loads((VECTORS / "e2b/config.json").read_text())["text_config"]
    assert found.num_layers == config["num_hidden_layers"]
    assert found.num_shared_layers == config["num_kv_shared_layers"] > 0
    assert found.kv_layers is not None
    own = sum(kind.num_layers for kind in found.kv_layers)
    assert own == found.num_layers - found.num_shared_layers
    assert [kind.layer_type for kind in found.kv_layers] == [SLIDING, FULL]
    assert found.drafter is not None
    drafter = inspect("e2b-assistant")
    assert found.drafter.name == "e2b-assistant"
    assert found.drafter.draft_step_read_bytes == drafter.decode_step_read_bytes
    assert found.drafter.head_read_bytes == drafter.head_read_bytes
    report = describe(found)
    assert f"the last {found.num_shared_layers} read the KV caches of earlier ones" in report
    assert "e2b-assistant: " in report
    assert "a draft step reads" in report


def test_of_the_per_layer_embedding_one_row_is_read_and_it_is_no_head() -> None:
    found = inspect("e2b")
    tensors = {kind.name: kind for kind in found.tensors}
    table, embedding = (
        tensors[f"model.{name}.weight"] for name in ("embed_tokens_per_layer", "embed_tokens")
    )
    rows = table.device_bytes // table.shape[0] + embedding.device_bytes // embedding.shape[0]
    assert found.head_read_bytes == embedding.device_bytes
    assert found.decode_step_read_bytes == found.device_bytes - table.device_bytes + rows


def test_of_experts_those_of_one_token_are_read() -> None:
    found = inspect("26b-a4b")
    assert (found.num_experts, found.top_k_experts) == (8, 4)
    experts = sum(kind.device_bytes for kind in found.tensors if ".experts." in kind.name)
    (embedding,) = (k for k in found.tensors if k.name == "model.embed_tokens.weight")
    row = embedding.device_bytes // embedding.shape[0]
    assert found.decode_step_read_bytes == found.device_bytes - experts // 2 + row
    assert "of 8 experts only those of one token" in describe(found)


def test_a_drafter_alone_has_no_cache_and_its_step_is_a_draft() -> None:
    found = inspect("12b-assistant")
    assert found.kv_bytes_per_token == {"f32": 0, "f16": 0}
    assert found.drafter is None
    report = describe(found)
    assert "all read the KV cache of the target" in report
    assert "a draft step reads" in report
    assert "a decode step reads" not in report


def test_projections_that_a_shared_layer_does_not_need_are_not_counted(tmp_path: Path) -> None:
    config = tiny_target(num_hidden_layers=4, num_kv_shared_layers=2)
    weights = tiny_weights(config)
    unneeded = {
        f"model.layers.{i}.self_attn.{part}.weight"
        for i in (2, 3)
        for part in ("k_proj", "v_proj", "k_norm")
    } & set(weights)
    found = []
    for name, kept in (("all", weights), ("needed", _without(weights, unneeded))):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "model.safetensors").write_bytes(safetensors_bytes(kept))
        found.append(inspect_model(*open_pair(Store(), str(folder))))
    every, needed = found
    extra_bytes = sum(weights[name].nbytes for name in unneeded)
    assert every.stored_bytes == needed.stored_bytes + extra_bytes > needed.stored_bytes
    assert every.device_bytes == needed.device_bytes
    assert every.decode_step_read_bytes == needed.decode_step_read_bytes
    # All is in float32 here, so a device holds what the file does, without what nobody needs.
    assert needed.device_bytes == needed.stored_bytes


#: Behind the tensors, so that a file is longer than the piece that its header is read in.
PADDING = bytes(2 << 20)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that has a target with a drafter beside it."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    files = {}
    for name, source in (("tiny-Q8_0", "trained-e2b"), ("mtp-tiny", "trained-e2b-assistant")):
        path = write_gemma4_gguf(tmp_path / f"{name}.gguf", VECTORS / source, "Q8_0")
        files[path.name] = path.read_bytes() + PADDING
        path.write_bytes(files[path.name])
    hub = FakeHub(files)
    with serve_hub(hub):
        yield hub


def test_a_model_at_the_hub_is_inspected_by_its_headers(hub: FakeHub, tmp_path: Path) -> None:
    known = known_models()[0]
    hub.repos[known.hub.repo] = hub.files
    store = Store(tmp_path / "home")
    here = inspect_model(*open_pair(store, str(tmp_path / "tiny-Q8_0.gguf")))
    assert here.drafter is not None
    for model, drafter in (
        (f"hf:{REPO}@v1:Q8_0", f"hf:{REPO}@v1:mtp-tiny.gguf"),
        (REPO, f"hf:{REPO}:mtp-tiny.gguf"),
        (known.name, f"hf:{known.hub.repo}:mtp-tiny.gguf"),
    ):
        found = inspect_model(*open_pair(store, model, hub.endpoint))
        assert found == replace(here, model=model, drafter=replace(here.drafter, name=drafter))
    # The first piece of each file, where its header is; and nothing is written.
    assert hub.requests == [(name, "bytes=0-1048575") for name in hub.files] * 3
    assert not store.models_folder.exists()


def test_what_cannot_be_inspected_at_the_hub_is_said_in_a_line(
    hub: FakeHub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
        for model, says in (
            ("hf:nonsense", "not of the form hf:"),
            ("someone/else", "has no model"),
            (f"{REPO}:Q5_0", 'no file "Q5_0"'),
        ):
            assert cli.main(["inspect", model]) != 0
            line = capsys.readouterr().err
            assert says in line
            assert line.count("\n") == 1
    hub.files["mtp-tiny.gguf"] = gguf_file([text_key("general.architecture", "gemma4_mtp")])
    _, drafter = open_pair(Store(tmp_path / "home"), REPO, hub.endpoint)
    assert drafter is None
    assert "mtp-tiny.gguf, is left out: " in capsys.readouterr().err


def _without(weights: Weights, names: set[str]) -> Weights:
    return {name: values for name, values in weights.items() if name not in names}


def test_json_leaves_out_what_a_model_has_not(capsys: pytest.CaptureFixture[str]) -> None:
    gemma3 = VECTORS.parent / "gemma3-tiny" / "multi-query"
    of_gemma4 = {"head_read_bytes", "num_shared_layers", "kv_layers", "num_experts", "drafter"}
    for path, wanted in ((gemma3, set()), (VECTORS / "12b", of_gemma4)):
        assert cli.main(["inspect", str(path), "--json"]) == 0
        assert set(json.loads(capsys.readouterr().out)) & of_gemma4 == wanted


def test_several_requests_at_once_take_a_cache_each(capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(VECTORS / "e2b")
    found = {}
    for parallel in (1, 4):
        assert cli.main(["inspect", folder, "--json", "--parallel", str(parallel)]) == 0
        found[parallel] = json.loads(capsys.readouterr().out)["forecast"]
        assert found[parallel]["parallel"] == parallel
    alone, together = (found[parallel]["memory"] for parallel in (1, 4))
    assert together["kv_cache_bytes"] > 3 * alone["kv_cache_bytes"]
    assert together["weights_bytes"] == alone["weights_bytes"]
    assert cli.main(["inspect", folder, "--parallel", "4"]) == 0
    assert "for each of 4 requests at once: " in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["inspect", folder, "--parallel", "3"])
