"""Several files to one table: which file each asset's row is from.

Where two files have an asset, the one with the newer last price counts, a history before a quote
of the same day, and else the one that was added last; a person may choose another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from leadout_desk.dates import DAY_S
from leadout_desk.series import FileRead, History, Quote
from leadout_desk.table import Row, Table, row_of_history, row_of_quote

#: More rows than this nobody reads, and a page shows them slowly.
MAX_ROWS = 1000

#: A file that does not say its day is older than all that do.
_NO_DAY = -(10**9)


@dataclass(frozen=True)
class Entry:
    """One asset of one file.

    Args:
        asset: what it is called, which a person may have changed.
        file_id: of the file.
        data: what the file has of it.
    """

    asset: str
    file_id: str
    data: History | Quote

    @property
    def last_day(self) -> int:
        """Return the day of its last price, since 1970."""
        if isinstance(self.data, History):
            return self.data.days[-1]
        return _NO_DAY if self.data.updated_s is None else self.data.updated_s // DAY_S


@dataclass(frozen=True)
class Duplicate:
    """An asset that several files have: whose row counts, and all of them."""

    asset: str
    chosen: str
    file_ids: tuple[str, ...]
    is_by_rule: bool


@dataclass
class Merged:
    """A table, with what was decided on the way."""

    table: Table
    entries: dict[str, Entry]
    duplicates: list[Duplicate] = field(default_factory=list)
    num_left_out: int = 0


def merge(
    reads: Mapping[str, FileRead], names: Mapping[str, str], chosen: Mapping[str, str]
) -> Merged:
    """Make one table.

    Args:
        reads: what was read, by the ids of the files, in the order in which they were added.
        names: what a person calls the asset of a history, by the id of its file.
        chosen: whose row a person wants, by asset.
    """
    found: dict[str, list[Entry]] = {}
    mood: int | None = None
    for file_id, read in reads.items():
        mood = read.mood if read.mood is not None else mood
        data: Sequence[History | Quote] = [*read.histories, *read.quotes]
        for one in data:
            asset = names.get(file_id, one.asset) if isinstance(one, History) else one.asset
            found.setdefault(asset, []).append(Entry(asset, file_id, one))
    merged = Merged(Table(()), {})
    rows: list[Row] = []
    for asset, entries in list(found.items())[:MAX_ROWS]:
        entry = _choose(entries, chosen.get(asset))
        if len(entries) > 1:
            ids = tuple(dict.fromkeys(entry.file_id for entry in entries))
            is_by_rule = chosen.get(asset) not in ids
            merged.duplicates.append(Duplicate(asset, entry.file_id, ids, is_by_rule))
        merged.entries[asset] = entry
        rows.append(_row(entry, reads[entry.file_id].file))
    merged.num_left_out = max(len(found) - MAX_ROWS, 0)
    merged.table = Table(tuple(rows), mood)
    return merged


def _choose(entries: Sequence[Entry], wanted: str | None) -> Entry:
    for entry in entries:
        if entry.file_id == wanted:
            return entry
    numbered = enumerate(entries)
    rank = [(entry.last_day, isinstance(entry.data, History), index) for index, entry in numbered]
    return entries[max(rank)[2]]


def _row(entry: Entry, file: str) -> Row:
    if isinstance(entry.data, History):
        return row_of_history(entry.data, entry.asset, file)
    return row_of_quote(entry.data, file)
