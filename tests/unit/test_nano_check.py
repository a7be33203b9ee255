"""The checker of Nano's texts: what is written reads back as its claim, and faults are found."""

from __future__ import annotations

import random
import re
from functools import cache
from itertools import pairwise

import pytest

from leadout_build.cli.market_table import Table, parse_table
from leadout_build.store.nano_prompts import EXAMPLE_TABLE_CSV
from nano.answers import answer
from nano.briefs import make_brief
from nano.check import check_answer, check_brief, split_sentences
from nano.draws import draw_ask
from nano.facts import judge
from nano.forms import Sentence
from nano.markets import make_table
from nano.questions import Question, due_refusal
from nano.sentences import GROUPS, read

EXAMPLE = parse_table(EXAMPLE_TABLE_CSV)
ONE = Table(("BTC",), ("price", "1d", "rsi"), (("97412.50", "+1.84%", ""),))
TIED = Table(("A1", "BB", "CC"), ("1d",), (("+2.00%",), ("-1.00%",), ("+2.00%",)), 44)

OPPOSITES = (
    *(("up", "down"), ("above", "below"), ("highest", "lowest"), ("strongest", "weakest")),
    *(("overbought", "oversold"), ("Yes", "No"), ("leads", "lags"), ("best", "worst")),
    *(("gained", "fell"), ("day", "month"), ("today", "this week"), ("greed", "fear")),
    *(("Up", "Down"), ("Above", "Below"), ("50-day", "200-day"), ("gains", "losses")),
    *(("gainer", "loser"), ("laggard", "leader"), ("gain", "loss"), ("weekly", "daily")),
)
REFUSED = [name for name in GROUPS if name.startswith("refusal")]


@cache
def written() -> list[tuple[Table, Sentence]]:
    """Write some thousands of sentences about as many tables as there are seeds."""
    made: list[tuple[Table, Sentence]] = []
    for seed in range(260):
        rng = random.Random(f"sentences {seed}")
        table = make_table(rng)
        made += [(table, sentence) for sentence in make_brief(rng, table)]
        for _ in range(4):
            question = draw_ask(rng, table, "train", None).question
            made.append((table, answer(rng, table, question)))
    return made


def of_example(seed: int) -> list[tuple[Question, str]]:
    rng = random.Random(f"example {seed}")
    asked = [draw_ask(rng, EXAMPLE, "train", None).question for _ in range(300)]
    asked = [question for question in asked if due_refusal(EXAMPLE, question) is None]
    return [(question, answer(rng, EXAMPLE, question).text) for question in asked]


def test_every_sentence_reads_back_as_its_one_claim_which_is_true() -> None:
    for table, sentence in written():
        assert read(sentence.text) == (sentence.claim,), sentence.text
        judgement = judge(sentence.claim, table)
        assert judgement.is_true, (sentence.text, table)
        assert judgement.numbers_right


def test_every_form_of_every_group_can_be_written_in_tests() -> None:
    kinds = {form.kind for group in GROUPS.values() for form in group}
    seen = {sentence.claim.kind for _, sentence in written()}
    assert kinds - seen <= {"level", "covers", "double", "nobody", "single", "tie"}


def test_a_wrong_digit_is_always_found() -> None:
    rng = random.Random("digits")
    for table, sentence in written():
        places = [m.start() for m in re.finditer(r"\d", sentence.text)]
        if not places:
            continue
        place = rng.choice(places)
        digit = rng.choice([d for d in "0123456789" if d != sentence.text[place]])
        text = f"{sentence.text[:place]}{digit}{sentence.text[place + 1 :]}"
        verdict = check_brief(table, text)
        assert not any(is_true for _, is_true in verdict.sentences), text
        # A digit of a ticker is no figure.
        assert not verdict.numbers_right or re.search(r"[A-Z]\d|\d[A-Z]", text), text


def test_another_asset_is_always_found() -> None:
    for table, sentence in written():
        named = sentence.claim.args.get("asset")
        if sentence.claim.kind == "refusal" or named is None:
            continue
        text = re.sub(rf"(?<![A-Z0-9.]){re.escape(named)}(?![A-Z0-9])", "ZZQX", sentence.text)
        assert not judge(read(text)[0], table).is_true, text


def test_values_of_two_assets_that_change_places_are_found() -> None:
    for question, text in of_example(1):
        values = re.findall(r"[+-]?\d+\.\d+[%x]?", text)
        if len(set(values)) == 2:
            swapped = text.replace(values[0], "@").replace(values[1], values[0])
            assert not check_answer(EXAMPLE, question, swapped.replace("@", values[1])).is_right


def test_the_opposite_word_is_always_found() -> None:
    found = 0
    for seed in (2, 3):
        for question, text in of_example(seed):
            assert check_answer(EXAMPLE, question, text).is_right, text
            for pair in OPPOSITES:
                for word, other in (pair, pair[::-1]):
                    turned = re.sub(rf"\b{word}\b", other, text)
                    # "Not overbought" and "not oversold" are both true of most assets.
                    if turned != text and "not" not in text and "neither" not in text:
                        found += 1
                        assert not check_answer(EXAMPLE, question, turned).is_right, turned
    assert found > 150


def test_an_answer_to_another_question_is_not_right() -> None:
    asked = of_example(4)
    for (question, text), (other, _) in pairwise(asked):
        if {question.kind, other.kind} <= {"lookup", "extreme", "list", "count"}:
            is_same = (question.asset, question.column) == (other.asset, other.column)
            assert is_same or not check_answer(EXAMPLE, other, text).is_right, (other, text)


def test_a_brief_has_three_to_six_sentences_none_twice() -> None:
    said = [f"{a} trades at {EXAMPLE.text(a, 'price')}." for a in EXAMPLE.assets]
    for number in range(1, 9):
        assert check_brief(EXAMPLE, " ".join(said[:number])).is_right is (3 <= number <= 6)
    assert not check_brief(EXAMPLE, " ".join([*said[:3], said[0]])).is_right
    assert not check_brief(EXAMPLE, " ".join([*said[:3], "No asset is up this week."])).is_right


def test_a_sentence_that_nobody_knows_counts_as_false_and_its_figures_as_wrong() -> None:
    assert check_brief(EXAMPLE, "BTC went to the moon.").sentences == (
        ("BTC went to the moon.", False),
    )
    assert not check_brief(EXAMPLE, "BTC went to 97412.50 moons.").numbers_right
    assert not check_brief(EXAMPLE, "").is_right


def test_forms_of_two_sentences_are_read_as_one() -> None:
    text = "Up today: BTC and ETH. That makes 2 assets. BTC trades at 97412.50."
    assert [bool(claim) for _, claim in split_sentences(text)] == [True, True]


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("A1 and CC tie for the highest daily change at +2.00%.", True),
        ("A1 leads the day at +2.00%.", True),
        ("CC leads the day at +2.00%.", True),
        ("BB leads the day at -1.00%.", False),
        ("A1 and BB tie for the highest daily change at +2.00%.", False),
        ("A1 fell the most today, at +2.00%.", False),
    ],
)
def test_of_a_tie_either_asset_or_all_of_them_are_right(text: str, is_right: bool) -> None:
    question = Question("extreme", column="1d", side="high")
    assert check_answer(TIED, question, text).is_right is is_right


@pytest.mark.parametrize(
    ("table", "question", "reason"),
    [
        (EXAMPLE, Question("lookup", "TSLA", column="price"), "no_asset"),
        (EXAMPLE, Question("compare", "BTC", "TSLA", "price"), "no_asset"),
        (ONE, Question("lookup", "BTC", column="7d"), "no_column"),
        (EXAMPLE, Question("lookup", "BTC", column="market cap"), "no_column"),
        (ONE, Question("state", "BTC", column="rsi"), "no_cell"),
        (ONE, Question("mood"), "no_mood"),
        (None, Question("brief"), "no_table"),
        (EXAMPLE, Question("advice"), "advice"),
    ],
)
def test_what_the_table_lacks_makes_its_refusal_due(
    table: Table | None, question: Question, reason: str
) -> None:
    assert due_refusal(table, question) == reason
    for name in REFUSED:
        form = GROUPS[name][0]
        text = form.write(random.Random(1), {"asset": question.asset or "TSLA"}).text
        verdict = check_answer(table, question, text)
        assert verdict.refusal == form.fixed["reason"]
        if form.fixed["reason"] != reason:
            assert not verdict.is_right, text
    assert check_answer(table, question, GROUPS[f"refusal.{reason}"][0].write(
        random.Random(1), {}).text).is_right  # fmt: skip


def test_a_refusal_is_not_right_where_the_table_has_the_answer() -> None:
    question = Question("lookup", "BTC", column="price")
    for text in ("BTC is not in the table.", "The table has no column for that."):
        assert not check_answer(EXAMPLE, question, text).is_right


def test_no_refusal_holds_a_figure() -> None:
    for name in REFUSED:
        assert not any(re.search(r"\d", form.template) for form in GROUPS[name])
