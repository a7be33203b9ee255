"""The model that ships, on the NumPy device: what it writes, and that drafts never change it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

from leadout.engine import Engine, Generated, LoadOptions
from leadout.request import GenerateRequest
from leadout.sampling import Sampling
from leadout_build.cli.market_table import parse_table
from leadout_build.cli.native import load_engine
from leadout_build.store.built_in import FOLDER, NANO, NANO_DRAFTER, built_in_files
from leadout_build.store.nano_prompts import EXAMPLE_TABLE_CSV, NANO_SYSTEM
from nano.check import check_answer, check_brief
from nano.dialogues import Dialogue, Turn, make_dialogue
from nano.encoding import chat_text
from nano.questions import Question
from nano.tokenizer import BOS

GOLDEN = Path(__file__).parents[1] / "vectors/nano/golden.json"

#: Longer than any brief.
MAX_TOKENS = 320

SAMPLINGS = (
    Sampling(),
    Sampling(temperature=0.8, seed=1),
    Sampling(temperature=0.8, top_k=64, top_p=0.95, seed=2),
)

#: With four draft tokens, over unseen briefs. Seen: 4.6.
LEAST_TOKENS_PER_CYCLE = 3.0


@pytest.fixture(scope="module")
def engine() -> Engine:
    files = built_in_files(NANO), built_in_files(NANO_DRAFTER)
    return asyncio.run(load_engine(files[0], drafter_files=files[1]))


@cache
def golden() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(GOLDEN.read_text("utf-8"))
    return read


def prompt_ids(engine: Engine, turns: tuple[Turn, ...]) -> tuple[int, ...]:
    """Return the ids of turns, up to where Nano's begins."""
    assert engine.tokenizer is not None
    text = f"{chat_text(Dialogue(None, turns))}<|turn>model\n"
    return (BOS, *engine.tokenizer.encode(text))


def unseen(engine: Engine, kinds: set[str], number: int, name: str) -> list[tuple[int, ...]]:
    """Return the ids before turns of some kinds, from dialogues that training never sees."""
    found: list[tuple[int, ...]] = []
    index = 0
    while len(found) < number:
        dialogue = make_dialogue(Random(f"{name} {index}"), split="test")
        index += 1
        for place, turn in enumerate(dialogue.turns):
            ids = prompt_ids(engine, dialogue.turns[:place])
            if turn.kind in kinds and len(ids) < 900:
                found.append(ids)
                break
    return found


async def write(
    engine: Engine,
    prompt: tuple[int, ...],
    drafter: str = "mtp",
    draft_tokens: int | str = 4,
    sampling: Sampling | None = None,
    max_tokens: int = MAX_TOKENS,
) -> Generated:
    request = GenerateRequest(
        prompt_ids=prompt,
        sampling=sampling or Sampling(),
        max_tokens=max_tokens,
        drafter=drafter,
        draft_tokens=draft_tokens,
    )
    return await engine.generate(request)


#: Replies by what was said up to there: they are greedy, and conversations begin alike.
_replies: dict[tuple[str, ...], str] = {}


async def reply(engine: Engine, *contents: str) -> str:
    """Chat as the page does, the system's text first, and return the last reply."""
    if contents in _replies:
        return _replies[contents]
    messages: list[dict[str, object]] = [{"role": "system", "content": NANO_SYSTEM}]
    for place, content in enumerate(contents[:-1], 1):
        messages.append({"role": "user", "content": content})
        answer = await reply(engine, *contents[:place])
        messages.append({"role": "assistant", "content": answer})
    messages.append({"role": "user", "content": contents[-1]})
    request = GenerateRequest(messages=tuple(messages), max_tokens=MAX_TOKENS, draft_tokens=4)
    _replies[contents] = text = (await engine.generate(request)).text
    return text


# ---- the golden values -------------------------------------------------------------------------


def test_the_golden_values_are_of_the_weights_that_ship() -> None:
    """Otherwise make them again: see tests/vectors/README.md."""
    files = {name: FOLDER / name for name in golden()["sha256"]}
    found = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert found == golden()["sha256"]
    assert set(files) == {f"{NANO}.gguf", f"{NANO_DRAFTER}.gguf"}
    assert len(golden()["prompts"]) == 13


@pytest.mark.parametrize("number", range(13))
async def test_greedy_ids_are_those_of_transformers(engine: Engine, number: int) -> None:
    wanted = golden()["prompts"][number]
    prompt = tuple(wanted["prompt_ids"])
    written = await write(engine, prompt, "mtp" if number else "none", 4 if number else 0)
    assert written.tokens == wanted["ids"]
    assert len(written.tokens) == wanted["num_tokens"]
    assert written.finish_reason == "stop"


# ---- drafts ------------------------------------------------------------------------------------


#: Each number greedily and with one way of sampling; all together, with random requests, are
#: in test_speculation.py.
DRAFTS_OF: list[tuple[Sampling, tuple[int | str, ...]]] = [
    (SAMPLINGS[0], (*range(1, 8), "auto")),
    (SAMPLINGS[1], (1, 3, 5, 7)),
    (SAMPLINGS[2], (2, 4, 6, "auto")),
]


@pytest.mark.parametrize(("sampling", "numbers"), DRAFTS_OF, ids=["greedy", "sampled", "filtered"])
async def test_ids_are_the_same_with_any_number_of_drafts(
    engine: Engine, sampling: Sampling, numbers: tuple[int | str, ...]
) -> None:
    prompt = unseen(engine, {"brief"}, 1, f"drafts {sampling.seed}")[0]
    plain = await write(engine, prompt, "none", 0, sampling, max_tokens=48)
    assert len(plain.tokens) == 48
    for draft_tokens in numbers:
        drafted = await write(engine, prompt, "mtp", draft_tokens, sampling, max_tokens=48)
        assert drafted.tokens == plain.tokens, draft_tokens


async def test_ids_are_the_same_with_drafts_from_the_text_itself(engine: Engine) -> None:
    options = LoadOptions(drafter="ngram")
    ngram = await load_engine(built_in_files(NANO), options)
    prompt = unseen(engine, {"brief"}, 1, "n-grams")[0]
    for sampling in SAMPLINGS:
        plain = await write(engine, prompt, "none", 0, sampling, max_tokens=32)
        for draft_tokens in (3, "auto"):
            drafted = await write(ngram, prompt, "ngram", draft_tokens, sampling, max_tokens=32)
            assert drafted.tokens == plain.tokens, draft_tokens
    ngram.close()


async def test_four_drafts_give_three_tokens_a_cycle_and_more(engine: Engine) -> None:
    tokens = cycles = 0
    for prompt in unseen(engine, {"brief"}, 10, "acceptance"):
        stats = (await write(engine, prompt, draft_tokens=4, max_tokens=64)).stats
        tokens += stats.decode_tokens
        cycles += stats.cycles
    assert tokens / cycles > LEAST_TOKENS_PER_CYCLE


# ---- what it writes ----------------------------------------------------------------------------


async def test_the_brief_of_the_example_is_right(engine: Engine) -> None:
    table = parse_table(EXAMPLE_TABLE_CSV)
    verdict = check_brief(table, await reply(engine, f"{EXAMPLE_TABLE_CSV}\n\nWrite a brief."))
    assert verdict.is_right, verdict.sentences


async def test_questions_about_the_example_are_answered_in_turn(engine: Engine) -> None:
    table = parse_table(EXAMPLE_TABLE_CSV)
    asked = (
        ("What is the price of SOL?", Question("lookup", "SOL", column="price")),
        ("Which asset fell most this week?", Question("extreme", column="7d", side="loss")),
        ("How many assets are up today?", Question("count", column="1d", side="up")),
        ("Is DOGE oversold?", Question("state", "DOGE", column="rsi", side="oversold")),
        ("What is the mood?", Question("mood")),
    )
    contents: list[str] = []
    for text, question in asked:
        contents.append(text if contents else f"{EXAMPLE_TABLE_CSV}\n\n{text}")
        answer = await reply(engine, *contents)
        assert check_answer(table, question, answer).is_right, (text, answer)


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("Should I buy SOL?", Question("advice")),
        ("What is the capital of France?", Question("off_topic")),
        ("Wie hoch ist der Preis von BTC?", Question("other_language")),
        ("?", Question("empty")),
        ("What is the price of TSLA?", Question("lookup", "TSLA", column="price")),
        ("What is the market cap of BTC?", Question("lookup", "BTC", column="market cap")),
        ("Why did SOL rise?", Question("no_reason")),
    ],
)
async def test_what_the_example_does_not_answer_is_refused(
    engine: Engine, question: str, asked: Question
) -> None:
    table = parse_table(EXAMPLE_TABLE_CSV)
    text = await reply(engine, f"{EXAMPLE_TABLE_CSV}\n\nWrite a brief.", question)
    assert check_answer(table, asked, text).is_right, text


@pytest.mark.parametrize("text", ["Write a brief.", "What is the price of BTC?"])
async def test_without_a_table_nano_asks_for_one(engine: Engine, text: str) -> None:
    answer = await reply(engine, text)
    assert check_answer(None, Question("no_table"), answer).is_right, answer
