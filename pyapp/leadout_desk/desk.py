"""The door of the desk: web/desk/worker.js calls these methods; what crosses is JSON.

The worker may be ended at any time, when a file takes too long. So `read` also returns what was
read as one text, which the page keeps; `restore` takes it back in a new worker.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from leadout.errors import LeadoutError
from leadout_desk.briefing import full_text, nano_text
from leadout_desk.claims.checking import MAX_CHARS, Sentence, check
from leadout_desk.dates import DAY_S, day_text
from leadout_desk.errors import MarketFileError
from leadout_desk.export import to_csv, to_markdown
from leadout_desk.figures import grouped
from leadout_desk.formats.reading import MOST_NAME_CHARS, read_file
from leadout_desk.indicators import LONG_AVERAGE, SHORT_AVERAGE, moving_average
from leadout_desk.merging import Merged, merge
from leadout_desk.sample import article_sample, made_up_sample
from leadout_desk.series import FileRead, History, from_json, to_json
from leadout_desk.table import Row, Table

#: More files at once than anybody means.
MAX_FILES = 200


class Desk:
    """The files of one page, and the table that is made of them."""

    def __init__(self) -> None:
        self._reads: dict[str, FileRead] = {}
        self._names: dict[str, str] = {}
        self._chosen: dict[str, str] = {}
        self._merged: Merged | None = None

    def call(self, method: str, arguments: str, data: bytes | memoryview | None = None) -> str:
        """Call a method by name.

        Args:
            method: its name.
            arguments: JSON, an object of its arguments.
            data: the bytes of a file, for `read`: in the browser a memoryview.

        Returns:
            JSON: {"value": …}, or {"error": {name, message, detail}}.
        """
        try:
            given = json.loads(arguments)
            if data is not None:
                given["data"] = bytes(data)
            return json.dumps({"value": self._methods()[method](**given)})
        except LeadoutError as error:
            return json.dumps({"error": error.to_json()})
        except (RecursionError, MemoryError):
            message = "This takes more memory than there is. Leave out files, or parts of them."
            return json.dumps({"error": MarketFileError(message).to_json()})

    def _methods(self) -> dict[str, Callable[..., Any]]:
        return {
            "read": self.read,
            "sample": self.sample,
            "restore": self.restore,
            "remove": self.remove,
            "rename": self.rename,
            "choose": self.choose,
            "table": self.table,
            "series": self.series,
            "text_for": self.text_for,
            "check": self.check,
            "export": self.export,
        }

    # ---- files ---------------------------------------------------------------------------

    def read(
        self, file_id: str, file: str, data: bytes, order: str | None = None
    ) -> dict[str, Any]:
        """Read a file and add it, unless it asks something first.

        Returns:
            {file, kind, num_assets, notes, question, kept}: `kept` is for `restore`.
        """
        if len(self._reads) >= MAX_FILES and file_id not in self._reads:
            raise MarketFileError(f"{file} is one too many: the desk takes {MAX_FILES} files.")
        return self._add(file_id, read_file(data, file, order))

    def sample(self, file_id: str, which: str) -> list[dict[str, Any]]:
        """Add what the page shows without files: "article" or "made_up"."""
        reads = [article_sample()] if which == "article" else made_up_sample()
        return [self._add(f"{file_id}-{number}", read) for number, read in enumerate(reads)]

    def restore(
        self, files: list[list[str]], names: dict[str, str], chosen: dict[str, str]
    ) -> None:
        """Take back what was read before, in a new worker.

        Args:
            files: pairs of an id and what `read` gave as `kept`.
            names: given by `rename`.
            chosen: given by `choose`.
        """
        self._reads = {file_id: from_json(json.loads(kept)) for file_id, kept in files}
        self._names, self._chosen = dict(names), dict(chosen)
        self._merged = None

    def remove(self, file_id: str) -> None:
        """Take a file out."""
        self._reads.pop(file_id, None)
        self._names.pop(file_id, None)
        self._merged = None

    def rename(self, file_id: str, name: str) -> str:
        """Call the asset of a history something else; return what it is called now."""
        text = " ".join(name.split())[:MOST_NAME_CHARS]
        if text:
            self._names[file_id] = text
        else:
            self._names.pop(file_id, None)
        self._merged = None
        return self._name_of(file_id)

    def choose(self, asset: str, file_id: str) -> None:
        """Take an asset's row from a file."""
        self._chosen[asset] = file_id
        self._merged = None

    def _add(self, file_id: str, read: FileRead) -> dict[str, Any]:
        if read.question is None:
            self._reads[file_id] = read
            self._merged = None
        return {
            "file_id": file_id,
            "file": read.file,
            "kind": read.kind,
            "asset": read.histories[0].asset if read.histories else None,
            "num_assets": len(read.histories) + len(read.quotes),
            "days": _days(read.histories[0]) if read.histories else None,
            "notes": read.notes,
            "question": read.question,
            "kept": json.dumps(to_json(read)) if read.question is None else None,
        }

    def _name_of(self, file_id: str) -> str:
        read = self._reads.get(file_id)
        own = read.histories[0].asset if read and read.histories else ""
        return self._names.get(file_id, own)

    # ---- the table -----------------------------------------------------------------------

    def table(self) -> dict[str, Any]:
        """Return the table as the page shows it, and which assets are in several files."""
        merged = self._table()
        table = merged.table
        return {
            "columns": [
                {"key": c.key, "label": c.label, "about": c.about} for c in table.columns
            ],
            "rows": [_row(row, table) for row in table.rows],
            "mood": table.mood,
            "num_left_out": merged.num_left_out,
            "duplicates": [
                {
                    "asset": one.asset,
                    "chosen": one.chosen,
                    "files": [[file_id, self._reads[file_id].file] for file_id in one.file_ids],
                    "is_by_rule": one.is_by_rule,
                }
                for one in merged.duplicates
            ],
        }  # fmt: skip

    def series(self, asset: str) -> dict[str, Any] | None:
        """Return what a chart of an asset shows; None where its file has no history."""
        entry = self._table().entries.get(asset)
        if entry is None:
            return None
        if not isinstance(entry.data, History):
            recent, end = entry.data.recent, entry.data.updated_s
            if len(recent) < 2 or end is None:
                return None
            # CoinGecko's sparkline: a week up to now, evenly.
            step = 7 * DAY_S / (len(recent) - 1)
            seconds = [round(end - step * (len(recent) - 1 - i)) for i in range(len(recent))]
            return {"asset": asset, "seconds": seconds, "prices": recent, "averages": {}}
        history = entry.data
        averages = {}
        if history.step_days == 1:
            for size in (SHORT_AVERAGE, LONG_AVERAGE):
                if len(history.prices) >= size:
                    averages[str(size)] = moving_average(history.prices, size)
        seconds = [day * DAY_S for day in history.days]
        return {"asset": asset, "seconds": seconds, "prices": history.prices, "averages": averages}

    def export(self, form: str) -> str:
        """Return the table as a text: "csv" or "markdown"."""
        table = self._table().table
        return to_csv(table) if form == "csv" else to_markdown(table)

    # ---- texts ---------------------------------------------------------------------------

    def text_for(self, model: str, most_rows: int) -> dict[str, Any]:
        """Return the table as a model reads it: "nano" or "any"."""
        table = self._table().table
        made = nano_text(table, most_rows) if model == "nano" else full_text(table, most_rows)
        return {"text": made.text, "num_assets": len(made.assets), "left_out": list(made.left_out)}

    def check(self, text: str) -> list[dict[str, Any]]:
        """Check a text about the table.

        Returns:
            The text in pieces that make it up again, by sentence: {pieces, faults, is_checked};
            a piece is {text}, with `cell` (asset and column) or `is_mood` for a number from the
            table, and `fault` for a wrong one.
        """
        text, rest = text[:MAX_CHARS], text[MAX_CHARS:]
        found: list[dict[str, Any]] = []
        place = 0
        for sentence in check(text, self._table().table):
            if sentence.start > place:
                found.append(_between(text[place : sentence.start]))
            found.append(_sentence(text, sentence))
            place = sentence.end
        if text[place:] + rest:
            found.append(_between(text[place:] + rest, is_left=bool(rest)))
        return found

    def _table(self) -> Merged:
        if self._merged is None:
            self._merged = merge(self._reads, self._names, self._chosen)
        return self._merged


def _days(history: History) -> list[str]:
    return [day_text(history.days[0]), day_text(history.days[-1])]


def _row(row: Row, table: Table) -> dict[str, Any]:
    cells = {
        key: {"text": text, "shown": grouped(text), "number": table.numbers[key][row.asset]}
        for key, text in row.texts.items()
    }
    last = None if row.last_day is None else day_text(row.last_day)
    return {
        "asset": row.asset,
        "name": row.name,
        "file": row.file,
        "last_day": last,
        "recent": row.recent,
        "cells": cells,
    }


def _between(text: str, is_left: bool = False) -> dict[str, Any]:
    """Return what is between sentences, or the rest of a text that is too long to be checked."""
    is_checked = False if is_left else None
    return {"pieces": [{"text": text}], "faults": [], "is_checked": is_checked, "num_right": 0}


def _sentence(text: str, sentence: Sentence) -> dict[str, Any]:
    pieces: list[dict[str, Any]] = []
    place = sentence.start
    for link in sorted(sentence.links, key=lambda link: link.figure.start):
        figure = link.figure
        if figure.start > place:
            pieces.append({"text": text[place : figure.start]})
        piece: dict[str, Any] = {"text": text[figure.start : figure.end], "fault": link.fault}
        if link.asset is not None:
            piece["cell"] = [link.asset, link.column]
        elif link.is_mood:
            piece["is_mood"] = True
        pieces.append(piece)
        place = figure.end
    if place < sentence.end:
        pieces.append({"text": text[place : sentence.end]})
    right = [finding for finding in sentence.findings if finding.is_true]
    return {
        "pieces": pieces,
        "faults": sentence.faults,
        "is_checked": sentence.is_checked,
        "num_right": len(right),
    }
