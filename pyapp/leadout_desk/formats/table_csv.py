"""Tables of many assets in CSV or Markdown: the desk's own export, Nano's tables, others' lists."""

from __future__ import annotations

import re

from leadout.shown import shown
from leadout_desk.errors import MarketFileError
from leadout_desk.formats.columns import table_use
from leadout_desk.formats.csv_text import CsvText
from leadout_desk.notes import FOUND, Notes
from leadout_desk.numbers import find_mark, is_missing, parse_number
from leadout_desk.series import FileRead, Quote

_MOOD = re.compile(
    r"[\"']?(?:fear[ -](?:and|&)[ -]greed(?: index)?|f&g)[\"']? ?[:,;|]? ?(\d{1,3})(?:/100)?[,;|]*",
    re.IGNORECASE,
)

#: A text that stays as it is: a number as the desk's table writes them.
_OWN = re.compile(r"[+-]?\d+(?:\.\d+)?[%x]?")
_UNITS = {"1d": "%", "7d": "%", "30d": "%", "50d": "%", "200d": "%", "drawdown": "%",
          "volatility": "%", "vol": "x"}  # fmt: skip


def is_table(table: CsvText) -> bool:
    """Say whether a header begins with an asset and has a column of figures."""
    uses = [table_use(cell) for cell in table.header]
    return "asset" in uses[:3] and any(use not in (None, "asset") for use in uses)


def split_mood(text: str) -> tuple[str, int | None]:
    """Take a line of the fear-and-greed index out of a text."""
    mood = None
    lines = text.splitlines(keepends=True)
    for number in (*range(min(3, len(lines))), *range(max(len(lines) - 3, 0), len(lines))):
        if (match := _MOOD.fullmatch(lines[number].strip())) and int(match[1]) <= 100:
            mood = int(match[1])
            lines[number] = "\n"
    return ("".join(lines), mood) if mood is not None else (text, None)


def read_table(table: CsvText, file: str, mood: int | None, notes: Notes) -> FileRead:
    """Read a table of many assets.

    Raises:
        MarketFileError: it has no row of an asset.
    """
    uses = [table_use(cell) for cell in table.header]
    unknown = [cell for cell, use in zip(table.header, uses, strict=True) if use is None and cell]
    if unknown:
        left = ", ".join(shown(cell[:30]) for cell in unknown[:4])
        more = f" and {len(unknown) - 4:,} more" if len(unknown) > 4 else ""
        notes.add(f"Columns that the desk does not know were left out: {left}{more}.")
    place = uses.index("asset")
    rows = list(table.rows(file))
    cells = [
        (text, line)
        for line, row in rows
        for use, text in zip(uses, row, strict=False)
        if use not in (None, "asset") and not is_missing(text)
    ]
    mark, said = find_mark(cells, table.separator, file)
    if said:
        notes.add(said)
    quotes: list[Quote] = []
    seen: set[str] = set()
    for line, row in rows:
        asset = row[place].strip() if place < len(row) else ""
        if not asset:
            notes.add("there is no name of an asset; the row was left out.", line)
        elif asset in seen:
            notes.add(f"{FOUND} has a row already; this one was left out.", line, shown(asset))
        else:
            seen.add(asset)
            quotes.append(_quote(asset, uses, row, mark, line, notes))
    if not quotes:
        raise MarketFileError(
            f"{file}, line {table.header_line}: it has a header and no rows. Wanted: at least one "
            "asset.",
            file=file,
            line=table.header_line,
        )
    return FileRead(file, "table of assets", quotes=quotes, mood=mood, notes=notes.texts())


def _quote(
    asset: str, uses: list[str | None], row: list[str], mark: str, line: int, notes: Notes
) -> Quote:
    quote = Quote(asset)
    if len(row) < len(uses):
        notes.add("the row has fewer cells than the header; the rest is not known.", line)
    for use, cell in zip(uses, row, strict=False):
        text = cell.strip()
        if use in (None, "asset") or use in quote.values or is_missing(text):
            continue
        value = parse_number(text, mark)
        if value is None:
            notes.add(f"{FOUND} is not a number; the cell stays empty.", line, shown(text[:40]))
            continue
        quote.values[use] = value
        unit = _UNITS.get(use, "")
        if mark == "." and _OWN.fullmatch(text) and text[-1:].strip("0123456789") == unit:
            quote.texts[use] = text
    return quote
