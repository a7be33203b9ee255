"""Questions about a table: what is asked, and which refusal the table makes due."""

from __future__ import annotations

from dataclasses import dataclass

from leadout_build.cli.market_table import COLUMNS, Table

#: Kinds that a table can answer.
ANSWERED = (
    *("lookup", "extreme", "count", "list"),
    *("compare", "state", "direction", "mood"),
)

#: Refusals that the question alone makes due.
UNANSWERABLE = ("off_topic", "advice", "other_language", "empty", "no_table", "no_reason")

#: Refusals that a table makes due, by what it lacks.
LACKING = ("no_asset", "no_column", "no_cell", "no_mood")

REFUSALS = (*LACKING, *UNANSWERABLE)

#: Kinds of model turns; a follow-up's question has the kind that it repeats.
KINDS = ("brief", *ANSWERED, "follow_up", *REFUSALS)


@dataclass(frozen=True)
class Question:
    """What is asked, as a checker needs it.

    Args:
        kind: "brief", one of `ANSWERED`, or one of `UNANSWERABLE`.
        asset: the ticker asked about.
        other: the second one, of a comparison.
        column: from `COLUMNS`, or the words for a figure that no table has; None asks for all, of
            a comparison too.
        side: "high", "low", "gain" or "loss" of an extreme; "up", "down", "overbought",
            "oversold" or "busy" of a count, a list, a direction or a state.
    """

    kind: str
    asset: str | None = None
    other: str | None = None
    column: str | None = None
    side: str | None = None


def shared_columns(table: Table, first: str, second: str) -> list[str]:
    """Return the columns in which both assets have a value, in canonical order."""
    return [c for c in COLUMNS if table.text(first, c) and table.text(second, c)]


def due_refusal(table: Table | None, question: Question) -> str | None:
    """Return which refusal is due, or None where the table holds the answer."""
    if question.kind in UNANSWERABLE:
        return question.kind
    if table is None:
        return "no_table"
    if question.kind == "mood":
        return "no_mood" if table.mood is None else None
    assets = [asset for asset in (question.asset, question.other) if asset]
    if any(asset not in table.assets for asset in assets):
        return "no_asset"
    if question.column is None:
        is_missing = len(assets) == 2 and not shared_columns(table, assets[0], assets[1])
        return "no_cell" if is_missing else None
    if question.column not in COLUMNS or question.column not in table.columns:
        return "no_column"
    if any(not table.text(asset, question.column) for asset in assets):
        return "no_cell"
    return None if table.texts[question.column] else "no_cell"
