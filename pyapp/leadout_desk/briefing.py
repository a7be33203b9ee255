"""The table as a model reads it: for Nano in the columns of its training, for others whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from leadout_desk.table import Row, Table

#: The columns that Nano was trained on, in the order of its training. COLUMNS in
#: build/leadout_build/cli/market_table.py; a test holds them together.
NANO_COLUMNS = ("price", "1d", "7d", "30d", "vol", "rsi", "50d", "200d")

#: As many rows as Nano's training had at most.
NANO_ROWS = 20

#: Nano has seen no longer number.
_NANO_DIGITS = 12

_TICKER = re.compile(r"[A-Z0-9]+(?:[.-][A-Z0-9]+)?")


@dataclass(frozen=True)
class TableText:
    """A table as text.

    Args:
        text: CSV, with the line of the fear-and-greed index below it.
        assets: those that are in it.
        left_out: sentences on what is not.
    """

    text: str
    assets: tuple[str, ...]
    left_out: tuple[str, ...]


def nano_text(table: Table, most_rows: int = NANO_ROWS) -> TableText:
    """Write the table for Nano: tickers alone, and no more columns and rows than it knows."""
    said = []
    rows = [
        row for row in table.rows if _TICKER.fullmatch(row.asset) and _has_any(row, NANO_COLUMNS)
    ]
    if len(rows) < len(table.rows):
        count = len(table.rows) - len(rows)
        said.append(
            f"{_assets(count)} without a ticker of capitals and digits, or without any figure that "
            "Nano knows"
        )
    kept = rows[: min(most_rows, NANO_ROWS)]
    if len(kept) < len(rows):
        said.append(f"{_assets(len(rows) - len(kept))} below the first {len(kept)}")
    keys = [key for key in NANO_COLUMNS if any(key in row.texts for row in kept)]
    others = [column.label for column in table.columns if column.key not in NANO_COLUMNS]
    if others:
        said.append(f"columns that Nano was not trained on ({', '.join(others)})")
    long = [
        1 for row in kept for key in keys if len(_digits(row.texts.get(key, ""))) > _NANO_DIGITS
    ]
    if long:
        said.append(f"{len(long)} numbers of more than {_NANO_DIGITS} digits")
    return _text(table, kept, keys, said, is_short=True)


def full_text(table: Table, most_rows: int) -> TableText:
    """Write the table for any other model, as many rows as there is room for."""
    kept = list(table.rows[:most_rows])
    said = []
    if len(kept) < len(table.rows):
        said.append(f"{_assets(len(table.rows) - len(kept))} below the first {len(kept)}")
    return _text(table, kept, [column.key for column in table.columns], said)


def _text(
    table: Table,
    rows: Sequence[Row],
    keys: Sequence[str],
    said: Sequence[str],
    is_short: bool = False,
) -> TableText:
    lines = [",".join(("asset", *keys))]
    for row in rows:
        cells = [row.texts.get(key, "") for key in keys]
        if is_short:
            cells = ["" if len(_digits(cell)) > _NANO_DIGITS else cell for cell in cells]
        lines.append(",".join((one_line(row.asset), *cells)))
    if table.mood is not None:
        lines.append(f"fear-and-greed index: {table.mood}")
    return TableText("\n".join(lines), tuple(row.asset for row in rows), tuple(said))


def one_line(text: str) -> str:
    """Return a name as one cell: what would end it is a space."""
    return " ".join(re.sub(r"[,;|\"\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text).split())


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _has_any(row: Row, keys: Sequence[str]) -> bool:
    return any(key in row.texts for key in keys)


def _assets(count: int) -> str:
    return "one asset" if count == 1 else f"{count:,} assets"
