"""Invented markets: tables with moves of all sizes, ties, gaps and extremes, from a seed."""

from __future__ import annotations

from math import exp
from random import Random

from leadout_build.cli.market_table import COLUMNS, MISSING, SPELLINGS, Table
from leadout_desk.figures import price_text
from nano.tables import MOOD_LINES, Layout
from nano.tickers import draw_tickers

#: Spread of the moves of each column in percent: of the market as a whole, of single assets.
_SPREADS = {
    "1d": (1.3, 2.2),
    "7d": (3.0, 6.0),
    "30d": (7.0, 14.0),
    "50d": (5.0, 9.0),
    "200d": (12.0, 22.0),
}

_SUBSETS = (
    ("price", "1d", "7d", "30d"),
    ("price", "1d", "rsi"),
    ("price", "1d", "7d"),
    ("1d", "7d", "30d"),
    ("price", "1d", "vol", "rsi"),
    ("price", "rsi", "50d", "200d"),
    ("1d", "7d", "vol", "rsi"),
)

MAX_ASSETS = 20


def make_table(
    rng: Random, level: float = 1.0, split: str = "train", num_assets: int | None = None
) -> Table:
    """Make up a table.

    Args:
        level: 0 gives one to three assets with few columns, 1 the full range.
        split: which tickers: "train" or "test".
        num_assets: 1 to 20, in place of a drawn number.
    """
    if num_assets is None:
        num_assets = _draw_size(rng, level)
    assets = draw_tickers(rng, num_assets, split)
    columns = _draw_columns(rng, level)
    decimals = 2 if rng.random() < 0.75 else 1
    calm = 0.35 if rng.random() < 0.15 else 1.0
    by_column = [_draw_column(rng, column, num_assets, decimals, calm) for column in columns]
    if num_assets > 1 and rng.random() < 0.15:
        _tie(rng, by_column)
    if rng.random() < 0.3:
        _lose_cells(rng, by_column)
    cells = tuple(zip(*by_column, strict=True))
    return Table(assets, columns, cells, _draw_mood(rng))


def make_layout(rng: Random, table: Table) -> Layout:
    """Choose how a table is written; half of all tables have the shortest headers."""
    names = ("asset", *table.columns)
    if rng.random() < 0.5:
        headers = tuple([SPELLINGS[name][0] for name in names])
    else:
        headers = tuple([SPELLINGS[name][int(rng.random() ** 1.5 * len(SPELLINGS[name]))]
                         for name in names])  # fmt: skip
    is_markdown = rng.random() < 0.4
    return Layout(
        headers,
        is_markdown,
        is_spaced=rng.random() < 0.4 and len(table.assets) <= 10,
        missing=MISSING[int(rng.random() * len(MISSING))],
        mood_line=MOOD_LINES[int(rng.random() * len(MOOD_LINES))],
        is_mood_above=rng.random() < 0.3,
    )


def _draw_size(rng: Random, level: float) -> int:
    draw = rng.random()
    if rng.random() >= level:
        return 1 + int(draw * 3)
    if draw < 0.06:
        return 1
    if draw < 0.11:
        return 2
    if draw < 0.83:
        return 3 + int(rng.random() * 8)
    return 11 + int(rng.random() * (MAX_ASSETS - 10))


def _draw_columns(rng: Random, level: float) -> tuple[str, ...]:
    if rng.random() >= level:
        return _SUBSETS[int(rng.random() * len(_SUBSETS))]
    draw = rng.random()
    if draw < 0.62:
        return COLUMNS
    if draw < 0.74:
        return _SUBSETS[int(rng.random() * len(_SUBSETS))]
    number = 3 + int(rng.random() * 5)
    chosen = rng.sample(COLUMNS, number)
    return tuple(chosen) if draw > 0.95 else tuple([c for c in COLUMNS if c in chosen])


def _draw_column(rng: Random, column: str, number: int, decimals: int, calm: float) -> list[str]:
    if column == "price":
        return _draw_prices(rng, number)
    if column == "vol":
        return [f"{exp(rng.gauss(0.0, 0.55)):.{decimals}f}x" for _ in range(number)]
    if column == "rsi":
        places = 1 if rng.random() < 0.7 else 0
        middle = rng.gauss(52.0, 9.0)
        values = [min(max(rng.gauss(middle, 15.0), 4.0), 96.0) for _ in range(number)]
        return [f"{value:.{places}f}" for value in values]
    of_market, of_asset = _SPREADS[column]
    market = rng.gauss(0.0, of_market) * calm
    moves = [market + rng.gauss(0.0, of_asset) * calm * exp(rng.gauss(0.0, 0.5))
             for _ in range(number)]  # fmt: skip
    if rng.random() < 0.03:
        moves[int(rng.random() * number)] = rng.choice((38.0, 96.0, 140.0, 412.0, -35.0, -62.0))
    return [signed(move, decimals) for move in moves]


def _draw_prices(rng: Random, number: int) -> list[str]:
    low, high = ((1.0, 6.5), (-1.5, 11.2), (-13.6, 4.6))[int(rng.random() ** 2 * 3)]
    return [price_text(exp(low + (high - low) * rng.random())) for _ in range(number)]


def signed(move: float, decimals: int) -> str:
    """Write a move in percent with its sign; a move of nothing has none."""
    text = f"{max(move, -99.0):+.{decimals}f}"
    return (text[1:] if not text.strip("+-0.") else text) + "%"


def _tie(rng: Random, by_column: list[list[str]]) -> None:
    """Give two rows the same text in one column, at times the extreme or nothing at all."""
    column = by_column[int(rng.random() * len(by_column))]
    first, second = rng.sample(range(len(column)), 2)
    if column[first].endswith("%") and rng.random() < 0.4:
        places = len(column[first].partition(".")[2]) - 1
        column[first] = signed(0.0, places)
        return
    order = sorted(range(len(column)), key=lambda index: float(column[index].rstrip("%x")))
    draw = rng.random()
    if draw < 0.35:
        first, second = order[-1], order[-2]
    elif draw < 0.7:
        first, second = order[0], order[1]
    column[second] = column[first]


def _lose_cells(rng: Random, by_column: list[list[str]]) -> None:
    """Take one to three cells away, or a tenth of the time most of a row."""
    number = len(by_column[0])
    if rng.random() < 0.1 and number > 1:
        row = int(rng.random() * number)
        for column in by_column:
            if rng.random() < 0.6:
                column[row] = ""
        return
    for _ in range(1 + int(rng.random() * 3)):
        column = by_column[int(rng.random() * len(by_column))]
        if sum(map(bool, column)) > 1:
            column[int(rng.random() * number)] = ""


def _draw_mood(rng: Random) -> int | None:
    draw = rng.random()
    if draw < 0.4:
        return None
    edges = (0, 24, 25, 44, 45, 55, 56, 74, 75, 100)
    return edges[int(rng.random() * 10)] if draw < 0.46 else int(rng.random() * 101)
