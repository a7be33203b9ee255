"""Which question comes next in a dialogue, by kind, and how it is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from random import Random
from typing import TypeVar

from leadout_build.cli.market_table import COLUMNS, Table
from nano.asks import ask, group_of
from nano.questions import Question, due_refusal
from nano.small_talk import TALK, talk
from nano.tables import AVERAGES, CHANGES
from nano.tickers import (
    COINS,
    NAMES,
    STOCKS,
    draw_ticker,
    is_held_out,
    resemble,
)
from nano.words import WORDS

_Choice = TypeVar("_Choice")

#: How often each kind is drawn, where the table allows it.
_WEIGHTS = {
    "lookup": 13,
    "extreme": 17,
    "count": 16,
    "list": 16,
    "compare": 12,
    "state": 10,
    "direction": 14,
    "mood": 8,
    "follow_up": 26,
    "no_asset": 7,
    "no_column": 8,
    "no_cell": 16,
    "no_mood": 10,
    "no_reason": 2,
    "off_topic": 5,
    "advice": 4,
    "other_language": 3,
    "empty": 3,
}
_KINDS = tuple(kind for kind, weight in _WEIGHTS.items() for _ in range(weight))

#: Figures that people ask for and no table has.
_FOREIGN = (
    *("market cap", "dividend", "P/E ratio", "supply", "all-time high", "beta", "MACD"),
    *("yearly change", "hourly change", "opening price", "trading range", "open interest"),
    *("sector", "earnings", "revenue", "volatility", "spread", "rank", "ticker history"),
    *("yearly high", "Sharpe ratio", "float", "yield", "debt", "funding rate", "hash rate"),
)

_TODAY = re.compile(rf" (?:{'|'.join(WORDS['when']['1d'])})", re.IGNORECASE)

_KNOWN = frozenset((*COINS, *STOCKS))


@dataclass(frozen=True)
class Ask:
    """A question in words, what it asks, and the kind of the model's turn that answers it."""

    text: str
    question: Question
    kind: str
    reply: str = ""


def draw_ask(rng: Random, table: Table | None, split: str, last: Ask | None) -> Ask:
    """Draw a question.

    Args:
        table: None gives small talk alone.
        split: of the tickers that are in no table.
        last: what was asked before, which a follow-up repeats.
    """
    while True:
        kind = _KINDS[int(rng.random() * len(_KINDS))]
        is_sloppy = rng.random() < 0.22
        if kind in TALK:
            asset = _shown(rng, _ticker_for_talk(rng, table, split), is_sloppy)
            return Ask(talk(rng, kind, asset, is_sloppy), Question(kind), kind)
        if table is None:
            continue
        if kind == "follow_up":
            asked = _follow_up(rng, table, split, last, is_sloppy)
        elif kind == "no_reason":
            asset = _shown(rng, _one(rng, table.assets), is_sloppy)
            question = Question("no_reason")
            asked = Ask(ask(rng, "reason", is_sloppy, asset=asset), question, kind)
        else:
            asked = _plain(rng, table, split, kind, is_sloppy)
        if asked is not None:
            return asked


def _plain(rng: Random, table: Table, split: str, kind: str, is_sloppy: bool) -> Ask | None:
    """Draw a question that stands alone; None where the table does not allow the kind."""
    if kind == "no_column" and rng.random() < 0.5:
        return _ask_foreign(rng, table, is_sloppy)
    question = _draw(rng, table, split, kind)
    if question is None:
        return None
    refusal = due_refusal(table, question)
    if refusal != (kind if kind.startswith("no_") else None):
        return None
    return Ask(_words(rng, table, question, is_sloppy), question, kind)


def _draw(rng: Random, table: Table, split: str, kind: str) -> Question | None:
    if kind in ("mood", "no_mood"):
        return Question("mood")
    if kind in ("extreme", "count", "list"):
        return _of_column(rng, kind, table.columns)
    if kind == "no_column":
        lacking = [column for column in COLUMNS if column not in table.columns]
        if not lacking:
            return None
        wanted = _one(rng, ("lookup", "extreme", "count", "list", "compare", "state", "direction"))
        return _of_any(rng, table, wanted, lacking, None)
    if kind == "no_asset":
        wanted = _one(rng, ("lookup", "lookup", "lookup", "compare", "state", "direction"))
        return _of_any(rng, table, wanted, table.columns, _stranger(rng, table, split))
    if kind == "no_cell":
        missing = [
            (asset, column)
            for asset, row in zip(table.assets, table.cells, strict=True)
            for column, text in zip(table.columns, row, strict=True)
            if not text
        ]
        if not missing:
            return None
        asset, column = missing[int(rng.random() * len(missing))]
        wanted = _one(rng, ("lookup", "lookup", "compare", "state", "direction"))
        return _of_any(rng, table, wanted, (column,), asset)
    return _of_any(rng, table, kind, table.columns, None)


def _of_any(
    rng: Random, table: Table, kind: str, columns: tuple[str, ...] | list[str], asset: str | None
) -> Question | None:
    """Draw a question of a kind about one of some columns, and of an asset where it has one."""
    if kind in ("extreme", "count", "list"):
        return _of_column(rng, kind, columns)
    asset = asset or _one(rng, table.assets)
    if kind == "state":
        if "rsi" not in columns:
            return None
        return Question(kind, asset, column="rsi", side=_one(rng, (*_FLAGS, None, None)))
    column = _one(rng, columns)
    if kind == "lookup":
        is_all = len(columns) > 1 and rng.random() < 0.12
        if is_all and asset not in table.assets:
            return Question(kind, asset)
        if is_all and sum(bool(table.text(asset, c)) for c in CHANGES) > 1:
            return Question(kind, asset)
        return Question(kind, asset, column=column)
    if kind == "direction":
        if column not in (*CHANGES, *AVERAGES):
            return None
        return Question(kind, asset, column=column, side=_one(rng, ("up", "down")))
    return _of_two(rng, table, columns, asset)


def _of_two(rng: Random, table: Table, columns: Sequence[str], asset: str) -> Question | None:
    """Draw a comparison of an asset: in one column or in none, at times of two that are level."""
    is_of_table = asset in table.assets and tuple(columns) == table.columns
    if is_of_table and rng.random() < 0.15 and (level := _level(table)):
        first, second, column = _one(rng, level)
        return Question("compare", first, second, column)
    others = [other for other in table.assets if other != asset]
    if not others:
        return None
    pair = (asset, _one(rng, others))
    first, second = pair if rng.random() < 0.5 else pair[::-1]
    is_open = tuple(columns) == table.columns and rng.random() < 0.2
    return Question("compare", first, second, None if is_open else _one(rng, columns))


def _level(table: Table) -> list[tuple[str, str, str]]:
    """Return pairs of assets with the same value, in table order, with its column."""
    return [
        (first, second, column)
        for column, texts in table.texts.items()
        for first, second in combinations(texts, 2)
        if texts[first] == texts[second]
    ]


_FLAGS = ("overbought", "oversold")


def _of_column(rng: Random, kind: str, columns: tuple[str, ...] | list[str]) -> Question | None:
    column = _one(rng, columns)
    is_signed = column in (*CHANGES, *AVERAGES)
    if kind == "extreme":
        sides: tuple[str, ...] = ("high", "low", "gain", "loss") if is_signed else ("high", "low")
    elif column == "rsi":
        sides = _FLAGS
    elif column == "vol" and kind == "list":
        sides = ("busy",)
    elif is_signed:
        sides = ("up", "down")
    else:
        return None
    return Question(kind, column=column, side=_one(rng, sides))


def _ask_foreign(rng: Random, table: Table, is_sloppy: bool) -> Ask:
    thing = _one(rng, _FOREIGN)
    if rng.random() < 0.25:
        return Ask(
            ask(rng, "foreign.extreme", is_sloppy, thing=thing),
            Question("extreme", column=thing, side="high"),
            "no_column",
        )
    asset = _one(rng, table.assets)
    text = ask(rng, "foreign", is_sloppy, thing=thing, asset=_shown(rng, asset, is_sloppy))
    return Ask(text, Question("lookup", asset, column=thing), "no_column")


def _follow_up(
    rng: Random, table: Table, split: str, last: Ask | None, is_sloppy: bool
) -> Ask | None:
    """Repeat the question before for another asset or another period."""
    if last is None or last.question.kind in (*TALK, "brief", "mood", "no_table", "no_reason"):
        return None
    before = last.question
    if before.column is not None and before.column not in table.columns:
        return None
    periods = [c for c in CHANGES if c in table.columns and c != before.column]
    if before.column in CHANGES and periods and (before.asset is None or rng.random() < 0.4):
        if before.asset is not None and before.asset not in table.assets:
            return None
        question = replace(before, column=_one(rng, periods))
        text = ask(rng, "again.period", is_sloppy, column=question.column)
    elif before.asset is not None and before.other is None:
        if before.column is None:
            return None
        asset = _one(rng, table.assets)
        if rng.random() < 0.12:
            asset = _stranger(rng, table, split)
        if asset == before.asset:
            return None
        question = replace(before, asset=asset)
        text = ask(rng, "again.asset", is_sloppy, asset=_shown(rng, asset, is_sloppy))
    else:
        return None
    return Ask(text, question, due_refusal(table, question) or "follow_up")


def _words(rng: Random, table: Table, question: Question, is_sloppy: bool) -> str:
    asset, other = (
        _shown(rng, ticker, is_sloppy) if ticker else ""
        for ticker in (question.asset, question.other)
    )
    text = ask(
        rng, group_of(question), is_sloppy,
        asset=asset, asset2=other, column=question.column, side=question.side,
    )  # fmt: skip
    # A question that names no period means the day.
    is_daily = question.column == "1d" and "1d" in table.columns
    is_plain = is_daily and question.kind not in ("lookup", "compare")
    return _TODAY.sub("", text) if is_plain and rng.random() < 0.15 else text


def _shown(rng: Random, ticker: str, is_sloppy: bool) -> str:
    """Write a ticker as people do: by its name or in lower case, where it is well known."""
    if ticker not in _KNOWN or is_held_out(ticker):
        return ticker
    if ticker in NAMES and rng.random() < 0.06:
        return NAMES[ticker].lower() if is_sloppy else NAMES[ticker]
    return ticker.lower() if is_sloppy and rng.random() < 0.5 else ticker


def _stranger(rng: Random, table: Table, split: str) -> str:
    """Draw a ticker that the table does not have, at times one much like one that it has."""
    pool = COINS if rng.random() < 0.5 else STOCKS
    while True:
        if rng.random() < 0.2:
            ticker = resemble(rng, _one(rng, table.assets))
        else:
            ticker = draw_ticker(rng, pool, 0.65)
        if ticker not in table.assets and (split == "test" or not is_held_out(ticker)):
            return ticker


def _ticker_for_talk(rng: Random, table: Table | None, split: str) -> str:
    if table is not None and rng.random() < 0.8:
        return _one(rng, table.assets)
    while True:
        ticker = draw_ticker(rng, COINS, 0.7)
        if split == "test" or not is_held_out(ticker):
            return ticker


def _one(rng: Random, choices: Sequence[_Choice]) -> _Choice:
    return choices[int(rng.random() * len(choices))]
