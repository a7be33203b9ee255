"""Sentences written by hand, with their truth worked out by hand: the judge without the writer."""

from __future__ import annotations

import random
import re
from functools import cache

import pytest

from leadout_build.nano.answers import answer
from leadout_build.nano.briefs import make_brief
from leadout_build.nano.check import check_answer, check_brief
from leadout_build.nano.draws import draw_ask
from leadout_build.nano.facts import judge
from leadout_build.nano.forms import Sentence
from leadout_build.nano.markets import make_table
from leadout_build.nano.questions import Question
from leadout_build.nano.sentences import GROUPS, read
from leadout_build.nano.tables import Table, parse_table

MARKET = parse_table(
    """\
asset,price,1d,7d,30d,vol,rsi,50d,200d
AAA,100.00,+2.00%,+5.00%,-1.00%,2.50x,75.0,+3.00%,+9.00%
BBB,50.00,-1.00%,-4.00%,-2.00%,0.80x,25.0,-2.00%,+1.00%
CCC,75.50,0.00%,+1.00%,-3.00%,2.00x,50.0,-6.00%,-8.00%
DDD,,+1.50%,,-4.00%,1.00x,70.0,+1.00%,
fear-and-greed index: 24"""
)
TIED = parse_table("asset,1d,rsi\nXX,+1.00%,30.0\nYY,+1.00%,70.0\nZZ,-1.00%,50.0")
ONE = parse_table("asset,price,1d\nAAA,1.00,0.00%")
GAPS = parse_table("asset,price,1d\nAAA,1.00,+1.00%\nBBB,2.00,")
#: Per kind of claim: true sentences, then false ones.
BY_HAND: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "value": (
        (
            "AAA trades at 100.00.",
            "AAA is at +2.00% today.",
            "This week, BBB stands at -4.00%.",
            "AAA trades at 2.50x its average volume.",
            "The RSI of BBB is 25.0.",
            "AAA is at +3.00% against its 50-day average.",
        ),
        (
            "AAA trades at 50.00.",
            "AAA trades at 100.0.",
            "DDD trades at 100.00.",
            "EEE trades at 100.00.",
            "AAA is at +2.00% this week.",
            "AAA is at -2.00% today.",
            "AAA is at +3.00% against its 200-day average.",
        ),
    ),
    "line": (
        (
            "AAA trades at 100.00, with +2.00% today, +5.00% this week and -1.00% this month.",
            "DDD is at +1.50% today and -4.00% this month.",
        ),
        (
            "AAA trades at 100.00, with +5.00% today and +2.00% this week.",
            "AAA is at +2.00% today and +2.00% on the day.",
            "DDD trades at 100.00, with +1.50% today and -4.00% this month.",
        ),
    ),
    "extreme": (
        (
            "AAA leads the day at +2.00%.",
            "AAA leads the month at -1.00%.",
            "BBB fell the most this week, at -4.00%.",
            "BBB has the lowest price at 50.00.",
            "The highest RSI belongs to AAA at 75.0.",
            "CCC is furthest below its 200-day average at -8.00%.",
            "Volume is lowest in BBB at 0.80x its average.",
        ),
        (
            "DDD leads the day at +1.50%.",
            "AAA gained the most this month, at -1.00%.",
            "AAA fell the most this week, at -4.00%.",
            "BBB has the highest price at 50.00.",
            "CCC has the lowest price at 75.50.",
            "BBB is furthest below its 200-day average at +1.00%.",
        ),
    ),
    "nobody": (
        ("No asset rose this month; the strongest is AAA at -1.00%.",),
        (
            "No asset rose today; the strongest is AAA at +2.00%.",
            "No asset rose this month; the strongest is BBB at -2.00%.",
            "No asset fell this month; the weakest is DDD at -4.00%.",
            "No asset fell this month; the weakest is AAA at -1.00%.",
        ),
    ),
    "list": (
        (
            "AAA (+2.00%) and DDD (+1.50%) are up today.",
            "Down today: BBB.",
            "Above the 50-day average: AAA (+3.00%) and DDD (+1.00%).",
            "RSI is above 70 in AAA (75.0).",
            "Unusual volume: AAA (2.50x).",
        ),
        (
            "AAA (+2.00%) is up today.",
            "AAA (+2.00%), CCC (0.00%) and DDD (+1.50%) are up today.",
            "AAA (+1.50%) and DDD (+2.00%) are up today.",
            "AAA (+2.00%) and DDD (+1.50%) are down today.",
            "Down today: BBB and CCC.",
            "RSI is above 70 in AAA (75.0) and DDD (70.0).",
            "Unusual volume: AAA (2.50x) and CCC (2.00x).",
        ),
    ),
    "count": (
        (
            "Up today: AAA and DDD; that makes 2.",
            "Up today: AAA and DDD; that makes 2 of 4 assets.",
            "Up today: AAA and DDD. That makes 2 assets.",
            "No asset is up this month, so the count is 0.",
            "Oversold: BBB; that is 1.",
        ),
        (
            "Up today: AAA and DDD; that makes 3.",
            "Up today: AAA and DDD; that makes 1.",
            "Up today: AAA, CCC and DDD; that makes 3.",
            "Up today: AAA and DDD; that makes 2 of 5 assets.",
            "No asset is up this month, so the count is 1.",
            "No asset is up today, so the count is 0.",
            "Oversold: BBB; that is 2.",
        ),
    ),
    "none": (
        ("No asset is up this month.",),
        (
            "No asset is up today.",
            "No asset is overbought.",
            "No asset is below its 200-day average.",
            "No asset shows unusual volume.",
        ),
    ),
    "breadth": (
        ("2 of 4 assets are up today.", "2 of 4 assets are up today, led by AAA at +2.00%."),
        (
            "3 of 4 assets are up today.",
            "2 of 3 assets are up today.",
            "2 of 4 assets are up this week.",  # of one, nobody knows
            "2 of 4 assets are up today, led by DDD at +1.50%.",
            "1 of 4 assets is up today.",
        ),
    ),
    "every": (
        (
            "Every asset is down this month.",
            "All assets are down this month, with DDD weakest at -4.00%.",
        ),
        (
            "Every asset is up today.",
            "Every asset is up this month.",
            "All assets are down this month, with AAA weakest at -1.00%.",
            "Every asset is above its 50-day average.",
        ),
    ),
    "most": (
        ("Most assets are down this month, with DDD weakest at -4.00%.",),
        (
            "Most assets are up today, led by AAA at +2.00%.",  # two of four
            "Most assets are down this month, with CCC weakest at -3.00%.",
        ),
    ),
    "range": (
        (
            "Moves today range from BBB at -1.00% to AAA at +2.00%.",
            "The day is mixed, from BBB at -1.00% to AAA at +2.00%.",
            "Prices run from BBB at 50.00 to AAA at 100.00.",
        ),
        (
            "Moves today range from AAA at +2.00% to BBB at -1.00%.",
            "Moves today range from BBB at -1.00% to DDD at +1.50%.",
            "The month is mixed, from DDD at -4.00% to AAA at -1.00%.",
            "Prices run from CCC at 75.50 to AAA at 100.00.",
        ),
    ),
    "pair": (
        ("AAA leads the day at +2.00%, while BBB lags at -1.00%.",),
        (
            "BBB leads the day at -1.00%, while AAA lags at +2.00%.",
            "AAA leads the week at +2.00%, while BBB lags at -1.00%.",
            "AAA leads the day at +2.00%, while CCC lags at 0.00%.",
        ),
    ),
    "double": (
        ("AAA leads both the day (+2.00%) and the week (+5.00%).",),
        (
            "BBB is last on both the day (-1.00%) and the month (-2.00%).",
            "AAA leads both the day (+5.00%) and the week (+2.00%).",
            "AAA leads both the day (+2.00%) and the day (+2.00%).",
        ),
    ),
    "covers": (
        ("The table covers 4 assets: AAA, BBB, CCC and DDD.",),
        (
            "The table covers 3 assets: AAA, BBB and CCC.",
            "The table covers 5 assets: AAA, BBB, CCC and DDD.",
        ),
    ),
    "compare": (
        (
            "AAA trades at 100.00 and BBB at 50.00, so AAA is higher.",
            "BBB is at -1.00% and AAA at +2.00% today, so AAA is stronger.",
            "RSI: BBB 25.0, CCC 50.0; CCC is higher.",
        ),
        (
            "AAA trades at 100.00 and BBB at 50.00, so BBB is higher.",
            "AAA trades at 50.00 and BBB at 100.00, so AAA is higher.",
            "AAA trades at 100.00 and BBB at 50.00, so CCC is higher.",
            "AAA trades at 100.00 and DDD at 50.00, so AAA is higher.",
            "RSI: CCC 50.0, CCC 50.0; CCC is higher.",
        ),
    ),
    "state": (
        (
            "AAA is overbought: its RSI is 75.0, above 70.",
            "BBB has an RSI of 25.0, which is below 30, so it is oversold.",
            "DDD has an RSI of 70.0, between 30 and 70, so it is neither overbought nor oversold.",
            "Yes, AAA is overbought with an RSI of 75.0.",
        ),
        (
            "DDD is overbought: its RSI is 70.0, above 70.",
            "BBB is overbought: its RSI is 25.0, above 70.",
            "AAA is overbought: its RSI is 74.0, above 70.",
            "Yes, AAA is oversold with an RSI of 75.0.",
        ),
    ),
    "unstate": (
        (
            "No, AAA is not oversold: its RSI is 75.0.",
            "No, DDD is not overbought: its RSI is 70.0.",
        ),
        (
            "No, AAA is not overbought: its RSI is 75.0.",
            "No, BBB is not oversold: its RSI is 25.0.",
            "No, AAA is not oversold: its RSI is 50.0.",
        ),
    ),
    "direction": (
        (
            "Yes, AAA is up today at +2.00%.",
            "No, CCC is unchanged today at 0.00%.",
            "AAA trades above its 50-day average at +3.00%.",
        ),
        (
            "No, AAA is down today at +2.00%.",
            "Yes, CCC is up today at 0.00%.",
            "Yes, AAA is up today at +5.00%.",
            "AAA trades below its 50-day average at +3.00%.",
        ),
    ),
    "position": (
        (
            "AAA trades above both its 50-day (+3.00%) and its 200-day average (+9.00%).",
            "BBB is below its 50-day average (-2.00%) but above its 200-day one (+1.00%).",
        ),
        (
            "AAA is above its 50-day average (+3.00%) but below its 200-day one (+9.00%).",
            "AAA is above its 50-day average (+3.00%) but above its 200-day one (+9.00%).",
            "BBB trades below both its 50-day (-2.00%) and its 200-day average (+1.00%).",
            "AAA trades above both its 50-day (+9.00%) and its 200-day average (+3.00%).",
        ),
    ),
    "busy": (
        ("Volume stands out in AAA at 2.50x its average.",),
        (
            "Volume stands out in CCC at 2.00x its average.",
            "Volume stands out in BBB at 2.50x its average.",
        ),
    ),
    "mood": (
        (
            "The fear-and-greed index is at 24, which is extreme fear.",
            "Sentiment reads 24 on the fear-and-greed index: extreme fear.",
        ),
        (
            "The fear-and-greed index is at 24, which is fear.",
            "The fear-and-greed index is at 25, which is extreme fear.",
            "The fear-and-greed index is at 24, which is extreme greed.",
        ),
    ),
    "refusal": (
        ("EEE is not in the table.", "The table shows moves, not their causes."),
        ("AAA is not in the table.", "No fear-and-greed index is given."),
    ),
}

#: As above, about other tables.
ELSEWHERE: dict[str, tuple[tuple[Table, str, bool], ...]] = {
    "tie": (
        (TIED, "XX and YY tie for the highest daily change at +1.00%.", True),
        (TIED, "XX, YY and ZZ tie for the highest daily change at +1.00%.", False),
        (TIED, "XX and ZZ tie for the highest daily change at +1.00%.", False),
        (TIED, "XX and YY tie for the lowest daily change at +1.00%.", False),
        (MARKET, "AAA and DDD tie for the highest daily change at +2.00%.", False),
    ),
    "level": (
        (TIED, "XX and YY are level at +1.00% in daily change.", True),
        (TIED, "XX and ZZ are level at +1.00% in daily change.", False),
        (TIED, "XX and XX are level at +1.00% in daily change.", False),
    ),
    "calm": (
        (TIED, "No asset is overbought or oversold.", True),
        (MARKET, "No asset is overbought or oversold.", False),
        (ONE, "No asset is overbought or oversold.", False),  # it has no RSI
    ),
    "single": (
        (ONE, "AAA is the only asset here and trades at 1.00.", True),
        (ONE, "AAA is the only asset here and trades at 2.00.", False),
        (MARKET, "AAA is the only asset here and trades at 100.00.", False),
    ),
    "most": ((TIED, "Most assets are up today, led by XX at +1.00%.", True),),
    "every": (
        (GAPS, "Every asset is up today.", False),  # of one, nobody knows
        (GAPS, "Every asset is down today.", False),
    ),
    "none": ((ONE, "No asset is up today.", True), (ONE, "No asset is overbought.", False)),
    "mood": ((ONE, "The fear-and-greed index is at 24, which is extreme fear.", False),),
    "refusal": ((ONE, "No fear-and-greed index is given.", True),),
}

SENTENCES = [
    *(
        (kind, MARKET, text, is_true)
        for kind, pair in BY_HAND.items()
        for texts, is_true in zip(pair, (True, False), strict=True)
        for text in texts
    ),
    *((kind, *sentence) for kind, sentences in ELSEWHERE.items() for sentence in sentences),
]


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
