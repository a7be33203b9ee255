"""The desk's table: its columns, and a row of each asset.

A cell has its text, and the number that the text says: all that is claimed of the table is
compared with what people see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from leadout_desk.dates import DAY_S
from leadout_desk.figures import amount_text, number_of, percent_text, price_text
from leadout_desk.indicators import (
    LONG_AVERAGE,
    SHORT_AVERAGE,
    YEAR_DAYS,
    change,
    drawdown,
    moving_average,
    relative_strength,
    relative_volume,
    volatility,
)
from leadout_desk.series import History, Quote

#: Prices of a row's small chart.
SPARK_DAYS = 30


@dataclass(frozen=True)
class Column:
    """A column.

    Args:
        key: as models read it; those that Nano knows are spelt as in its training.
        label: as people read it.
        about: what it is, in a sentence.
        write: a value's text.
        unit: "%" or "x" behind each figure, or "".
    """

    key: str
    label: str
    about: str
    write: Callable[[float], str]
    unit: str = ""


def _times(value: float) -> str:
    return f"{value:.2f}x"


def _plain_percent(value: float) -> str:
    return f"{value:.1f}%"


def _one_decimal(value: float) -> str:
    return f"{value:.1f}"


def _column(
    key: str, label: str, about: str, write: Callable[[float], str] = percent_text
) -> Column:
    unit = "%" if write in (percent_text, _plain_percent) else "x" if write is _times else ""
    return Column(key, label, about, write, unit)


COLUMNS = (
    _column("price", "Price", "The last price.", price_text),
    _column("1d", "1 day", "Change of the price by day."),
    _column("7d", "7 days", "Change of the price by week."),
    _column("30d", "30 days", "Change of the price by month."),
    _column(
        "volatility",
        "Volatility",
        "Standard deviation of the last 30 daily returns, over a year.",
        _plain_percent,
    ),
    _column(
        "rsi",
        "RSI 14",
        "Wilder's relative strength index: above 70 overbought, below 30 oversold.",
        _one_decimal,
    ),
    _column("ma50", "MA 50", "Average of the last 50 prices.", price_text),
    _column("50d", "vs MA 50", "Distance of the price from that average."),
    _column("ma200", "MA 200", "Average of the last 200 prices.", price_text),
    _column("200d", "vs MA 200", "Distance of the price from that average."),
    _column("drawdown", "Drawdown", "How far the price is below its highest in the file."),
    _column(
        "vol", "Vol/avg", "The last volume as a multiple of the average of the last 20.", _times
    ),
    _column("volume", "Volume", "The last volume.", amount_text),
    _column("cap", "Market cap", "The last market capitalisation.", amount_text),
)

COLUMN = {column.key: column for column in COLUMNS}


@dataclass(frozen=True)
class Row:
    """An asset.

    Args:
        asset: what it is called here, once in a table.
        texts: its cells by column; missing ones are not there.
        name: a longer name, or "".
        file: where it is from.
        recent: prices of the small chart.
        last_day: since 1970, of the last price; None where the file does not say.
    """

    asset: str
    texts: dict[str, str]
    name: str = ""
    file: str = ""
    recent: list[float] = field(default_factory=list)
    last_day: int | None = None


@dataclass(frozen=True)
class Table:
    """The rows, and the fear-and-greed index where one is known."""

    rows: tuple[Row, ...]
    mood: int | None = None

    @cached_property
    def assets(self) -> tuple[str, ...]:
        """Return what the rows' assets are called."""
        return tuple([row.asset for row in self.rows])

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns in which any row has a cell."""
        return tuple(c for c in COLUMNS if any(c.key in row.texts for row in self.rows))

    @cached_property
    def texts(self) -> dict[str, dict[str, str]]:
        """Return the texts of known cells by column and asset, in the table's order."""
        return {
            key: {row.asset: row.texts[key] for row in self.rows if key in row.texts}
            for key in [column.key for column in self.columns]
        }

    @cached_property
    def numbers(self) -> dict[str, dict[str, float]]:
        """Return the numbers that those texts say."""
        return {
            key: {asset: number_of(text) for asset, text in texts.items()}
            for key, texts in self.texts.items()
        }


def row_of_history(history: History, asset: str, file: str) -> Row:
    """Compute a row of a history."""
    days, prices = history.days, history.prices
    values: dict[str, float | None] = {"price": prices[-1], "drawdown": drawdown(prices)}
    for key, over_days in (("1d", 1), ("7d", 7), ("30d", 30)):
        if over_days >= history.step_days:
            values[key] = change(days, prices, over_days, history.is_full_week)
    if history.step_days == 1:
        values["volatility"] = volatility(prices, YEAR_DAYS[history.is_full_week])
        values["rsi"] = relative_strength(prices)[-1]
        for key, size in (("50d", SHORT_AVERAGE), ("200d", LONG_AVERAGE)):
            mean = moving_average(prices[-size:], size)[-1]
            values[f"ma{size}"] = mean
            values[key] = None if mean is None else (prices[-1] / mean - 1) * 100
        values["vol"] = relative_volume(history.volumes)
    values["volume"], values["cap"] = history.volumes[-1], history.caps[-1]
    texts = {key: COLUMN[key].write(value) for key, value in values.items() if value is not None}
    return Row(asset, texts, "", file, prices[-SPARK_DAYS:], days[-1])


def row_of_quote(quote: Quote, file: str) -> Row:
    """Write a row of a quote: its figures are the file's own."""
    texts = {
        key: quote.texts.get(key) or COLUMN[key].write(value) for key, value in quote.values.items()
    }
    recent = quote.recent[:: max(len(quote.recent) // 60, 1)]
    last_day = None if quote.updated_s is None else quote.updated_s // DAY_S
    return Row(quote.asset, texts, quote.name, file, recent, last_day)
