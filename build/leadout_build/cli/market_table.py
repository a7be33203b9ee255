"""Reads tables of market data in CSV or Markdown, as Nano was trained on them.

A cell is kept as its text, so that copies of it can be compared character by character. A missing
cell becomes the empty string, however the text marks it. build/nano generates such tables, and
reads them back with this module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from leadout.errors import RequestError

#: Columns in their canonical order.
COLUMNS = ("price", "1d", "7d", "30d", "vol", "rsi", "50d", "200d")

#: How the header may spell each column. The first spelling is the shortest.
SPELLINGS = {
    "asset": ("asset", "Asset", "symbol", "Symbol", "ticker", "Ticker", "coin", "name"),
    "price": ("price", "Price", "last", "Last", "close", "Price USD"),
    "1d": ("1d", "24h", "1D", "day", "Day", "1d %", "chg 1d"),
    "7d": ("7d", "7D", "week", "Week", "1w", "7d %", "chg 7d"),
    "30d": ("30d", "30D", "month", "Month", "1m", "30d %", "chg 30d"),
    "vol": ("vol", "Vol/avg", "vol/avg", "Vol", "volume", "Volume", "rel vol"),
    "rsi": ("rsi", "RSI", "RSI14", "rsi14", "RSI 14", "RSI (14)"),
    "50d": ("50d", "vs 50d", "vs50d", "50d avg", "SMA50", "vs SMA50", "MA50"),
    "200d": ("200d", "vs 200d", "vs200d", "200d avg", "SMA200", "vs SMA200", "MA200"),
}

#: The texts of a missing cell in Markdown. In CSV it is empty.
MISSING = ("", "n/a", "-")

ASSET = r"[A-Z0-9]+(?:[.-][A-Z0-9]+)?"

_COLUMN_OF = {text.lower(): column for column, texts in SPELLINGS.items() for text in texts}
_MOOD = re.compile(
    r"(?:fear[ -](?:and|&)[ -]greed(?: index)?|f&g) ?: ?(\d{1,3})(?:/100)?", re.IGNORECASE
)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?[%x]?")


@dataclass(frozen=True)
class Table:
    """Market data of some assets.

    Args:
        assets: the rows' tickers, each once.
        columns: names from `COLUMNS`, in the order of the text.
        cells: one tuple per asset with one text per column; "" is a missing cell.
        mood: the fear-and-greed index, 0 to 100, or None where none is given.
    """

    assets: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    mood: int | None = None

    @cached_property
    def texts(self) -> dict[str, dict[str, str]]:
        """Return the texts of known cells by column and asset, in the table's order."""
        return {
            column: {
                asset: row[index]
                for asset, row in zip(self.assets, self.cells, strict=True)
                if row[index]
            }
            for index, column in enumerate(self.columns)
        }

    @cached_property
    def numbers(self) -> dict[str, dict[str, float]]:
        """Return the values of known cells by column and asset, in the table's order."""
        return {
            column: {asset: float(text.rstrip("%x")) for asset, text in texts.items()}
            for column, texts in self.texts.items()
        }

    def text(self, asset: str, column: str) -> str:
        """Return a cell's text, or "" if there is no such cell or it is missing."""
        return self.texts.get(column, {}).get(asset, "")

    def is_full(self, column: str) -> bool:
        """Return whether the table has the column, and none of its cells is missing."""
        return len(self.texts.get(column, {})) == len(self.assets)


def parse_table(text: str) -> Table:
    """Read a table from CSV or Markdown, with the line of an index above or below it.

    Args:
        text: only the table; blank lines are skipped.

    Raises:
        RequestError: the text is not a table of market data; the message says where and why.
    """
    mood: int | None = None
    rows: list[list[str]] = []
    for line in (line.strip() for line in text.splitlines()):
        if not line or re.fullmatch(r"\|?[ :|-]*-[ :|-]*\|?", line):
            continue
        if match := _MOOD.fullmatch(line):
            mood = int(match[1])
            if mood > 100:
                raise RequestError(f"A fear-and-greed index of {mood}; it goes from 0 to 100.")
            continue
        rows.append(_cells(line))
    if not rows:
        raise RequestError("The text has no lines of a table; paste one as CSV or Markdown.")
    columns = _columns(rows[0])
    assets: list[str] = []
    cells: list[tuple[str, ...]] = []
    for row in rows[1:]:
        assets.append(_asset(row, len(columns), assets))
        cells.append(tuple(_cell(text, row[0]) for text in row[1:]))
    if not assets:
        raise RequestError("The table has a header and no rows; give at least one asset.")
    return Table(tuple(assets), columns, tuple(cells), mood)


def _cells(line: str) -> list[str]:
    if line.startswith("|"):
        line = line.removeprefix("|").removesuffix("|")
        return [cell.strip() for cell in line.split("|")]
    return [cell.strip() for cell in line.split(",")]


def _columns(header: list[str]) -> tuple[str, ...]:
    names = [_COLUMN_OF.get(text.lower(), "") for text in header]
    for text, name in zip(header, names, strict=True):
        if not name:
            raise RequestError(
                f"{text[:40]!r} is no column of a market table; known are {', '.join(COLUMNS)}."
            )
    if names[0] != "asset" or "asset" in names[1:] or len(names) < 2:
        raise RequestError("A table starts with a column of assets, then has columns of numbers.")
    if len(set(names)) < len(names):
        raise RequestError("A column is twice in the header; keep one of them.")
    return tuple(names[1:])


def _asset(row: list[str], num_columns: int, assets: list[str]) -> str:
    asset = row[0]
    if not re.fullmatch(ASSET, asset):
        raise RequestError(f"{asset[:40]!r} is no ticker; use capitals and digits.")
    if asset in assets:
        raise RequestError(f"{asset} has two rows; keep one of them.")
    if len(row) != num_columns + 1:
        raise RequestError(
            f"The row of {asset} has {len(row)} cells; the header has {num_columns + 1}."
        )
    return asset


def _cell(text: str, asset: str) -> str:
    if text.lower() in MISSING:
        return ""
    if not _NUMBER.fullmatch(text):
        raise RequestError(
            f"{text[:40]!r} in the row of {asset} is no number such as 12.50, +2.41% or 1.35x."
        )
    return text
