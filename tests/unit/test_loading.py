"""Loading: what goes on beside what, and how it ends when something fails (leadout.loading)."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

import engine_cases
from engine_cases import folder_files
from leadout import loading
from leadout.checkpoint import FileSource, open_checkpoint
from leadout.checkpoint.load_plan import LoadPlan
from leadout.checkpoint.source import Source
from leadout.devices.base import CompiledPlan, Progress, Runnable
from leadout.devices.numpy import NumpyDevice
from leadout.engine import Engine, LoadOptions
from leadout.errors import (
    DeviceError,
    DrafterError,
    LeadoutError,
    RequestError,
    SourceError,
    TokenizerError,
)
from leadout.plan import BufferSpec
from leadout.request import GenerateRequest
from speculation_cases import pair_files

TINY = Path(__file__).parents[1] / "vectors" / "gemma3-tiny" / "multi-query"

#: Rounds of the event loop that slow things take.
ROUNDS = 20


class SlowDevice(NumpyDevice):
    """Loads and compiles as a GPU does: in its own time, beside all else.

    Args:
        fails: given "stream" or a Plan's name, returns what that fails with, if anything.
    """

    def __init__(self, fails: Callable[[str], Exception | None] = lambda _what: None) -> None:
        super().__init__()
        self.fails = fails
        self.seen: list[str] = []
        self.under_way: set[str] = set()

    async def allocate(self, buffers: Mapping[str, BufferSpec]) -> None:
        await super().allocate(buffers)  # at once; whether there was room is known later
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def load(
        self, load_plan: LoadPlan, sources: Sequence[Source], progress: Progress
    ) -> None:
        await self._take_time("stream")
        await super().load(load_plan, sources, progress)

    async def compile(self, runnable: Runnable) -> CompiledPlan:
        await self._take_time(runnable.name)
        return await super().compile(runnable)

    async def _take_time(self, what: str) -> None:
        self.seen.append(f"begin {what}")
        self.under_way.add(what)
        try:
            for _ in range(ROUNDS):
                await asyncio.sleep(0)
            if (error := self.fails(what)) is not None:
                raise error
        finally:
            self.under_way.discard(what)
        self.seen.append(f"end {what}")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling takes longer than a load waits for cycles with drafts."""
    monkeypatch.setattr(loading, "DRAFTS_PATIENCE_S", 0)


async def load(
    device: NumpyDevice, phases: list[str] | None = None, *, drafter: str = "ngram"
) -> Engine:
    files = {name: FileSource(path) for name, path in folder_files(TINY).items()}

    async def no_tokenizer(text: str) -> object:
        raise AssertionError(text)

    return await Engine.load(
        device,
        await open_checkpoint(files),
        LoadOptions(context_length=64, drafter=drafter, max_draft_tokens=3),
        no_tokenizer,  # type: ignore[arg-type]
        (phases if phases is not None else []).append,
        lambda _loaded, _total: None,
    )


async def test_plans_are_compiled_while_weights_stream_in_the_order_of_need() -> None:
    device = SlowDevice()
    phases: list[str] = []
    engine = await load(device, phases)
    seen = device.seen
    assert seen[0] == "begin stream"
    assert seen.index("begin prefill-256") < seen.index("end stream")
    begun = [one.removeprefix("begin ") for one in seen if one.startswith("begin ")]
    wanted = ["prefill-256", "prefill-32-last", "cycle-0", "check-1", "check-4"]
    assert [name for name in begun if name in wanted] == wanted
    assert phases == [
        "loading_weights",
        "compiling_kernels",
        "warming_up",
        "ready",
    ]
    engine.close()


async def test_a_model_waits_a_little_for_cycles_with_drafts() -> None:
    device = SlowDevice()
    engine = await load(device)
    assert "end cycle-3" in device.seen
    engine.close()


@pytest.mark.usefixtures("impatient")
async def test_a_model_is_ready_before_cycles_with_drafts_are_compiled() -> None:
    device = SlowDevice()
    engine = await load(device)
    assert "end cycle-0" in device.seen
    assert "end cycle-3" not in device.seen
    request = GenerateRequest(prompt_ids=(2, 9, 11), max_tokens=8, ignore_eos=True, draft_tokens=3)
    generated = await engine.generate(request)  # waits for them, since it asked for them
    assert "end cycle-3" in device.seen
    plain = await engine.generate(
        GenerateRequest(prompt_ids=(2, 9, 11), max_tokens=8, ignore_eos=True, drafter="none")
    )
    assert generated.tokens == plain.tokens
    engine.close()


async def test_where_a_cpu_computes_longer_prompts_wait_for_their_plans() -> None:
    device = SlowDevice()
    device.info = dataclasses.replace(device.info, is_software=True)
    engine = await load(device)
    ended = {"end prefill-32-last", "end prefill-64-last", "end prefill-256", "end cycle-3"}
    assert ended.intersection(device.seen) == {"end prefill-32-last"}
    await engine.generate(GenerateRequest(prompt_ids=(2,) * 33, max_tokens=1, ignore_eos=True))
    assert "end prefill-64-last" in device.seen
    engine.close()


async def test_nothing_is_drafted_before_the_self_test_has_passed() -> None:
    device = SlowDevice()
    engine = await load(device)
    assert device.seen.index("end check-4") < device.seen.index("begin cycle-3")
    engine.close()


@pytest.mark.parametrize("what", ["stream", "prefill-256", "cycle-0", "check-2", "check-weights"])
@pytest.mark.parametrize("error", [SourceError("cut off"), DeviceError("refused")])
async def test_a_failure_of_a_part_ends_all_and_leaves_the_device_empty(
    what: str, error: LeadoutError
) -> None:
    device = SlowDevice(lambda begun: error if begun == what else None)
    with pytest.raises(type(error), match=str(error)):
        await load(device)
    await asyncio.sleep(0)
    assert device.under_way == set()
    assert device.allocated_bytes == 0


async def test_an_abort_ends_all_and_leaves_the_device_empty() -> None:
    device = SlowDevice()
    loading = asyncio.ensure_future(load(device))
    for _ in range(ROUNDS // 2):
        await asyncio.sleep(0)
    assert {"stream", "cycle-0"} <= device.under_way
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    await asyncio.sleep(0)
    assert device.under_way == set()
    assert device.allocated_bytes == 0


async def test_an_abort_at_any_moment_leaves_the_device_empty() -> None:
    device = SlowDevice()
    is_done = False
    rounds = 0
    while not is_done:
        rounds += 1
        loading = asyncio.ensure_future(load(device))
        for _ in range(rounds):
            await asyncio.sleep(0)
        is_done = loading.done()
        loading.cancel()
        if is_done:
            (await loading).close()
        else:
            with pytest.raises(asyncio.CancelledError):
                await loading
        await asyncio.sleep(0)
        assert device.allocated_bytes == 0, rounds
    assert rounds > ROUNDS


async def test_a_cycle_that_does_not_compile_is_told_to_who_wants_drafts() -> None:
    refused = DeviceError("kernel refused")
    device = SlowDevice(lambda begun: refused if begun == "cycle-2" else None)
    engine = await load(device)
    for _ in range(3 * ROUNDS):
        await asyncio.sleep(0)
    for draft_tokens in ("auto", 2):
        request = GenerateRequest(prompt_ids=(2, 9), max_tokens=4, draft_tokens=draft_tokens)
        with pytest.raises(DeviceError, match="kernel refused"):
            await engine.generate(request)
    plain = GenerateRequest(prompt_ids=(2, 9), max_tokens=4, ignore_eos=True, drafter="none")
    assert len((await engine.generate(plain)).tokens) == 4
    engine.close()
    assert device.allocated_bytes == 0


@pytest.mark.usefixtures("impatient")
async def test_closing_while_cycles_are_compiled_ends_that() -> None:
    device = SlowDevice()
    engine = await load(device)
    engine.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert device.under_way == set()
    assert device.allocated_bytes == 0


@pytest.mark.parametrize("rounds", [1, 200])
async def test_a_broken_tokenizer_ends_the_load_however_late_it_is_found(rounds: int) -> None:
    device = SlowDevice()
    files = {name: FileSource(path) for name, path in folder_files(TINY).items()}
    files["tokenizer.json"] = files["config.json"]

    async def broken_tokenizer(_text: str) -> object:
        for _ in range(rounds):
            await asyncio.sleep(0)
        raise TokenizerError("no tokenizer")

    with pytest.raises(TokenizerError, match="no tokenizer"):
        await Engine.load(
            device,
            await open_checkpoint(files),
            LoadOptions(context_length=64),
            broken_tokenizer,  # type: ignore[arg-type]
            lambda _phase: None,
            lambda _loaded, _total: None,
        )
    await asyncio.sleep(0)
    assert device.under_way == set()
    assert device.allocated_bytes == 0


async def test_mtp_without_a_drafter_is_refused_before_anything_is_allocated() -> None:
    device = SlowDevice()
    with pytest.raises(DrafterError):
        await load(device, drafter="mtp")
    assert device.seen == []
    assert device.allocated_bytes == 0


@pytest.mark.usefixtures("impatient")
def test_what_one_event_loop_left_uncompiled_the_next_one_compiles() -> None:
    engine = asyncio.run(load(SlowDevice()))  # ends before cycles with drafts are compiled
    request = GenerateRequest(prompt_ids=(2, 9), max_tokens=4, ignore_eos=True, draft_tokens=3)
    assert len(asyncio.run(engine.generate(request)).tokens) == 4
    engine.close()


async def loaded_on_software(**options: object) -> Engine:
    device = NumpyDevice()
    device.info = dataclasses.replace(device.info, is_software=True)
    return await engine_cases.load(device, *pair_files("e2b"), **options)


async def test_on_software_three_tokens_are_always_drafted() -> None:
    engine = await loaded_on_software()
    assert engine.info()["max_draft_tokens"] == 3, "nothing is compiled for more"
    prompt = (2, *range(5, 45))
    request = GenerateRequest(prompt_ids=prompt, max_tokens=40, ignore_eos=True)
    stats = (await engine.generate(request)).stats
    assert stats.draft_tokens == "auto"
    # Near the end of a request fewer tokens are wanted.
    assert stats.drafted_tokens >= 3 * (stats.cycles - 3)
    with pytest.raises(RequestError, match="loaded for at most 3"):
        await engine.generate(dataclasses.replace(request, draft_tokens=7))


async def test_on_software_more_are_drafted_where_that_is_asked_for() -> None:
    engine = await loaded_on_software(max_draft_tokens=7)
    assert engine.info()["max_draft_tokens"] == 7
