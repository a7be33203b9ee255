"""Prices of one asset in CSV: CoinGecko's exports, Yahoo's, and whatever has a date and a price."""

from __future__ import annotations

from leadout.shown import shown
from leadout_desk.cleaning import Point, clean
from leadout_desk.dates import WANTED, read_dates
from leadout_desk.errors import MarketFileError
from leadout_desk.formats.columns import history_rank, history_use
from leadout_desk.formats.csv_text import CsvText
from leadout_desk.notes import FOUND, Notes
from leadout_desk.numbers import find_mark, is_missing, parse_number
from leadout_desk.series import FileRead

#: More than this share of a file's dates or prices wrong, and it is something else.
_MOST_WRONG = 0.5

NO_DATE = f"{FOUND} is not a date; the row was left out. Wanted: {WANTED}."
SHORT = "the row has fewer cells than the header; it was left out."


def is_history(table: CsvText) -> bool:
    """Say whether a header has a date and a price."""
    return {"date", "price"} <= {history_use(cell) for cell in table.header}


def read_history(
    table: CsvText, file: str, asset: str, notes: Notes, order: str | None = None
) -> FileRead:
    """Read a file of prices.

    Args:
        table: the text, with its header.
        file: its name.
        asset: what the asset is called unless somebody calls it otherwise.
        notes: takes what is to be said.
        order: of the parts of its dates, where a person has chosen.

    Raises:
        MarketFileError: it holds no prices after all.
    """
    places = _choose(table, notes)
    kind = _kind_of(table)
    needed = max(places["date"], places["price"])
    lines: list[int] = []
    texts: dict[str, list[str]] = {use: [] for use in places}
    num_rows = 0
    for line, row in table.rows(file):
        num_rows += 1
        if len(row) <= needed:
            notes.add(SHORT, line)
            continue
        lines.append(line)
        for use, place in places.items():
            texts[use].append(row[place] if place < len(row) else "")
    dates = read_dates(texts["date"], lines, file, order)
    if dates.question:
        return FileRead(file, kind, notes=notes.texts(), question=dates.question)
    numbers = _numbers(texts, lines, table.separator, file, notes)
    if dates.note:
        notes.add(dates.note)
    points = []
    for i, seconds in enumerate(dates.seconds):
        if seconds is None:
            notes.add(NO_DATE, lines[i], shown(texts["date"][i].strip()[:40]))
            continue
        price, volume, cap = (numbers[use][i] if use in numbers else None
                              for use in ("price", "volume", "cap"))  # fmt: skip
        points.append(Point(seconds, price, volume, cap, lines[i]))
    if num_rows and notes.count(NO_DATE) + notes.count(SHORT) > _MOST_WRONG * num_rows:
        bad = next((i for i, seconds in enumerate(dates.seconds) if seconds is None), 0)
        found = f" ({shown(texts['date'][bad].strip())})" if texts["date"] else ""
        line = lines[bad] if lines else table.header_line + 1
        raise MarketFileError(
            f"{file}, line {line}: most of its rows have no date{found}. Wanted: {WANTED}.",
            file=file,
            line=line,
        )
    history = clean(asset, points, notes, file)
    return FileRead(file, kind, [history], notes=notes.texts())


def _choose(table: CsvText, notes: Notes) -> dict[str, int]:
    """Choose a column for each use; say which prices are taken where there are two kinds."""
    places: dict[str, int] = {}
    for place, cell in enumerate(table.header):
        use = history_use(cell)
        if use and (
            use not in places or history_rank(cell) < history_rank(table.header[places[use]])
        ):
            places[use] = place
    prices = [place for place, cell in enumerate(table.header) if history_use(cell) == "price"]
    if len(prices) > 1:
        taken = places["price"]
        name = table.header[taken]
        cells = [table.header[place] for place in prices[:4] if place != taken]
        others = ", ".join("a second one" if cell == name else shown(cell) for cell in cells)
        notes.add(f"Prices are those of {shown(name)}, not of {others}.")
    return places


def _kind_of(table: CsvText) -> str:
    names = {cell.strip().lower() for cell in table.header}
    if {"snapped_at", "price"} <= names:
        return "CoinGecko history, CSV"
    if {"date", "open", "high", "low", "close"} <= names:
        return "Yahoo history, CSV" if "adj close" in names else "price history, CSV"
    return "price history, CSV"


def _numbers(
    texts: dict[str, list[str]], lines: list[int], separator: str, file: str, notes: Notes
) -> dict[str, list[float | None]]:
    """Read the columns of numbers; what is none is noted."""
    uses = [use for use in ("price", "volume", "cap") if use in texts]
    odd = [
        (text, line)
        for use in uses
        for text, line in zip(texts[use], lines, strict=True)
        if ("," in text or separator == ";" or "." in text) and not is_missing(text)
    ]
    mark, said = find_mark(odd, separator, file)
    if said:
        notes.add(said)
    numbers: dict[str, list[float | None]] = {}
    for use in uses:
        column: list[float | None] = []
        for text, line in zip(texts[use], lines, strict=True):
            value = None if is_missing(text) else parse_number(text, mark)
            if value is None and not is_missing(text):
                message = f"{FOUND} is not a number; its {use} is not known."
                notes.add(message, line, shown(text.strip()[:40]))
            column.append(value)
        numbers[use] = column
    return numbers
