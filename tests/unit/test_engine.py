"""The engine's behaviour on the NumPy device; its numbers are in tests/model."""

import asyncio
from pathlib import Path

import pytest

import tiny_checkpoints
from engine_cases import folder_files, generated, load
from leadout.devices.numpy import NumpyDevice
from leadout.engine import LoadOptions
from leadout.errors import (
    ContextLengthError,
    DeviceLimitError,
    RequestError,
    TensorError,
    TokenizerError,
)
from leadout.request import GenerateRequest

TINY = Path(__file__).parents[1] / "vectors" / "gemma3-tiny" / "multi-query"


@pytest.fixture
async def engine():
    engine = await load(NumpyDevice(), folder_files(TINY), context_length=64)
    yield engine
    engine.close()


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"prompt_ids": []}, RequestError, "empty"),
        ({"prompt_ids": [2, 512]}, RequestError, "512"),
        ({"prompt_ids": [-1]}, RequestError, "-1"),
        ({"prompt_ids": [2] * 64}, ContextLengthError, "64 tokens"),
        ({"prompt": "text"}, TokenizerError, "tokenizer"),
        ({"messages": [{"role": "user", "content": "hi"}]}, TokenizerError, "tokenizer"),
        ({"prompt_ids": [2], "stop": ["x"]}, TokenizerError, "tokenizer"),
    ],
)
async def test_a_refused_request_is_named_and_leaves_the_engine_usable(
    engine, fields, error, message
) -> None:
    with pytest.raises(error, match=message):
        await engine.generate(GenerateRequest.from_json(fields))
    assert len(await generated(engine, [2, 9], max_tokens=3)) == 3


async def test_generation_ends_with_length_where_the_context_does(engine) -> None:
    request = GenerateRequest(prompt_ids=(2,) * 60, max_tokens=100, ignore_eos=True)
    result = await engine.generate(request)
    assert len(result.tokens) == 4
    assert result.finish_reason == "length"


async def test_an_end_of_sequence_token_ends_the_text_and_is_not_part_of_it(engine) -> None:
    ids = await generated(engine, [2, 9, 11], max_tokens=10)
    object.__setattr__(engine.checkpoint, "eos_token_ids", (ids[4],))
    first = ids.index(ids[4])
    result = await engine.generate(GenerateRequest(prompt_ids=(2, 9, 11), max_tokens=10))
    assert result.tokens == ids[:first]
    assert result.finish_reason == "stop"


async def test_an_abort_keeps_what_there_is(engine) -> None:
    seen: list[list[int]] = []
    stats = []

    def is_aborted() -> bool:
        stats.append(0)
        return len(stats) > 6

    result = await engine.generate(
        GenerateRequest(prompt_ids=(2, 9), max_tokens=50, ignore_eos=True),
        lambda delta: seen.append(delta.tokens),
        is_aborted,
    )
    assert result.finish_reason == "abort"
    assert 0 < len(result.tokens) < 50


async def test_requests_wait_for_one_another(engine) -> None:
    alone = [await generated(engine, [2, token], max_tokens=8) for token in (9, 10, 11)]
    together = await asyncio.gather(
        *(generated(engine, [2, token], max_tokens=8) for token in (9, 10, 11))
    )
    assert list(together) == alone


async def test_stats_count_what_happened(engine) -> None:
    request = GenerateRequest(prompt_ids=(2, 9), max_tokens=5, ignore_eos=True, run_ahead=2)
    stats = (await engine.generate(request)).stats
    assert (stats.prefill_tokens, stats.decode_tokens, stats.cycles) == (2, 4, 4)
    assert stats.run_ahead == 2
    assert 0 < stats.ttft_ms == stats.prefill_ms
    assert stats.decode_tokens_per_s > 0


@pytest.mark.parametrize(
    ("cycle_ms", "depth"), [(0.5, 5), (2.5, 5), (4.0, 4), (9.0, 3), (10.1, 2), (900.0, 2)]
)
async def test_so_many_cycles_are_queued_as_keep_the_device_busy(
    engine, monkeypatch, cycle_ms, depth
) -> None:
    decoder = engine.decoder
    monkeypatch.setattr(decoder.costs, "ms", [cycle_ms, *decoder.costs.ms[1:]])
    assert decoder.depth(None) == depth
    assert decoder.depth(3) == 3, "as the request says"
    monkeypatch.undo()
    stats = (await engine.generate(GenerateRequest(prompt_ids=(2, 9), max_tokens=5))).stats
    assert stats.run_ahead == decoder.depth(None)


async def test_a_checkpoint_without_a_tensor_leaves_the_device_empty(tmp_path) -> None:
    config = tiny_checkpoints.tiny_gemma3_config()
    weights = tiny_checkpoints.random_gemma3_weights(config, 0)
    del weights["model.layers.2.mlp.up_proj.weight"]
    tiny_checkpoints.write_safetensors(tmp_path, config, weights)
    device = NumpyDevice()
    with pytest.raises(TensorError, match="up_proj"):
        await load(device, folder_files(tmp_path))
    assert device.allocated_bytes == 0


@pytest.mark.parametrize(
    "options",
    [
        {"context_length": 1},
        {"context_length": "9"},
        {"kv_dtype": "f64"},
        {"precision": "int4"},
        {"lanes": 2},
    ],
)
def test_silly_load_options_are_refused(options) -> None:
    with pytest.raises(RequestError):
        LoadOptions.from_json(options)


async def test_a_context_longer_than_the_models_is_refused() -> None:
    with pytest.raises(RequestError, match="at most"):
        await load(NumpyDevice(), folder_files(TINY), context_length=10**6)


async def test_a_context_that_the_device_cannot_bind_is_refused_before_weights_are_read() -> None:
    """With the context that would fit, which then loads."""
    needed = []

    class Counting(NumpyDevice):
        async def load(self, *args) -> None:
            needed.append("weights")
            await super().load(*args)

    with pytest.raises(DeviceLimitError, match="a context of 128 fits") as caught:
        await load(Counting(20_000), folder_files(TINY), context_length=500)
    assert needed == []
    fits = caught.value.detail["fitting_context_length"]
    engine = await load(Counting(20_000), folder_files(TINY), context_length=fits)
    assert await generated(engine, [2, 9, 11], max_tokens=2)
    engine.close()
