"""Every family member's features against transformers, on the NumPy device."""

from pathlib import Path

import numpy as np
import pytest

from engine_cases import (
    RELATIVE_TOLERANCE,
    decoded,
    folder_files,
    generated,
    load,
    relative_error,
    scored,
    verified,
)
from leadout import ops
from leadout.devices.numpy import NumpyDevice

TINY = Path(__file__).parents[1] / "vectors" / "gemma4-tiny"
#: With keys and values stored as halves; the largest seen is 6.3e-3, behind the experts' router.
F16_TOLERANCE = 1e-2

MEMBERS = ["e2b", "e4b", "12b", "26b-a4b", "31b"]


@pytest.fixture(params=MEMBERS)
def member(request):
    """A family member's name and golden vectors."""
    with np.load(TINY / request.param / "golden.npz") as golden:
        yield request.param, {name: golden[name] for name in golden.files}


async def loaded(name: str, **options):
    return await load(NumpyDevice(), folder_files(TINY / name), **options)


async def test_scoring_gives_the_logits_and_hidden_states_of_transformers(member) -> None:
    name, golden = member
    engine = await loaded(name)
    ids = golden["ids"].tolist()
    logits = await scored(engine, ids)
    assert relative_error(logits, golden["logits"]) < RELATIVE_TOLERANCE
    rows = engine.decoder.passes.score_rows
    wanted = golden["hidden_states"][-rows:]
    data = await engine.device.read("normed", 0, wanted.nbytes)
    hidden = np.frombuffer(data, np.float32).reshape(wanted.shape)
    assert relative_error(hidden, wanted) < RELATIVE_TOLERANCE


async def test_a_prompt_of_any_length_ends_in_the_logits_of_transformers(member) -> None:
    """Prefill runs the last row alone from where no layer writes keys and values any more."""
    name, golden = member
    engine = await loaded(name)
    ids = golden["ids"].tolist()
    for length in (1, 17, 33, 64, 96):
        _, logits = await decoded(engine, ids[:length], 1)
        assert relative_error(logits, golden["logits"][length - 1 : length]) < RELATIVE_TOLERANCE


async def test_few_rows_behind_a_prompt_give_the_logits_of_transformers(member) -> None:
    name, golden = member
    engine = await loaded(name, drafter="ngram", max_draft_tokens=4)
    ids = golden["ids"].tolist()
    for rows in (1, 2, 4, 8):
        logits = await verified(engine, ids[:60], ids[60 : 60 + rows])
        assert relative_error(logits, golden["logits"][60 : 60 + rows]) < RELATIVE_TOLERANCE


async def test_greedy_ids_are_those_of_transformers_past_the_window(member) -> None:
    name, golden = member
    engine = await loaded(name)
    ids = await generated(engine, golden["prompt_ids"].tolist(), max_tokens=24)
    assert ids == golden["generated_ids"].tolist()


async def test_a_cache_of_halves_stays_close(member) -> None:
    name, golden = member
    engine = await loaded(name, kv_dtype="f16")
    logits = await scored(engine, golden["ids"].tolist())
    assert relative_error(logits, golden["logits"]) < F16_TOLERANCE


@pytest.mark.parametrize("name", ["e2b", "26b-a4b"])
async def test_small_bindings_split_tensors_without_changing_the_result(name, monkeypatch) -> None:
    """Embeddings, the per-layer table and experts lie in several shards."""
    # Matrices alone are meant.
    monkeypatch.setattr("leadout.planning.check_caches", lambda *_: None)
    device = NumpyDevice(max_binding_bytes=8192)
    engine = await load(device, folder_files(TINY / name))
    with np.load(TINY / name / "golden.npz") as golden:
        logits = await scored(engine, golden["ids"].tolist())
        assert relative_error(logits, golden["logits"]) < RELATIVE_TOLERANCE
        ids = await generated(engine, golden["prompt_ids"].tolist(), max_tokens=8)
        assert ids == golden["generated_ids"][:8].tolist()


async def test_the_router_chooses_the_experts_of_transformers() -> None:
    device = NumpyDevice()
    engine = await load(device, folder_files(TINY / "26b-a4b"))
    route, calls = device._meanings[ops.Route], []

    def recorded(op, memory) -> None:
        route(op, memory)
        calls.append((memory.words(op.chosen).copy(), memory.floats(op.weights).copy()))

    device._meanings[ops.Route] = recorded
    with np.load(TINY / "26b-a4b" / "golden.npz") as golden:
        wanted_ids, wanted_weights = golden["expert_ids"], golden["expert_weights"]
        await scored(engine, golden["ids"].tolist())
    layers = len(wanted_ids)
    rows = engine.decoder.passes.score_rows
    assert len(calls) == layers * wanted_ids.shape[1] // rows
    for i, (ids, weights) in enumerate(calls):
        layer, first = i % layers, i // layers * rows
        assert np.array_equal(ids, wanted_ids[layer, first : first + rows])
        error = np.abs(weights - wanted_weights[layer, first : first + rows]).max()
        assert error < RELATIVE_TOLERANCE


async def test_of_a_prompt_only_the_last_row_goes_through_layers_without_their_own_cache() -> None:
    engine = await loaded("e2b")
    config = engine.model.config
    first_shared = config.num_hidden_layers - config.num_kv_shared_layers
    assert 0 < first_shared < config.num_hidden_layers
    passes = engine.decoder.passes

    def layers_of(program) -> set[int]:
        labels = [op.label for op in program.ops]
        return {int(label.split(".")[1]) for label in labels if label.startswith("layers.")}

    for program in passes.prefill.values():
        assert layers_of(program) == set(range(first_shared))
    for program in passes.prefill_last.values():
        assert layers_of(program) == set(range(config.num_hidden_layers))
        for op in program.ops:
            if isinstance(op, ops.Linear) and op.label.startswith(f"layers.{first_shared}."):
                assert op.rows.count == 1, f"{op.label} in {program.name}"


async def test_suppressed_tokens_are_never_chosen(tmp_path) -> None:
    files = folder_files(TINY / "12b")
    plain = await loaded("12b")
    prompt = [2, 9, 11]
    first = (await generated(plain, prompt, max_tokens=1))[0]
    config = tmp_path / "generation_config.json"
    config.write_text(f'{{"eos_token_id": 1, "suppress_tokens": [{first}, 7]}}')
    engine = await load(NumpyDevice(), {**files, config.name: config})
    ids = await generated(engine, prompt, max_tokens=16)
    assert first not in ids
    ids = await generated(engine, prompt, max_tokens=16, temperature=100.0)
    assert not {first, 7} & set(ids)
