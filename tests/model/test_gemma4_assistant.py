"""Drafters against transformers, step by step, and whole assisted generations."""

import json
from pathlib import Path

import numpy as np
import pytest

from engine_cases import RELATIVE_TOLERANCE, folder_files, generated, load, relative_error
from leadout import ops
from leadout.checkpoint.tensors import TOKEN_ORDERING
from leadout.devices.numpy import NumpyDevice
from leadout.errors import CheckpointError, DrafterError
from leadout.sampling import Sampling
from leadout.scheduler import FixedSchedule
from thoroughness import IS_THOROUGH

TINY = Path(__file__).parents[1] / "vectors" / "gemma4-tiny"
MEMBERS = ["e2b", "e4b", "12b", "26b-a4b", "31b"]

#: Of the two windows in the vectors, the one that transformers has.
RULE = "inclusive"


async def pair(name: str, **options):
    folder = TINY / f"{name}-assistant"
    return await load(NumpyDevice(), folder_files(TINY / name), folder_files(folder), **options)


async def cycles(engine, prompt: list[int], max_tokens: int, num_drafts: int) -> list:
    await engine.decoder.prepare(num_drafts)
    run = engine.decoder.run(
        prompt, Sampling(), max_tokens, 1, lambda: False, FixedSchedule(num_drafts)
    )
    return [cycle async for cycle in run]


@pytest.mark.parametrize("name", MEMBERS)
async def test_every_step_gives_the_states_logits_and_drafts_of_transformers(name) -> None:
    engine = await pair(name)
    device = engine.device
    place, steps = device._meanings[ops.PlaceDraft], []

    def recorded(op, memory) -> None:
        place(op, memory)
        buffers = {name: words.copy() for name, words in device._buffers.items()}
        steps.append((memory.words(op.choices).copy(), buffers))

    device._meanings[ops.PlaceDraft] = recorded
    with np.load(TINY / name / "golden.npz") as target:
        ids = target["ids"].tolist()
    with np.load(TINY / f"{name}-assistant" / "golden.npz") as vectors:
        golden = {key.removeprefix(RULE + "_"): vectors[key] for key in vectors.files}
    backbone = engine.model.config.hidden_size
    for i, length in enumerate(golden["lengths"].tolist()):
        steps.clear()
        # The prompt's own token, then one whole cycle.
        found = await cycles(engine, ids[:length], 9, 7)
        assert found[0].tokens == [golden["bonus_ids"][i]]
        assert len(steps) >= 7
        for step, (choices, buffers) in enumerate(steps[:7]):
            where = f"{length} tokens, step {step}"
            state = buffers["draft_next_input"].view(np.float32)[backbone : 2 * backbone]
            wanted = golden["hidden_states"][i, step]
            assert relative_error(state, wanted) < RELATIVE_TOLERANCE, where
            logits = golden["logits"][i, step]
            if "centroids" in golden:
                top = len(golden["centroids"][i, step])
                centroids = buffers["top_centroids"][:top]
                assert centroids.tolist() == golden["centroids"][i, step].tolist(), where
                candidates = buffers["candidate_ids"]
                mine = buffers["candidate_logits"].view(np.float32)
                assert relative_error(mine, logits[candidates]) < RELATIVE_TOLERANCE, where
            else:
                mine = buffers["draft_logits"].view(np.float32)
                assert relative_error(mine, logits) < RELATIVE_TOLERANCE, where
            assert choices[0] == golden["draft_ids"][i, step], where


@pytest.mark.parametrize("name", [*MEMBERS, "trained-e2b", "trained-31b"])
async def test_assisted_generations_have_the_ids_and_the_accepted_counts_of_transformers(
    name,
) -> None:
    engine = await pair(name)
    cases = json.loads((TINY / f"{name}-assistant" / "assisted.json").read_text())
    for case in cases if IS_THOROUGH else cases[-1:]:
        for num_drafts, accepted in case["num_accepted"][RULE].items():
            found = await cycles(engine, case["prompt_ids"], len(case["ids"]), int(num_drafts))
            assert [token for cycle in found for token in cycle.tokens] == case["ids"]
            # The last rounds may draft less than asked for, and end where the request does.
            counts = [len(cycle.tokens) - 1 for cycle in found[1:]]
            assert counts[:-1] == accepted[: len(counts) - 1]


@pytest.mark.parametrize("name", ["e2b", "31b"])
async def test_small_bindings_split_the_drafters_tensors_without_changing_a_draft(
    name, monkeypatch
) -> None:
    # Matrices alone are meant.
    monkeypatch.setattr("leadout.planning.check_caches", lambda *_: None)
    whole = await pair(name)
    folder = TINY / f"{name}-assistant"
    device = NumpyDevice(max_binding_bytes=4096)
    split = await load(device, folder_files(TINY / name), folder_files(folder))
    prompt = [2, 9, 11, 60, 33]
    counts = []
    for engine in (whole, split):
        found = await cycles(engine, prompt, 20, 3)
        counts.append([cycle.tokens for cycle in found])
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("target", "drafter", "message"),
    [
        ("e2b", "e4b-assistant", "vocab_size is 320"),
        ("12b", "e2b-assistant", "backbone_hidden_size is 64"),
        ("e2b", "31b-assistant", "another model"),
        ("e2b", "e2b", "model of its own"),
    ],
)
async def test_a_drafter_that_does_not_fit_is_refused_before_anything_is_loaded(
    target, drafter, message
) -> None:
    device = NumpyDevice()
    with pytest.raises(DrafterError, match=message):
        await load(device, folder_files(TINY / target), folder_files(TINY / drafter))
    assert device.allocated_bytes == 0


async def test_a_drafter_alone_is_no_model() -> None:
    with pytest.raises(DrafterError, match="proposes tokens"):
        await load(NumpyDevice(), folder_files(TINY / "e2b-assistant"))


async def test_mtp_without_a_drafter_says_what_is_missing() -> None:
    with pytest.raises(DrafterError, match="none was given"):
        await load(NumpyDevice(), folder_files(TINY / "e2b"), drafter="mtp")


async def test_a_request_for_another_drafter_than_was_loaded_is_refused() -> None:
    engine = await pair("e2b", max_draft_tokens=2)
    with pytest.raises(DrafterError, match="ngram"):
        await generated(engine, [2, 9], drafter="ngram")
    assert len(await generated(engine, [2, 9], max_tokens=3)) == 3


@pytest.mark.parametrize("missing", ["masked_embedding.centroids.weight", TOKEN_ORDERING])
async def test_a_drafter_whose_centroids_are_missing_is_refused(tmp_path, missing) -> None:
    files = folder_files(TINY / "e2b-assistant")
    data = files["model.safetensors"].read_bytes()
    # Another name for the tensor, as long as its own, so that the file stays as it is otherwise.
    damaged = data.replace(missing.encode(), missing[:-1].encode() + b"X")
    assert damaged != data
    files["model.safetensors"] = tmp_path / "model.safetensors"
    files["model.safetensors"].write_bytes(damaged)
    device = NumpyDevice()
    with pytest.raises(CheckpointError, match=missing[:-1]):
        await load(device, folder_files(TINY / "e2b"), files)
    assert device.allocated_bytes == 0
