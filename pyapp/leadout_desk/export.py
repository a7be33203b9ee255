"""The table as a file for spreadsheets, and as Markdown for documents."""

from __future__ import annotations

import csv
import io
import re

from leadout_desk.table import Table

#: What a spreadsheet takes for a formula at the start of a cell, also behind white space.
_FORMULA = re.compile(r"\s*[=+\-@\t\r]")

#: What Markdown or HTML would read as more than text.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>&|~#!:])")


def to_csv(table: Table) -> str:
    """Write the table as CSV; the desk reads it back.

    Figures are the table's own; names that a spreadsheet would run get an apostrophe before them.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    keys = [column.key for column in table.columns]
    writer.writerow(("asset", *[_EXPORTED.get(key, key) for key in keys]))
    for row in table.rows:
        writer.writerow((guarded(row.asset), *[row.texts.get(key, "") for key in keys]))
    if table.mood is not None:
        writer.writerow((f"fear-and-greed index: {table.mood}",))
    return out.getvalue()


#: Columns whose keys mean something else to who reads tables of many assets.
_EXPORTED = {"ma50": "MA 50", "ma200": "MA 200", "volume": "volume USD"}


def guarded(name: str) -> str:
    """Return a name that no spreadsheet takes for a formula."""
    return f"'{name}" if _FORMULA.match(name) else name


def to_markdown(table: Table) -> str:
    """Write the table as Markdown; names stay text there, whatever they hold."""
    columns = table.columns
    lines = [
        f"| Asset | {' | '.join(column.label for column in columns)} |",
        f"|---|{'---:|' * len(columns)}",
    ]
    for row in table.rows:
        name = _MARKUP.sub(r"\\\1", " ".join(row.asset.split()))
        lines.append(f"| {name} | {' | '.join(row.texts.get(c.key, '') for c in columns)} |")
    if table.mood is not None:
        lines.append(f"\nFear-and-greed index: {table.mood}")
    return "\n".join(lines) + "\n"
