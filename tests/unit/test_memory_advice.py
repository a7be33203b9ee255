"""Advice where memory is too small: following it saves what it says."""

import pytest

from engine_cases import generated, load
from leadout.checkpoint.synthetic import synthetic_checkpoint
from leadout.devices.numpy import NumpyDevice
from leadout.errors import OutOfMemoryError
from leadout.forecast import Contexts, Memory
from leadout.memory_advice import advised
from leadout.planning import LoadOptions, plan_load
from speculation_cases import pair_files

OPTIONS = {"context_length": 1024, "kept_prompts": 3}


class SmallDevice(NumpyDevice):
    """Has so many bytes and no more."""

    def __init__(self, memory_bytes: int) -> None:
        super().__init__()
        self.memory_bytes = memory_bytes

    async def allocate(self, buffers) -> None:
        missing = self.allocated_bytes + sum(spec.bytes for spec in buffers.values())
        missing -= self.memory_bytes
        if missing > 0:
            raise OutOfMemoryError("the device has too little.", missing_bytes=missing)
        await super().allocate(buffers)


@pytest.fixture
async def needed_bytes() -> int:
    device = NumpyDevice()
    await load(device, *pair_files("trained-e2b"), **OPTIONS)
    return device.allocated_bytes


async def test_each_advice_saves_what_it_says(needed_bytes) -> None:
    device = SmallDevice(needed_bytes - 1)
    with pytest.raises(OutOfMemoryError) as raised:
        await load(device, *pair_files("trained-e2b"), **OPTIONS)
    assert device.allocated_bytes == 0
    detail = raised.value.detail
    assert detail["needed_bytes"] == needed_bytes
    savings = {one["option"]: one for one in detail["savings"]}
    assert set(savings) == {"context_length", "kv_dtype", "kept_prompts", "drafter"}
    for option, saving in savings.items():
        assert f"{option} {saving['value']} takes" in raised.value.message
        roomy = NumpyDevice()
        options = {**OPTIONS, option: saving["value"]}
        target, assistant = pair_files("trained-e2b")
        beside = None if option == "drafter" else assistant
        await load(roomy, target, beside, **options)
        saved = needed_bytes - roomy.allocated_bytes
        if option == "drafter":  # and what drafting computes with
            assert saved >= saving["saves_bytes"] > 0
        else:
            assert saved == saving["saves_bytes"] > 0
    # The same device takes the model as advised.
    engine = await load(
        device,
        *pair_files("trained-e2b"),
        **{**OPTIONS, "context_length": savings["context_length"]["value"]},
    )
    assert await generated(engine, [2, 9], max_tokens=3)


async def test_fewer_requests_at_once_save_at_least_their_caches() -> None:
    roomy, halved = NumpyDevice(), NumpyDevice()
    await load(roomy, *pair_files("trained-e2b"), parallel=4, **OPTIONS)
    device = SmallDevice(roomy.allocated_bytes - 1)
    with pytest.raises(OutOfMemoryError, match="parallel 2 takes") as raised:
        await load(device, *pair_files("trained-e2b"), parallel=4, **OPTIONS)
    saving = next(one for one in raised.value.detail["savings"] if one["option"] == "parallel")
    await load(halved, *pair_files("trained-e2b"), parallel=saving["value"], **OPTIONS)
    assert roomy.allocated_bytes - halved.allocated_bytes >= saving["saves_bytes"] > 0


async def test_no_rings_are_kept_where_there_is_no_room_for_them(needed_bytes) -> None:
    roomy = NumpyDevice()
    await load(roomy, *pair_files("trained-e2b"), context_length=1024, kept_prompts=0)
    less = roomy.allocated_bytes
    device = SmallDevice((less + needed_bytes) // 2)
    engine = await load(device, *pair_files("trained-e2b"), context_length=1024)
    assert device.allocated_bytes == less
    assert not engine.decoder.admission.kept
    assert await generated(engine, [2, 9], max_tokens=3)


async def test_the_longest_context_that_frees_what_is_missing_is_proposed() -> None:
    options = LoadOptions(context_length=131_072)
    target = synthetic_checkpoint("e2b", "target")
    planned = await plan_load(NumpyDevice(max_binding_bytes=1 << 31), target, None, options)
    contexts = Contexts(planned, Memory.of(planned.buffers), None)
    full = contexts.of(131_072).total_bytes
    for length in (65_536, 16_384):
        missing = full - contexts.of(length).total_bytes
        error = advised(OutOfMemoryError("no.", missing_bytes=missing), planned)
        saving = next(one for one in error.detail["savings"] if one["option"] == "context_length")
        assert saving == {"option": "context_length", "value": length, "saves_bytes": missing}
        assert "KV cache for 131,072 tokens" in error.message


async def test_without_a_way_to_save_only_the_model_is_to_blame() -> None:
    target, _ = pair_files("trained-e2b")
    with pytest.raises(OutOfMemoryError, match=r"To need less memory: a smaller model\.") as raised:
        await load(SmallDevice(1000), target, None, context_length=512, kv_dtype="f16")
    assert raised.value.detail["savings"] == []
