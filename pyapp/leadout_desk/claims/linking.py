"""Each number of a text to the cell that it is from, or why it is from none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from leadout_desk.claims.clauses import Clause
from leadout_desk.claims.figures import Figure
from leadout_desk.claims.vocabulary import CHANGES, DOWN, MOOD, SPOKEN
from leadout_desk.table import COLUMN, Table

#: Columns whose sign a text may say in words: "12.61% below its average".
_SIGNED = (*CHANGES, "50d", "200d", "drawdown")

_PARTS = re.compile(r",|;|\band\b|\bbut\b|\bwith\b", re.IGNORECASE)
_FOR = re.compile(
    r"^\)?\s*(?:gain|loss|rise|drop|fall|change|move)?\s*(?:for|by|in)\s*$", re.IGNORECASE
)


@dataclass(frozen=True)
class Link:
    """What a number is.

    Args:
        figure: where it stands.
        asset, column: of its cell; None where it is in no cell.
        is_mood: it is the fear-and-greed index.
        fault: why it is wrong; None where it is right.
    """

    figure: Figure
    asset: str | None = None
    column: str | None = None
    is_mood: bool = False
    fault: str | None = None


def link(figure: Figure, clause: Clause, table: Table) -> Link:
    """Find the cell of a number."""
    said = clause.text[figure.start : figure.end]
    if table.mood is not None and figure.unit == "" and MOOD.search(clause.text):
        if figure.value == table.mood:
            return Link(figure, is_mood=True)
        if figure.value == 100 and clause.text[: figure.start].rstrip().endswith(("of", "/")):
            return Link(figure, is_mood=True)  # the end of its scale
        if not clause.assets:
            fault = f"{said}: the fear-and-greed index of the table is {table.mood}."
            return Link(figure, is_mood=True, fault=fault)
    cells = _cells_of_size(figure, table)
    if not cells:
        return Link(figure, fault=f"{said} is not in the table.")
    wanted = _columns_of(figure, clause, {COLUMN[column].unit for _, column in cells})
    if not wanted and not figure.unit and COLUMN[cells[0][1]].unit:
        # A percentage without its mark is one only where the words say so.
        return Link(figure, fault=f"{said} is not in the table.")
    assets = _assets_of(figure, clause)
    here = [cell for cell in cells if cell[0] in assets]
    if assets and not here:
        asset, column = _prefer(cells, wanted)
        return Link(
            figure, asset, column, fault=f"{said} is {_of(asset, column)}, not {_whose(assets)}."
        )
    there = [cell for cell in here or cells if not wanted or cell[1] in wanted]
    if not there:
        asset, column = (here or cells)[0]
        instead = SPOKEN[wanted[0]]
        return Link(
            figure, asset, column, fault=f"{said} is {_of(asset, column)}, not the {instead}."
        )
    asset, column = next(
        (cell for cell in there if _has_sign(figure, cell, clause, table)), there[0]
    )
    if not _has_sign(figure, (asset, column), clause, table):
        right = table.texts[column][asset]
        return Link(figure, asset, column, fault=f"{said}: {_of(asset, column)} is {right}.")
    return Link(figure, asset, column)


def _cells_of_size(figure: Figure, table: Table) -> list[tuple[str, str]]:
    """Return (asset, column) of each cell whose number it can be, signs aside."""
    found = [
        (asset, column)
        for column, numbers in table.numbers.items()
        for asset, number in numbers.items()
        if figure.is_size_of(number)
    ]
    of_unit = [cell for cell in found if COLUMN[cell[1]].unit == figure.unit]
    # "up 2.41 on the day": the percent is understood.
    return of_unit or ([cell for cell in found if cell[1] in _SIGNED] if not figure.unit else [])


def _columns_of(figure: Figure, clause: Clause, units: set[str]) -> tuple[str, ...]:
    """Return the columns that the words beside a number point to; () where they do not.

    Args:
        figure: of the clause.
        clause: that it stands in.
        units: of the cells that the number can be.
    """
    if columns := _respective(figure, clause, units):
        return columns
    others = [other for other in clause.figures if other is not figure]
    after = [
        hint for hint in clause.hints
        if hint.start >= figure.end and not _PARTS.search(clause.text[figure.end : hint.start])
        and not any(figure.end <= other.start < hint.start for other in others)
    ]  # fmt: skip
    around = [hint for hint in clause.hints if hint.start <= figure.start < hint.end]
    before = [
        hint for hint in clause.hints
        if hint.end <= figure.start and not any(hint.end <= o.start < figure.start for o in others)
    ]  # fmt: skip
    for hint in (*around, *after, *reversed(before)):
        fitting = _fitting(hint.columns, units)
        if fitting:
            return fitting
    sole = [fitting for columns in clause.hinted if (fitting := _fitting(columns, units))]
    return sole[0] if len(sole) == 1 else ()


def _respective(figure: Figure, clause: Clause, units: set[str]) -> tuple[str, ...]:
    """Return a number's columns where columns come first: "by day and week (+1% and +2%)"."""
    figures, hints = clause.figures, clause.hints
    if len(figures) != len(hints) or len(hints) < 2:
        return ()
    is_first = hints[-1].end <= figures[0].start
    is_last = figures[-1].end <= hints[0].start
    if not (is_first or is_last):
        return ()
    return _fitting(hints[figures.index(figure)].columns, units)


def _fitting(columns: Sequence[str], units: set[str]) -> tuple[str, ...]:
    return tuple(column for column in columns if COLUMN[column].unit in units)


def _assets_of(figure: Figure, clause: Clause) -> list[str]:
    """Return the assets that a number may be of: one, where its place says so."""
    mentions = clause.mentions
    if len(mentions) < 2:
        return clause.assets
    after = next((m for m in mentions if m.start >= figure.end), None)
    if after and _FOR.match(clause.text[figure.end : after.start]):
        return [after.asset]
    before = [m for m in mentions if m.end <= figure.start]
    if not before:
        return clause.assets
    # "BTC at 1 and ETH at 2": each asset has a number of its own behind it.
    bounds = [m.start for m in mentions[1:]] + [clause.end]
    has_own = [
        any(m.end <= f.start < bound for f in clause.figures)
        for m, bound in zip(mentions, bounds, strict=True)
    ]
    is_distributed = all(has_own)
    is_beside = re.fullmatch(r"\s*(?:at|:)?\s*\(?\s*", clause.text[before[-1].end : figure.start])
    return [before[-1].asset] if is_distributed or is_beside else clause.assets


def _has_sign(figure: Figure, cell: tuple[str, str], clause: Clause, table: Table) -> bool:
    asset, column = cell
    number = table.numbers[column][asset]
    if column not in _SIGNED or number == 0:
        return figure.sign != "-" or number < 0
    if figure.sign:
        return (figure.sign == "-") == (number < 0)
    return number > 0 or column == "drawdown" or bool(DOWN.search(clause.part))


def _prefer(cells: Sequence[tuple[str, str]], columns: Sequence[str]) -> tuple[str, str]:
    return next((cell for cell in cells if cell[1] in columns), cells[0])


def _of(asset: str, column: str) -> str:
    return f"{asset}'s {SPOKEN[column]}"


def _whose(assets: Sequence[str]) -> str:
    return " or ".join(f"{asset}'s" for asset in assets)
