"""A file to what it holds: which kind it is, and what its asset is called."""

from __future__ import annotations

import re

from leadout_desk.decoding import decode
from leadout_desk.errors import MarketFileError
from leadout_desk.formats.columns import history_use, table_use
from leadout_desk.formats.csv_text import open_csv, shown_header
from leadout_desk.formats.history_csv import is_history, read_history
from leadout_desk.formats.market_json import read_json
from leadout_desk.formats.table_csv import is_table, read_table, split_mood
from leadout_desk.notes import Notes
from leadout_desk.series import FileRead

WANTED = (
    "snapped_at,price,market_cap,total_volume (CoinGecko), "
    "Date,Open,High,Low,Close,Adj Close,Volume (Yahoo), or asset,price,1d,… (a table)"
)

#: What files' names have behind the asset's.
_QUOTES = ("usd", "usdt", "usdc", "eur", "gbp", "btc")
_TICKER = re.compile(r"\^?[A-Za-z0-9]{1,12}(?:\.[A-Za-z]{1,3})?(?:=[XF])?")

#: A name that is longer is cut: it heads a row.
MOST_NAME_CHARS = 40


def read_file(data: bytes, file: str, order: str | None = None) -> FileRead:
    """Read a file.

    Args:
        data: all of it.
        file: its name.
        order: of the parts of its dates, where a person has chosen.

    Raises:
        MarketFileError: it is none that the desk reads; the message says what was found where.
    """
    text, said = decode(data, file)
    notes = Notes()
    if said:
        notes.add(said)
    asset = asset_of(file)
    if text.lstrip()[:1] in ("{", "["):
        return read_json(text, file, asset, notes)
    history = open_csv(text, file, history_use)
    if is_history(history):
        return read_history(history, file, asset, notes, order)
    rest, mood = split_mood(text)
    if rest.strip():
        table = open_csv(rest, file, table_use)
        if is_table(table):
            return read_table(table, file, mood, notes)
    raise MarketFileError(
        f"{file}, line {history.header_line}: its columns are {shown_header(history.header)}. "
        f"Wanted: {WANTED}.",
        file=file,
        line=history.header_line,
    )


def asset_of(file: str) -> str:
    """Return what a file's name says that its asset is called: btc-usd-max.csv is BTC."""
    stem = re.sub(
        r"(?:\s*\(\d+\))?(?:\.(?:csv|json|txt|tsv))+$", "", file.strip(), flags=re.IGNORECASE
    )
    parts = re.split(r"[-_ ]", stem)
    first = next((part for part in parts if part), stem)
    if _TICKER.fullmatch(first) and not (len(parts) == 1 and first.lower() in _QUOTES[:5]):
        return first.upper()
    return " ".join(stem.split())[:MOST_NAME_CHARS] or "UNNAMED"
