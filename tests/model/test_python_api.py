"""`from leadout import load` in CPython, and functions of a person's own in a request.

The model is a stand-in with Nano's tokenizer and shape in small, so that it takes no time; what its
real weights do is the same code.
"""

from __future__ import annotations

import ast
import asyncio
import math
import re
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import leadout
from leadout import logits as logits_of_python
from leadout.api import Engine, Stream, load
from leadout.errors import (
    DrafterError,
    LeadoutError,
    ModelNotFoundError,
    ProcessorError,
    RequestError,
)
from stand_in_nano import write_stand_in

PROMPT = "the market today"
EXAMPLES = Path(__file__).parents[2] / "static/examples/python"
MAX_TOKENS = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stand_in(tmp_path_factory.mktemp("api") / "models")


@pytest.fixture
async def open_engine(folder: Path) -> AsyncIterator[Callable[..., Any]]:
    opened: list[Engine] = []

    async def open_one(**options: Any) -> Engine:
        if options.get("drafter") == "mtp":
            options["drafter"] = str(folder / "nano-assistant.gguf")
        options.setdefault("drafter", "given")
        engine = await load(str(folder / "nano.gguf"), **options)
        opened.append(engine)
        return engine

    yield open_one
    for engine in opened:
        await engine.close()


def push(ids: list[int], logits: Any) -> None:
    """Say another id at every third place, by all that stands before it; never one twice."""
    if len(ids) % 3 == 0:
        logits[(7 * len(ids) + ids[-1]) % len(logits)] = max(logits) + 1
    logits[ids[-1]] = -math.inf


def halved(ids: list[int], logits: Any) -> Any:
    """Return others instead of changing them."""
    return [value / 2 for value in logits] if isinstance(logits, list) else np.asarray(logits) / 2


async def ids_of(engine: Engine, **fields: Any) -> list[int]:
    settings = {"max_tokens": MAX_TOKENS, "ignore_eos": True, **fields}
    return (await engine.generate(PROMPT, **settings)).tokens


async def test_a_processor_that_changes_nothing_changes_no_id(open_engine) -> None:
    engine = await open_engine(drafter="mtp")
    plain = await ids_of(engine)
    assert await ids_of(engine, processors=[lambda ids, logits: None]) == plain
    assert await ids_of(engine, processors=[push]) != plain


@pytest.mark.parametrize("sampling", [{}, {"temperature": 0.8, "top_k": 20, "seed": 3}])
async def test_ids_under_a_processor_are_the_same_whatever_drafts(open_engine, sampling) -> None:
    engine = await open_engine(drafter="mtp", parallel=2)
    asked = {"processors": [push, halved], **sampling}
    wanted = await ids_of(engine, drafter="none", **asked)
    for k in (1, 3, 7):
        assert await ids_of(engine, draft_tokens=k, **asked) == wanted
    again = {len(wanted): wanted}  # one draft is right, one is wrong

    def knows(ids: list[int]) -> list[int]:
        done = len(ids) - num_prompt
        return [*again[len(wanted)][done : done + 3], 5]

    num_prompt = len(await engine.tokenize(PROMPT))
    answer = await engine.generate(
        PROMPT, max_tokens=MAX_TOKENS, ignore_eos=True, drafter=knows, **asked
    )
    assert answer.tokens == wanted
    assert answer.stats.drafter == "given"
    assert 0 < answer.stats.accepted_tokens < answer.stats.drafted_tokens
    beside = await asyncio.gather(
        ids_of(engine, **asked), ids_of(engine), ids_of(engine, drafter=knows, **asked)
    )
    assert beside == [wanted, await ids_of(engine, drafter="none"), wanted]


async def test_a_drafter_in_python_saves_cycles_and_changes_no_id(open_engine) -> None:
    engine = await open_engine()
    assert engine.info["drafter"] == {
        "kind": "given",
        "name": "Python",
        "num_parameters": 0,
        "weights_bytes": 0,
    }
    plain = await engine.generate(PROMPT, max_tokens=MAX_TOKENS, ignore_eos=True)
    num_prompt = len(plain.prompt_tokens)
    seen: list[list[int]] = []

    def knows(ids: list[int]) -> Sequence[int]:
        seen.append(ids)
        ids += [0] * 50  # its own list: nobody else has it
        done = len(seen[-1]) - 50 - num_prompt
        return tuple(np.array(plain.tokens[done:], np.int64))

    drafted = await engine.generate(PROMPT, max_tokens=MAX_TOKENS, ignore_eos=True, drafter=knows)
    assert drafted.tokens == plain.tokens
    assert drafted.stats.cycles * 3 < plain.stats.cycles
    assert seen[0][:-50] == plain.prompt_tokens + plain.tokens[:1]
    # And what nobody drafts for is plain again, whatever the last request left.
    assert await ids_of(engine) == plain.tokens
    never = await engine.generate(
        PROMPT, max_tokens=MAX_TOKENS, ignore_eos=True, drafter=lambda ids: []
    )
    assert (never.tokens, never.stats.drafted_tokens) == (plain.tokens, 0)


async def test_processors_see_what_stands_before_each_row(open_engine) -> None:
    engine = await open_engine(drafter="mtp")
    rows: dict[tuple[int, ...], Any] = {}

    def look(ids: list[int], logits: Any) -> None:
        assert logits.dtype == np.float32
        rows[tuple(ids)] = logits.copy()
        ids.clear()

    answer = await engine.generate(
        PROMPT, max_tokens=6, ignore_eos=True, processors=[look], draft_tokens=2
    )
    known = [*answer.prompt_tokens, *answer.tokens]
    scored = await engine.logits(known[:-1])
    assert scored.shape == (len(known) - 1, engine.vocab_size)
    for end in range(len(answer.prompt_tokens), len(known)):
        before = tuple(known[:end])
        assert rows[before] == pytest.approx(scored[end - 1], rel=1e-3, abs=1e-3)
        assert int(rows[before].argmax()) == known[end]


async def test_a_processor_goes_with_a_grammar(open_engine) -> None:
    engine = await open_engine(drafter="mtp")
    with_a = [id_ for id_ in range(engine.vocab_size) if "a" in engine.decode([id_])]

    def ban_a(ids: list[int], logits: Any) -> None:
        logits[with_a] = -math.inf

    asked = {"regex": "[ab]{12}", "max_tokens": 30}
    assert "a" in (await engine.generate(PROMPT, **asked)).text
    asked["processors"] = [ban_a]
    plain = await engine.generate(PROMPT, drafter="none", **asked)
    assert plain.text == 12 * "b"
    for drafter in ("auto", lambda ids: plain.tokens[:2]):
        assert (await engine.generate(PROMPT, drafter=drafter, **asked)).tokens == plain.tokens


async def test_logits_are_an_array_or_bytes(open_engine, monkeypatch) -> None:
    engine = await open_engine()
    rows = await engine.logits(PROMPT)
    data = await engine.logits(PROMPT, as_bytes=True)
    assert rows.tobytes() == data
    assert len(data) == 4 * len(await engine.tokenize(PROMPT)) * engine.vocab_size
    assert np.array_equal(await engine.logits(PROMPT, last_only=True), rows[-1:])
    plain = await ids_of(engine, processors=[push])
    monkeypatch.setattr(logits_of_python, "find_numpy", lambda: None)
    monkeypatch.setattr("leadout.session.own_code.find_numpy", lambda: None)
    assert await engine.logits(PROMPT) == data
    assert await ids_of(engine, processors=[push]) == plain


def fails(ids: list[int], logits: Any) -> None:
    raise KeyError("no such word")


@pytest.mark.parametrize("is_early", [True, False])
@pytest.mark.parametrize(
    ("processor", "message"),
    [
        (fails, "fails failed: KeyError: 'no such word'"),
        (lambda ids, logits: logits[:-1], "gave back logits of the shape"),
        (lambda ids, logits: logits * np.nan, "NaN"),
    ],
)
async def test_what_a_processor_does_wrong_ends_its_request_alone(
    open_engine, processor, message, is_early
) -> None:
    engine = await open_engine()
    plain = await ids_of(engine)
    num_prompt = len(await engine.tokenize(PROMPT))

    def sometimes(ids: list[int], logits: Any) -> Any:
        if is_early or len(ids) > num_prompt + 3:
            return processor(ids, logits)
        return None

    sometimes.__name__ = processor.__name__
    with pytest.raises(ProcessorError, match=message) as caught:
        await ids_of(engine, processors=[sometimes])
    if processor is fails:
        shown = "".join(traceback.format_exception(caught.value))
        assert 'raise KeyError("no such word")' in shown
    assert await ids_of(engine) == plain


@pytest.mark.parametrize(
    ("drafter", "message"),
    [
        (lambda ids: [10**9], "outside of the vocabulary"),
        (lambda ids: [-1], "outside of the vocabulary"),
        (lambda ids: ["a"], "TypeError"),
        (lambda ids: None, "TypeError"),
        (lambda ids: 1 / 0, "ZeroDivisionError"),
    ],
)
async def test_what_a_drafter_does_wrong_ends_its_request_alone(
    open_engine, drafter, message
) -> None:
    engine = await open_engine(parallel=2)
    plain = await ids_of(engine)
    with pytest.raises(DrafterError, match=message) as caught:
        await ids_of(engine, drafter=drafter)
    assert (caught.value.__cause__ is None) == (message == "outside of the vocabulary")
    beside = await asyncio.gather(
        ids_of(engine), ids_of(engine, drafter=drafter), return_exceptions=True
    )
    assert beside[0] == plain
    assert isinstance(beside[1], DrafterError)


async def test_a_stream_has_the_pieces_of_the_answer(open_engine) -> None:
    engine = await open_engine(drafter="mtp")
    whole = await engine.generate(PROMPT, max_tokens=MAX_TOKENS, ignore_eos=True)
    stream = engine.stream(PROMPT, max_tokens=MAX_TOKENS, ignore_eos=True, logprobs=True)
    with pytest.raises(RequestError, match="not there yet"):
        _ = stream.result
    pieces = [piece async for piece in stream]
    assert "".join(pieces) == whole.text == stream.result.text
    assert [id_ for piece in pieces for id_ in piece.ids] == whole.tokens
    assert all(len(piece.logprobs) == len(piece.ids) for piece in pieces if piece.ids)
    with pytest.raises(RequestError, match="read once"):
        async for _ in stream:
            pass


async def test_leaving_the_loop_ends_the_request(open_engine) -> None:
    engine = await open_engine()
    calls: list[int] = []
    stream = engine.stream(
        PROMPT,
        max_tokens=2000,
        ignore_eos=True,
        processors=[lambda ids, logits: calls.append(len(ids))],
    )
    async for _ in stream:
        break
    await ids_of(engine)  # it has the only lane
    num_calls = len(calls)
    assert num_calls < 20
    await asyncio.sleep(0.05)
    assert len(calls) == num_calls
    assert stream.result.finish_reason == "abort"


async def test_errors_come_out_of_the_loop(open_engine) -> None:
    engine = await open_engine()
    pieces: list[str] = []

    async def read(stream: Stream) -> None:
        async for piece in stream:
            pieces.append(piece)  # noqa: PERF401  # those before the error count

    def fails_late(ids: list[int], logits: Any) -> None:
        if pieces:
            fails(ids, logits)

    with pytest.raises(ProcessorError, match="KeyError"):
        await read(engine.stream(PROMPT, processors=[fails_late]))
    assert pieces
    with pytest.raises(RequestError, match="temperature"):
        await read(engine.stream(PROMPT, temperature=-1))


async def test_closing_ends_what_runs(open_engine) -> None:
    async with await open_engine() as engine:
        stream = engine.stream(PROMPT, max_tokens=2000, ignore_eos=True)
        async for _ in stream:
            await engine.close()
        assert stream.result.finish_reason == "abort"
        with pytest.raises(RequestError, match="closed"):
            await engine.generate(PROMPT)
        with pytest.raises(RequestError, match="closed"):
            _ = engine.info


async def test_an_engine_that_nobody_closed_gives_its_memory_back(folder: Path) -> None:
    engine = await load(str(folder / "nano.gguf"), drafter="none")
    await engine.generate(PROMPT, max_tokens=2)
    device = engine._engine.device
    assert device.allocated_bytes > 0
    del engine
    await asyncio.sleep(0.05)
    assert device.allocated_bytes == 0


async def test_prompts_are_text_ids_or_messages(open_engine) -> None:
    engine = await open_engine()
    ids = await engine.tokenize(PROMPT)
    by_ids = await engine.generate(np.array(ids), max_tokens=4)
    assert by_ids.tokens == (await engine.generate(PROMPT, max_tokens=4)).tokens
    messages = [{"role": "user", "content": "hello"}]
    chat = await engine.generate(messages, max_tokens=4)
    assert chat.prompt_tokens == await engine.tokenize(messages)
    assert "hello" in engine.decode(chat.prompt_tokens)
    for prompt, message in ((17, "is a int"), ([1, "a"], "holds a str"), ([], "empty")):
        with pytest.raises(RequestError, match=message):
            await engine.generate(prompt)
    with pytest.raises(RequestError, match="Unknown fields"):
        await engine.generate(PROMPT, temperatur=1)
    with pytest.raises(RequestError, match="wanted a function"):
        await engine.generate(PROMPT, processors=[3])


async def test_a_model_without_room_for_drafts_says_so(open_engine) -> None:
    engine = await open_engine(drafter="none")
    with pytest.raises(DrafterError, match="without room for drafts"):
        await engine.generate(PROMPT, drafter=lambda ids: [1])
    assert await ids_of(engine, processors=[push])


async def test_what_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        await load(str(tmp_path / "nothing.gguf"))
    with pytest.raises(RequestError, match="Unknown load options"):
        await load("nano", contextlength=5)
    with pytest.raises(RequestError, match="wanted text"):
        await load(3)  # type: ignore[arg-type]


def test_the_package_has_the_api_and_loads_it_late() -> None:
    assert leadout.load is load
    assert leadout.LeadoutError is LeadoutError
    assert "Engine" in dir(leadout)
    with pytest.raises(AttributeError, match="no attribute"):
        _ = leadout.nothing


@pytest.mark.parametrize("name", ["stream", "processor", "drafter", "logits"])
async def test_the_pages_examples_run_in_cpython_as_well(name: str, capsys) -> None:
    path = EXAMPLES / f"{name}.py"
    text = path.read_text("utf-8").replace("max_tokens=120", "max_tokens=8")
    text = re.sub(r"max_tokens=[46]0", "max_tokens=12", text)
    code = compile(text, path.name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await eval(code, {})
    printed = capsys.readouterr().out
    assert {
        "stream": "tokens per pass",
        "processor": "the same without drafts: True",
        "drafter": "knows it all: ",
        "logits": "behind      '<bos>' the likeliest is",
    }[name] in printed
    assert "False" not in printed
