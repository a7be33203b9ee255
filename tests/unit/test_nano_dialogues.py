"""Dialogues that Nano is trained on: true, varied, the same for the same seed."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from functools import cache
from itertools import pairwise
from statistics import median

from leadout.errors import RequestError
from leadout_build.cli.market_table import Table, parse_table
from leadout_build.store.nano_prompts import NANO_SYSTEM
from nano.answers import answer
from nano.asks import ask
from nano.briefs import make_brief
from nano.check import check_answer, check_brief
from nano.dialogues import Dialogue, Turn, make_dialogue, num_pieces
from nano.draws import draw_ask
from nano.markets import make_table
from nano.questions import KINDS, REFUSALS, Question
from nano.small_talk import TALK, talk
from nano.tickers import is_held_out

#: Of the turns of 60 dialogues.
DIGEST = "6cf43390c5ff57776e0b4961bcadf3efad26c6656499ab0fbd54bce90b2102ef"

TICKER = re.compile(r"\b(?=[A-Z0-9]*[A-Z])[A-Z0-9]{2,6}\b")


@cache
def dialogues() -> list[Dialogue]:
    return [make_dialogue(random.Random(f"dialogue {i}")) for i in range(400)]


def table_of(text: str) -> Table | None:
    try:
        return parse_table(text)
    except RequestError:
        return None


def model_turns() -> list[tuple[Dialogue, Turn]]:
    return [(d, turn) for d in dialogues() for turn in d.turns if turn.role == "model"]


def turns_of_the_test_split() -> list[tuple[Dialogue, Turn]]:
    made = [make_dialogue(random.Random(f"other {i}"), split="test") for i in range(100)]
    return [(d, turn) for d in made for turn in d.turns if turn.role == "model"]


def test_the_same_seed_gives_the_same_dialogue() -> None:
    assert [make_dialogue(random.Random(f"dialogue {i}")) for i in range(20)] == dialogues()[:20]


def test_the_data_is_what_nano_was_trained_on() -> None:
    """Other data needs another training; then this digest may change."""
    made = hashlib.sha256()
    for i in range(60):
        split, level = ("train", "test")[i % 2], (0.3, 1.0, 1.0)[i % 3]
        for turn in make_dialogue(random.Random(f"digest {i}"), level, split).turns:
            made.update(f"{turn.role}\n{turn.text}\n{turn.kind}\n".encode())
    assert made.hexdigest() == DIGEST


def test_every_turn_of_the_model_is_right() -> None:
    assert len(model_turns()) > 2000
    for dialogue, turn in (*model_turns(), *turns_of_the_test_split()):
        assert turn.question is not None
        verdict = check_answer(dialogue.table, turn.question, turn.text)
        assert verdict.is_right, (turn, verdict)
        assert verdict.numbers_right
        assert (verdict.refusal is not None) is (turn.kind in REFUSALS)


def test_every_kind_comes_up_often() -> None:
    kinds = Counter(turn.kind for _, turn in model_turns())
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 0.007 * kinds.total()


def test_roles_alternate_and_the_table_stands_in_a_user_turn() -> None:
    for dialogue in dialogues():
        turns = dialogue.turns[dialogue.turns[0].role == "system" :]
        assert [turn.role for turn in turns] == ["user", "model"] * (len(turns) // 2)
        assert all(turn.text.strip() for turn in turns)
        assert (dialogue.table is None) is not any(
            asset in turn.text
            for turn in turns[::2]
            for asset in (dialogue.table.assets if dialogue.table else ())
        )


def test_the_table_of_a_dialogue_is_the_one_in_its_text() -> None:
    found = 0
    for dialogue in dialogues():
        for turn in dialogue.turns:
            lines = turn.text.splitlines()
            if dialogue.table and len(lines) > len(dialogue.table.assets):
                # The request stands before or after the table, if there is one.
                parts = (lines, lines[1:], lines[:-1])
                assert dialogue.table in [table_of("\n".join(part)) for part in parts]
                found += 1
    assert found > 200


def test_refusals_hold_no_figure() -> None:
    for _, turn in model_turns():
        if turn.kind in REFUSALS:
            assert not re.search(r"\d", turn.text), turn


def test_sizes_suit_a_small_model() -> None:
    sizes = [sum(num_pieces(turn.text) + 4 for turn in d.turns) for d in dialogues()]
    assert max(sizes) < 2600
    shares = [
        sum(len(t.text) for t in d.turns if t.role == "model") / sum(len(t.text) for t in d.turns)
        for d in dialogues()
    ]
    assert 0.25 < median(shares) < 0.5
    briefs = sum(any(t.kind == "brief" for t in d.turns) for d in dialogues())
    assert 0.5 < briefs / len(dialogues()) < 0.85


def test_most_dialogues_begin_with_the_system_text_of_the_page() -> None:
    first = Counter(dialogue.turns[0].text for dialogue in dialogues())
    assert first[NANO_SYSTEM] > len(dialogues()) / 2
    assert any(dialogue.turns[0].role == "user" for dialogue in dialogues())


def test_no_held_out_ticker_is_spoken_of_in_training() -> None:
    for dialogue in dialogues():
        for turn in dialogue.turns:
            asked = turn.question
            for asset in (asked.asset, asked.other) if asked else ():
                assert asset is None or not is_held_out(asset)
    other = [make_dialogue(random.Random(f"test {i}"), split="test") for i in range(60)]
    named = [a for d in other if d.table for a in d.table.assets]
    assert sum(map(is_held_out, named)) > len(named) / 3


def test_a_low_level_gives_short_dialogues() -> None:
    small = [make_dialogue(random.Random(i), 0.0) for i in range(60)]
    assert all(len(d.table.assets) <= 3 for d in small if d.table)


def test_briefs_of_every_table_size_are_right_and_as_long_as_asked() -> None:
    for size in range(1, 21):
        for length in (3, 4, 6):
            rng = random.Random(f"{size} {length}")
            table = make_table(rng, num_assets=size)
            sentences = make_brief(rng, table, length)
            assert len(sentences) <= length
            if len(sentences) >= 3:
                text = " ".join(sentence.text for sentence in sentences)
                assert check_brief(table, text).is_right, text


def test_wordings_are_many() -> None:
    rng = random.Random("wordings")
    assert len({ask(rng, "brief") for _ in range(400)}) > 25
    for name in ("lookup.price", "extreme.change.gain", "count.change", "direction.change"):
        args = {"asset": "BTC", "column": "7d", "side": "down"}
        assert len({ask(rng, name, **args) for _ in range(300)}) > 12
    for kind in TALK:
        assert len({talk(rng, kind, "BTC") for _ in range(400)}) > 25


def test_answers_to_one_question_vary() -> None:
    rng = random.Random("answers")
    table = parse_table("asset,price,1d\nBTC,5.00,+1.00%\nETH,4.00,-2.00%")
    for question in (
        Question("lookup", "BTC", column="1d"),
        Question("extreme", column="1d", side="loss"),
        Question("compare", "BTC", "ETH", "1d"),
        Question("off_topic"),
    ):
        assert len({answer(rng, table, question).text for _ in range(200)}) >= 4


def test_sloppy_questions_keep_tickers_that_training_must_copy() -> None:
    rng = random.Random("sloppy")
    for _ in range(100):
        text = ask(rng, "lookup.price", True, asset="QXVT")
        assert "QXVT" in text
        assert not TICKER.search(text.replace("QXVT", ""))


def test_a_follow_up_repeats_the_question_before() -> None:
    follow_ups = 0
    for dialogue in dialogues():
        turns = [turn for turn in dialogue.turns if turn.role == "model"]
        for before, turn in pairwise(turns):
            if turn.kind == "follow_up":
                follow_ups += 1
                assert before.question is not None
                assert turn.question is not None
                assert before.question.kind == turn.question.kind
                changed = (
                    before.question.asset != turn.question.asset,
                    before.question.column != turn.question.column,
                )
                assert sum(changed) == 1
    assert follow_ups > 10


def test_without_a_table_only_small_talk_is_drawn() -> None:
    rng = random.Random("talk")
    assert {draw_ask(rng, None, "train", None).kind for _ in range(200)} == set(TALK)
