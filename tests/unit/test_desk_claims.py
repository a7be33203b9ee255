"""Texts held against the desk's table (leadout_desk.claims): what is linked, flagged, left alone.

Nano's generator knows thousands of true sentences in hundreds of forms; it is the oracle here.
"""

from __future__ import annotations

import random
import re
from functools import cache

import pytest

from leadout_build.cli.market_table import Table as NanoTable
from leadout_build.cli.market_table import parse_table
from leadout_build.store.nano_prompts import EXAMPLE_TABLE_CSV
from leadout_desk.claims.checking import Sentence, check
from leadout_desk.table import Row, Table
from nano.answers import answer
from nano.briefs import make_brief
from nano.draws import draw_ask
from nano.forms import Sentence as Written
from nano.markets import make_table


def desk_table(table: NanoTable) -> Table:
    rows = [
        Row(asset, {c: text for c, text in zip(table.columns, row, strict=True) if text})
        for asset, row in zip(table.assets, table.cells, strict=True)
    ]
    return Table(tuple(rows), table.mood)


EXAMPLE = desk_table(parse_table(EXAMPLE_TABLE_CSV))


@cache
def written() -> list[tuple[Table, Written]]:
    """Write true sentences about many tables."""
    made: list[tuple[Table, Written]] = []
    for seed in range(120):
        rng = random.Random(f"desk {seed}")
        table = make_table(rng)
        sentences = [*make_brief(rng, table)]
        sentences += [answer(rng, table, draw_ask(rng, table, "train", None).question)
                      for _ in range(3)]  # fmt: skip
        ours = desk_table(table)
        made += [(ours, one) for one in sentences if one.claim.kind != "refusal"]
    return made


def faults(text: str, table: Table = EXAMPLE) -> list[str]:
    return [fault for sentence in check(text, table) for fault in sentence.faults]


def cells(text: str, table: Table = EXAMPLE) -> list[tuple[str, str, str]]:
    """Return each linked number with its cell."""
    return [
        (text[link.figure.start : link.figure.end], link.asset or "", link.column or "")
        for sentence in check(text, table)
        for link in sentence.links
        if not link.fault
    ]


def only(text: str, table: Table = EXAMPLE) -> Sentence:
    (sentence,) = check(text, table)
    return sentence


# ---- true sentences ------------------------------------------------------------------------


def test_no_true_sentence_of_nanos_is_called_false() -> None:
    found = [(one.text, said) for table, one in written() if (said := faults(one.text, table))]
    assert len(written()) > 700
    assert found == []


def test_most_true_sentences_are_checked() -> None:
    checked = sum(only_or_all(one.text, table) for table, one in written())
    # Seen: 99 %.
    assert checked > 0.95 * len(written())


def only_or_all(text: str, table: Table) -> bool:
    return any(sentence.is_checked for sentence in check(text, table))


def test_values_of_true_sentences_lead_to_their_cells() -> None:
    for table, one in written():
        args = one.claim.args
        if one.claim.kind == "value":
            assert (args["value"], args["asset"], args["column"]) in cells(one.text, table)


# ---- false ones ----------------------------------------------------------------------------


def test_a_wrong_digit_is_always_found() -> None:
    rng = random.Random("digits")
    tried = 0
    for table, one in written():
        # Digits of tickers, of "50-day" and of the bounds of an RSI are no figures.
        names = "|".join(map(re.escape, table.assets))
        others = rf"{names}|\d+-day|\b[37]0\b(?!\.)"
        spans = [match.span() for match in re.finditer(others, one.text)]
        places = [
            match.start()
            for match in re.finditer(r"\d", one.text)
            if not any(start <= match.start() < end for start, end in spans)
        ]
        if not places:
            continue
        place = rng.choice(places)
        digit = rng.choice([d for d in "123456789" if d != one.text[place]])
        text = f"{one.text[:place]}{digit}{one.text[place + 1 :]}"
        tried += 1
        assert faults(text, table), text
    assert tried > 500


OPPOSITES = (
    *(("highest", "lowest"), ("strongest", "weakest"), ("leads", "lags"), ("up", "down")),
    *(("Up", "Down"), ("Above", "Below"), ("gained", "fell"), ("overbought", "oversold")),
    *(("50-day", "200-day"), ("above", "below")),
)


def test_most_opposite_words_are_found() -> None:
    found = tried = 0
    for table, one in written():
        if re.search(r"\b(?:not|neither|no|No)\b", one.text):
            continue
        for pair in OPPOSITES:
            for word, other in (pair, pair[::-1]):
                turned = re.sub(rf"\b{word}\b", other, one.text)
                if turned != one.text:
                    tried += 1
                    found += bool(faults(turned, table))
    assert tried > 300
    # Seen: 97 %; the others are sentences that are true both ways, or not read.
    assert found > 0.9 * tried


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SOL fell most this week.", "that is DOGE's, at -8.96%"),
        ("ETH is overbought.", "ETH's RSI is 52.1: neither overbought (above 70)"),
        ("ADA is up.", "ADA's change by day is -2.17%"),
        ("ADA is up today.", "ADA's change by day is -2.17%"),
        ("BTC gained 2.46% today.", "2.46% is ETH's change by day, not BTC's."),
        ("BTC rose 4.12% today.", "4.12% is BTC's change by week, not the change by day."),
        ("DOGE rose 3.74% today.", "DOGE's change by day is -3.74%"),
        ("DOGE stands at 3.74% today.", "3.74%: DOGE's change by day is -3.74%."),
        ("BTC trades at 97413.50.", "97413.50 is not in the table."),
        ("Bitcoin trades at $99,000.", "$99,000 is not in the table."),
        ("Six of 8 assets are up today.", "It is 5"),
        ("5 of 9 assets are up today.", "The table has 8 assets."),
        ("All assets are up today.", "It is 5"),
        ("No asset is oversold.", "It is 1 (DOGE)"),
        ("BTC outperformed SOL this week.", "SOL's change by week is +12.67%"),
        ("ETH fell more than DOGE this month.", "DOGE's change by month is -11.50%"),
        (
            "AVAX is above its 200-day average.",
            "AVAX's distance from its 200-day average is -3.97%",
        ),
        ("BTC is below both its 50-day and 200-day averages.", "BTC's distance"),
        ("The fear and greed index is at 70.", "of the table is 68"),
        ("The fear and greed index of 68 shows extreme greed.", "is called greed"),
        ("Up this week: BTC, ETH and SOL.", "The list leaves out XRP, LINK."),
        ("XYZ leads the day at +5.31%.", "XYZ is not in the table."),
        ("BTC is at +4.12% and SOL at +12.67% this week, so BTC is ahead.", "SOL's change by week"),
        ("SOL has the lowest RSI.", "that is DOGE's, at 28.9"),
        ("BTC's RSI is above 70.", "BTC's RSI is 63.4."),
        ("DOGE's volume is below its average.", "DOGE's volume against its average is 1.37x"),
    ],
)
def test_false_claims_are_flagged_with_what_the_table_says(text: str, said: str) -> None:
    assert said in " ".join(faults(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bitcoin rose 1.84% today to $97,412.50, while Dogecoin fell 3.74%.",
         [("1.84%", "BTC", "1d"), ("$97,412.50", "BTC", "price"), ("3.74%", "DOGE", "1d")]),
        ("SOL leads the week at +12.67%; its RSI of 74.8 is overbought.",
         [("+12.67%", "SOL", "7d"), ("74.8", "SOL", "rsi")]),
        ("DOGE is 12.61% below its 50-day average and 17.33% above its 200-day average.",
         [("12.61%", "DOGE", "50d"), ("17.33%", "DOGE", "200d")]),
        ("1. **BTC**: up 1.84% today.\n2. **ADA**: down 2.17% today.",
         [("1.84%", "BTC", "1d"), ("2.17%", "ADA", "1d")]),
        ("On 2024-01-05 BTC traded at about 97,000.", [("97,000", "BTC", "price")]),
        ("BTC's RSI (14) is 63.", [("63", "BTC", "rsi")]),
        ("SOL trades on 2.41 times its average volume.", [("2.41 times", "SOL", "vol")]),
        ("Ripple (XRP) leads the month with a 27.41% gain, trading at $2.42, followed by Solana.",
         [("27.41%", "XRP", "30d"), ("$2.42", "XRP", "price")]),
        ("The index of 68 shows greed, as it has since March 2024.", [("68", "", "")]),
        ("The 7-day gain of 4.12 percent put BTC ahead of ETH.", [("4.12 percent", "BTC", "7d")]),
    ],
)  # fmt: skip
def test_numbers_of_free_texts_lead_to_their_cells(
    text: str, expected: list[tuple[str, str, str]]
) -> None:
    assert faults(text) == []
    assert cells(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "ADA may be up tomorrow.",
        "BTC did not fall.",
        "Is ETH overbought?",
        "SOL is nearing overbought territory.",
        "XRP had its best day since spring.",
        "The market is quiet.",
        "BTC is the second strongest asset.",
    ],
)
def test_what_is_not_understood_is_neither_right_nor_wrong(text: str) -> None:
    sentence = only(text)
    assert sentence.faults == []
    assert not sentence.is_checked


def test_tickers_that_are_words_are_no_directions() -> None:
    table = Table((Row("ROSE", {"1d": "-1.00%"}), Row("FELL", {"1d": "+2.00%"})))
    assert faults("ROSE and FELL are here. ROSE is down today. FELL is up today.", table) == []
    assert faults("ROSE is up today.", table)


def test_hostile_names_and_texts_do_no_harm() -> None:
    name = "(a+)+$|[\\"
    table = Table((Row(name, {"1d": "+1.00%", "price": "5.00"}),))
    assert cells(f"{name} is at +1.00% today.", table) == [("+1.00%", name, "1d")]
    text = "BTC " * 2000 + "1" * 5000 + "," * 5000 + " (" * 3000
    assert check(text[:20_000], EXAMPLE)
    assert check("", EXAMPLE) == []
    assert check("5 of 8", Table(())) != []
