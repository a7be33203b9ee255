"""How a question is put into words."""

from __future__ import annotations

from random import Random

from nano import asset_wordings, market_wordings
from nano.forms import Form
from nano.questions import Question
from nano.tables import AVERAGES, CHANGES

_GROUPS: dict[str, tuple[Form, ...]] = dict((*asset_wordings.WORDINGS, *market_wordings.WORDINGS))


def ask(rng: Random, name: str, is_sloppy: bool = False, **args: object) -> str:
    """Write a question of a group.

    Args:
        name: of the group.
        is_sloppy: lower case but for tickers, and no mark at the end.
    """
    forms = _GROUPS[name]
    text = forms[int(rng.random() * len(forms))].write(rng, args, is_sloppy).text
    if not is_sloppy:
        return text if text[0].isupper() else text[0].upper() + text[1:]
    return text.rstrip("?.").replace("'s", "s") if rng.random() < 0.8 else text


def group_of(question: Question) -> str:
    """Name the group of wordings that ask a question."""
    kind, column = question.kind, question.column
    if kind in ("mood", "brief"):
        return kind
    if kind == "state":
        return "state.asked" if question.side else "state.open"
    family = (
        "all" if column is None
        else "change" if column in CHANGES
        else "avg" if column in AVERAGES
        else column
    )  # fmt: skip
    return f"extreme.{family}.{question.side}" if kind == "extreme" else f"{kind}.{family}"
