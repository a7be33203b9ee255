"""Conversations: a turn prefills only what is new, and its ids are those of a fresh engine."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine_cases import generated, load
from leadout.devices.numpy import NumpyDevice
from leadout.engine import Engine, Generated
from leadout.errors import DeviceError
from leadout.request import GenerateRequest
from short_rings import short_rings
from speculation_cases import pair_files
from thoroughness import IS_THOROUGH

#: Turns of the conversation, and tokens of each answer.
NUM_TURNS, ANSWER_TOKENS = (30, 600) if IS_THOROUGH else (3, 320)

#: Schedules of conversations drawn per engine.
NUM_SCHEDULES = 300 if IS_THOROUGH else 3


def ids(length: int, seed: int) -> list[int]:
    """Return tokens that repeat little."""
    return [3 + (seed * 31 + 7 * i + i * i // 5) % 90 for i in range(length)]


async def answered(engine: Engine, prompt: list[int], **fields: object) -> Generated:
    """Run a request that ignores the end of the sequence."""
    request = {"prompt_ids": prompt, "ignore_eos": True, **fields}
    return await engine.generate(GenerateRequest.from_json(request))


def forget(engine: Engine) -> Engine:
    """Return an engine as it was after loading: nothing that it holds is taken over."""
    engine.decoder.admission.forget()
    return engine


@pytest.fixture(scope="module")
def engines():
    """Loaded engines by (pair, drafter, options) with short rings, each loaded once."""
    made = {}

    async def get(name: str, drafter: str = "none", **options: int) -> Engine:
        key = (name, drafter, *options.items())
        if key not in made:
            target, assistant = pair_files(name)
            files = assistant if drafter == "mtp" else None
            made[key] = await load(NumpyDevice(), target, files, drafter=drafter, **options)
        return made[key]

    with short_rings():
        yield get


def longer_context(folder: Path, length: int) -> dict[str, Path]:
    """Return the files of a tiny target that says of itself that it knows so long a context."""
    files = {}
    for name, path in pair_files("trained-31b")[0].items():
        files[name] = folder / name
        files[name].write_bytes(path.read_bytes())
    config = json.loads(files["config.json"].read_text())
    config.get("text_config", config)["max_position_embeddings"] = length
    files["config.json"].write_text(json.dumps(config))
    return files


async def test_every_turn_of_a_long_conversation_prefills_only_what_is_new(tmp_path) -> None:
    files = longer_context(tmp_path, 32_768)
    length = NUM_TURNS * (ANSWER_TOKENS + 30) + 200
    engine = await load(NumpyDevice(), files, context_length=length)
    fresh = await load(NumpyDevice(), files, context_length=length, kept_prompts=0)
    text = [2, *ids(120, 1)]
    known = 0
    for turn in range(NUM_TURNS):
        text += ids(20 + turn % 5, turn)
        result = await answered(engine, text, max_tokens=ANSWER_TOKENS)
        assert result.stats.cached_tokens == known, turn
        known = len(text)
        assert result.tokens == await generated(forget(fresh), text, max_tokens=ANSWER_TOKENS)
        text += result.tokens
    assert len(set(text)) > 20, "it says something"


@dataclass(frozen=True)
class Turn:
    """What a page does next.

    Attributes:
        conversation: which one goes on; beyond those that are there: a new one.
        system: of a new one.
        num_new: tokens of its question.
        max_tokens: of the answer.
        dropped: of what was said, how many tokens are dropped before the question.
        draft_tokens: as in a request.
        is_beside: it begins while the one before is under way.
    """

    conversation: int
    system: int
    num_new: int
    max_tokens: int
    dropped: int
    draft_tokens: int
    is_beside: bool


TURNS = st.lists(
    st.builds(
        Turn,
        st.integers(0, 4),
        st.integers(0, 2),
        st.one_of(st.integers(1, 20), st.integers(1, 70)),
        st.one_of(st.integers(1, 6), st.integers(40, 90)),
        st.one_of(st.just(0), st.just(0), st.integers(1, 120)),
        st.integers(0, 4),
        st.booleans(),
    ),
    min_size=2,
    max_size=8,
)
SYSTEMS = ([2, *ids(70, 5)], [2, *ids(140, 6)], [2])


@pytest.mark.parametrize(
    ("name", "drafter", "options"),
    [
        ("trained-e2b", "mtp", {}),
        ("trained-e2b", "mtp", {"parallel": 2}),
        ("trained-31b", "ngram", {"parallel": 4, "kept_prompts": 2}),
    ],
)
def test_ids_do_not_depend_on_what_was_said_before(engines, name, drafter, options) -> None:
    reused = 0

    @settings(
        max_examples=NUM_SCHEDULES, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(turns=TURNS)
    @example(turns=[Turn(0, 1, 20, 6, 0, 2, False)] * 2)  # which reuses what it should
    def check(turns: list[Turn]) -> None:
        asyncio.run(check_all(turns))

    async def check_all(turns: list[Turn]) -> None:
        nonlocal reused
        engine, fresh = await engines(name, drafter, **options), await engines(name, drafter)
        if not options:
            fresh = await engines(name, drafter, kept_prompts=0)
        said: list[list[int]] = []
        under_way: list[tuple[list[int], Turn, asyncio.Task[Generated]]] = []

        async def settle() -> None:
            nonlocal reused
            for prompt, turn, task in under_way:
                result = await task
                reused += result.stats.cached_tokens
                fields = {"max_tokens": turn.max_tokens, "draft_tokens": 0, "drafter": "none"}
                wanted = await generated(forget(fresh), prompt, **fields)
                assert result.tokens == wanted, (turns, turn)
            under_way.clear()

        for turn in turns:
            if not turn.is_beside:
                await settle()
            if turn.conversation >= len(said):
                said.append(list(SYSTEMS[turn.system]))
            text = said[min(turn.conversation, len(said) - 1)]
            del text[max(len(text) - turn.dropped, 1) :]
            text += ids(turn.num_new, len(text))
            if len(text) + turn.max_tokens > 1000:
                del text[400:]
            prompt = list(text)
            fields = {"max_tokens": turn.max_tokens, "draft_tokens": turn.draft_tokens}
            task = asyncio.ensure_future(answered(engine, prompt, **fields))
            under_way.append((prompt, turn, task))
            await asyncio.sleep(0)
            if not turn.is_beside:
                text += (await task).tokens
        await settle()

    check()
    assert reused > 100


async def test_a_turn_may_part_from_the_one_before_shortly_before_its_end(engines) -> None:
    """As where a chat template begins an answer otherwise than it writes one that has ended."""
    engine = forget(await engines("trained-e2b", "none"))
    fresh = await engines("trained-e2b", "none", parallel=2, kept_prompts=0)
    first = [2, *ids(100, 4)]
    tokens = (await answered(engine, first, max_tokens=60)).tokens
    second = [*first[:-5], *tokens, 9]
    result = await answered(engine, second, max_tokens=4)
    assert result.stats.cached_tokens == len(first) - 5
    assert result.tokens == await generated(forget(fresh), second, max_tokens=4)


async def test_conversations_with_one_system_prompt_share_its_keys(engines) -> None:
    engine = forget(await engines("trained-e2b", "none"))
    fresh = await engines("trained-e2b", "none", parallel=2, kept_prompts=0)
    system = [2, *ids(100, 4)]
    cached = []
    for number in range(5):
        prompt = [*system, 11 + number, *ids(90, 50 + number)]
        result = await answered(engine, prompt, max_tokens=60)
        assert result.tokens == await generated(forget(fresh), prompt, max_tokens=60)
        cached.append(result.stats.cached_tokens)
    # The second one shows where they part, when the rings have forgotten that place.
    assert cached == [0, 0, *[len(system)] * 3]


async def test_a_conversation_keeps_its_keys_while_another_one_begins_like_it(engines) -> None:
    engine = forget(await engines("trained-e2b", "none", parallel=2))
    first = [2, *ids(500, 4)]
    answer = (await answered(engine, first, max_tokens=4)).tokens
    second = [*first[:490], 80, *ids(20, 9)]
    assert (await answered(engine, second, max_tokens=4)).stats.cached_tokens == 490
    third = [*first, *answer, 5, 6, 7]
    assert (await answered(engine, third, max_tokens=4)).stats.cached_tokens == len(first)


async def test_a_short_conversation_after_a_long_one_is_kept(engines) -> None:
    engine = forget(await engines("trained-e2b", "none", kept_prompts=0))
    await answered(engine, [2, *ids(800, 4)], max_tokens=40)
    prompt = [2, *ids(40, 8)]
    answer = (await answered(engine, prompt, max_tokens=4)).tokens
    result = await answered(engine, [*prompt, *answer, 9], max_tokens=4)
    assert result.stats.cached_tokens == len(prompt)


async def test_nothing_is_taken_over_behind_a_failure(engines, monkeypatch) -> None:
    engine = forget(await engines("trained-e2b", "none"))
    prompt = [2, *ids(300, 3)]

    def fails(plan: object, positions: int, uploads: object = ()) -> None:
        raise DeviceError("it broke")

    monkeypatch.setattr(engine.decoder, "submit", fails)
    with pytest.raises(DeviceError):
        await answered(engine, prompt, max_tokens=4)
    monkeypatch.undo()
    assert (await answered(engine, prompt, max_tokens=4)).stats.cached_tokens == 0
