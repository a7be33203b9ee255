"""Claims of sentences: held to judgements by hand, and to faults put into what is written."""

from __future__ import annotations

import random
import re
from functools import cache

import pytest

from leadout_build.cli.market_table import Table
from nano.answers import answer
from nano.briefs import make_brief
from nano.check import check_answer, check_brief
from nano.draws import draw_ask
from nano.facts import judge
from nano.forms import Sentence
from nano.markets import make_table
from nano.questions import Question
from nano.sentences import GROUPS, read
from nano_sentences import MARKET, SENTENCES


def test_every_kind_of_claim_has_true_and_false_sentences_by_hand() -> None:
    kinds = {form.kind for group in GROUPS.values() for form in group}
    for truth in (True, False):
        assert {kind for kind, _, _, is_true in SENTENCES if is_true is truth} == kinds


def test_sentences_by_hand_are_judged_as_by_hand() -> None:
    for kind, table, text, is_true in SENTENCES:
        claims = read(text)
        assert [claim.kind for claim in claims] == [kind], text
        judgement = judge(claims[0], table)
        assert judgement.is_true is is_true, text
        assert judgement.numbers_right or not is_true, text


@pytest.mark.parametrize(
    ("text", "numbers_right"),
    [
        ("AAA leads the month at -1.00%.", True),
        ("BBB leads the day at -1.00%.", True),  # the number is right, the sentence is not
        ("AAA gained the most this month, at -1.00%.", True),
        ("AAA leads the day at +2.01%.", False),
        ("Up today: AAA and DDD; that makes 3.", False),
        ("The fear-and-greed index is at 24, which is greed.", True),
        ("The fear-and-greed index is at 42, which is fear.", False),
        ("EEE trades at 100.00.", False),
    ],
)
def test_numbers_are_judged_apart_from_what_is_said_of_them(text: str, numbers_right: bool) -> None:
    assert judge(read(text)[0], MARKET).numbers_right is numbers_right


def test_bands_of_the_index_change_where_they_should() -> None:
    edges = {
        "extreme fear": (0, 24),
        "fear": (25, 44),
        "neutral": (45, 55),
        "greed": (56, 74),
        "extreme greed": (75, 100),
    }
    for right, ends in edges.items():
        for mood in ends:
            table = Table(("AAA",), ("1d",), (("+1.00%",),), mood)
            for band in edges:
                text = f"The fear-and-greed index is at {mood}, which is {band}."
                assert check_answer(table, Question("mood"), text).is_right is (band == right)


@pytest.mark.parametrize(
    "text",
    [
        "AAA trades at 100.00",  # no end
        "aaa trades at 100.00.",
        "AAA trades at  100.00.",
        "AAA trades at 100.00 .",
        "AAA trades at 100.00!",
        "AAA trades at $100.00.",
        "AAA trades at 100.00. It will rise to 200.00.",
        "EEE is not in the table, but trades at 5.00.",
        "The table has no column for that; it may be 7.",
        "AAA is up today.",
    ],
)
def test_what_is_near_a_sentence_is_none(text: str) -> None:
    verdict = check_answer(MARKET, Question("lookup", "AAA", column="price"), text)
    assert not verdict.is_right
    if re.search(r"\d", text):
        assert not verdict.numbers_right


def test_a_refusal_with_a_figure_added_is_not_right() -> None:
    question = Question("lookup", "EEE", column="price")
    assert check_answer(MARKET, question, "EEE is not in the table.").is_right
    for extra in ("AAA trades at 100.00.", "Its price is 5.00.", "5.00"):
        assert not check_answer(MARKET, question, f"EEE is not in the table. {extra}").is_right


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("The table gives no value there.", True),
        ("The table gives no value for DDD there.", True),
        ("The table gives no value for AAA there.", False),  # it does
        ("The table gives no value for CCC there.", False),  # nobody asked
        ("DDD is not in the table.", False),
        ("AAA trades at 100.00.", False),
    ],
)
def test_a_comparison_is_refused_for_the_asset_whose_cell_is_missing(
    text: str, is_right: bool
) -> None:
    for pair in (("AAA", "DDD"), ("DDD", "AAA")):
        question = Question("compare", *pair, "price")
        assert check_answer(MARKET, question, text).is_right is is_right


# ---- faults in what is written -----------------------------------------------------------------


@cache
def written() -> list[tuple[Table, Sentence]]:
    """Write about tables with tickers that training never sees."""
    made: list[tuple[Table, Sentence]] = []
    for seed in range(120):
        rng = random.Random(f"claims {seed}")
        table = make_table(rng, split="test")
        made += [(table, sentence) for sentence in make_brief(rng, table)]
        for _ in range(5):
            question = draw_ask(rng, table, "test", None).question
            made.append((table, answer(rng, table, question)))
    return made


def test_sentences_about_unseen_tickers_read_back_as_one_true_claim() -> None:
    assert len(written()) > 900
    for table, sentence in written():
        assert read(sentence.text) == (sentence.claim,), sentence.text
        assert judge(sentence.claim, table).is_true, (sentence.text, table)


def test_a_count_that_is_off_by_one_is_always_found() -> None:
    found = 0
    for table, sentence in written():
        args = sentence.claim.args
        for name in ("n", "total"):
            for change in (-1, 1):
                if name in args:
                    found += 1
                    claim = type(sentence.claim)(
                        sentence.claim.kind, {**args, name: args[name] + change}
                    )
                    judgement = judge(claim, table)
                    assert not judgement.is_true
                    assert not judgement.numbers_right
    assert found > 100


def test_a_list_that_lacks_or_adds_an_asset_is_always_found() -> None:
    found = 0
    for table, sentence in written():
        args = sentence.claim.args
        if "items" not in args:
            continue
        items = args["items"]
        others = [asset for asset in table.assets if asset not in dict(items)]
        changed = [
            items[1:],
            items[:-1],
            (*items, items[0]),
            *((*items, (o, None)) for o in others),
        ]
        for faulty in changed:
            found += 1
            claim = type(sentence.claim)(sentence.claim.kind, {**args, "items": faulty})
            assert not judge(claim, table).is_true, sentence.text
    assert found > 300


def test_a_text_without_its_end_is_always_found() -> None:
    for table, sentence in written():
        assert not read(sentence.text[:-1])
        verdict = check_brief(table, sentence.text.rstrip(".?"))
        assert not verdict.is_right
        assert not all(is_true for _, is_true in verdict.sentences)
