"""Tables of market data as text: CSV and Markdown in many layouts.

How they are read, and what they are, is market_table.py of the command line.
"""

from __future__ import annotations

from dataclasses import dataclass

from leadout_build.cli.market_table import SPELLINGS, Table

#: Changes over a period, and distances from a moving average: signed percentages.
CHANGES = ("1d", "7d", "30d")
AVERAGES = ("50d", "200d")

#: How the line of the fear-and-greed index may begin.
MOOD_LINES = (
    "fear-and-greed index: ",
    "Fear & Greed: ",
    "Fear and Greed Index: ",
    "fear and greed: ",
    "Fear & Greed Index: ",
    "F&G: ",
)


@dataclass(frozen=True)
class Layout:
    """How a table is written.

    Args:
        headers: the spelling of "asset" and of each column of the table.
        is_markdown: a Markdown table; otherwise CSV.
        is_spaced: spaces around cells (Markdown), or after commas in the header (CSV).
        missing: what stands for a missing cell in Markdown.
        mood_line: how the index's line begins.
        is_mood_above: the index's line stands above the table; otherwise below.
    """

    headers: tuple[str, ...]
    is_markdown: bool = False
    is_spaced: bool = False
    missing: str = "n/a"
    mood_line: str = MOOD_LINES[0]
    is_mood_above: bool = False


def plain_layout(table: Table) -> Layout:
    """Return the layout of compact CSV with the shortest headers."""
    return Layout(tuple(SPELLINGS[name][0] for name in ("asset", *table.columns)))


def render(table: Table, layout: Layout | None = None) -> str:
    """Write a table as text, without a newline at its end."""
    layout = layout or plain_layout(table)
    rows = [(asset, *row) for asset, row in zip(table.assets, table.cells, strict=True)]
    if layout.is_markdown:
        left, between, right = ("| ", " | ", " |") if layout.is_spaced else ("|", "|", "|")
        rule = "|" + "|".join(["---" if layout.is_spaced else "-"] * len(layout.headers)) + "|"
        lines = [left + between.join(layout.headers) + right, rule]
        lines += [left + between.join([c or layout.missing for c in row]) + right for row in rows]
    else:
        lines = [(", " if layout.is_spaced else ",").join(layout.headers)]
        lines += [",".join(row) for row in rows]
    if table.mood is not None:
        line = f"{layout.mood_line}{table.mood}"
        lines = [line, *lines] if layout.is_mood_above else [*lines, line]
    return "\n".join(lines)
