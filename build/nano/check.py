"""Whether a text about a table is right: read sentence by sentence, each held against the table.

The reader knows the sentence forms and nothing of what a generator chose; a model's text is read
the same way. A sentence of no known form counts as false, and its figures as wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from leadout_build.cli.market_table import Table
from leadout_desk.rules import at_end, holds, side_of
from nano.facts import judge
from nano.forms import Args, Claim
from nano.questions import Question, due_refusal
from nano.sentences import read

_END = re.compile(r"(?<=[.!?])\s+")

SHORTEST, LONGEST = 3, 6


@dataclass(frozen=True)
class Verdict:
    """What is to be said of a text.

    Args:
        is_right: every sentence is true and its numbers right, and it does what was asked.
        numbers_right: every number stands in the table where its sentence says, or is a right
            count.
        sentences: each sentence, and whether it is true.
        refusal: the reason of the refusal that the text is, or None.
    """

    is_right: bool
    numbers_right: bool
    sentences: tuple[tuple[str, bool], ...]
    refusal: str | None = None


def split_sentences(text: str) -> list[tuple[str, Claim | None]]:
    """Split a text into sentences with their claims; some forms take two sentences."""
    parts = _END.split(text.strip()) if text.strip() else []
    read_parts: list[tuple[str, Claim | None]] = []
    index = 0
    while index < len(parts):
        for size in (2, 1):
            sentence = " ".join(parts[index : index + size])
            claims = read(sentence)
            if claims or size == 1:
                read_parts.append((sentence, claims[0] if claims else None))
                index += size
                break
    return read_parts


def check_brief(table: Table, text: str) -> Verdict:
    """Check a brief: three to six true sentences, none twice."""
    parts = split_sentences(text)
    claims = [claim for _, claim in parts if claim is not None]
    verdict = _verdict(table, parts)
    is_brief = SHORTEST <= len(parts) <= LONGEST and not any(c.kind == "refusal" for c in claims)
    is_new = all(claim not in claims[:index] for index, claim in enumerate(claims))
    return Verdict(
        verdict.is_right and is_brief and is_new,
        verdict.numbers_right,
        verdict.sentences,
        verdict.refusal,
    )


def check_answer(table: Table | None, question: Question, text: str) -> Verdict:
    """Check an answer: it is true and says what was asked, or is the refusal that is due."""
    refusal = due_refusal(table, question)
    if question.kind == "brief" and table is not None:
        return check_brief(table, text)
    parts = split_sentences(text)
    verdict = _verdict(table or Table((), (), ()), parts)
    claim = parts[0][1] if len(parts) == 1 else None
    if claim is None:
        is_apt = False
    elif refusal:
        is_apt = _is_due(table, claim, question, refusal)
    else:
        is_apt = table is not None and _APT[question.kind](table, question, claim.kind, claim.args)
    return Verdict(
        verdict.is_right and is_apt, verdict.numbers_right, verdict.sentences, verdict.refusal
    )


def _verdict(table: Table, parts: list[tuple[str, Claim | None]]) -> Verdict:
    sentences: list[tuple[str, bool]] = []
    numbers_right = True
    reason: str | None = None
    for sentence, claim in parts:
        if claim is None:
            sentences.append((sentence, False))
            numbers_right = numbers_right and not re.search(r"\d", sentence)
            continue
        judgement = judge(claim, table)
        sentences.append((sentence, judgement.is_true))
        numbers_right = numbers_right and judgement.numbers_right
        reason = claim.args["reason"] if claim.kind == "refusal" else reason
    is_right = bool(parts) and numbers_right and all(is_true for _, is_true in sentences)
    return Verdict(is_right, numbers_right, tuple(sentences), reason)


# ---- does it say what was asked -----------------------------------------------------------


def _is_due(table: Table | None, claim: Claim, question: Question, refusal: str) -> bool:
    if claim.kind != "refusal" or claim.args["reason"] != refusal:
        return False
    named = claim.args.get("asset")
    if named is None:
        return True
    # Of two assets that are compared, one may have its cell.
    has_cell = table is not None and bool(table.text(named, question.column or ""))
    return named in (question.asset, question.other) and not has_cell


def _lookup(_: Table, question: Question, kind: str, args: Args) -> bool:
    if args.get("asset") != question.asset:
        return False
    if question.column is None:
        return kind == "line"
    if kind in ("state", "busy"):
        return question.column == {"state": "rsi", "busy": "vol"}[kind]
    return kind in ("value", "direction") and args["column"] == question.column


def _extreme(table: Table, question: Question, kind: str, args: Args) -> bool:
    side = question.side or "high"
    end = {"gain": "high", "loss": "low"}.get(side, side)
    wanted = {"gain": "up", "loss": "down"}.get(side)
    assets = at_end(table, question.column or "", end)
    is_there = not wanted or holds(wanted, table.numbers[question.column or ""][assets[0]])
    kinds = ("extreme", "tie") if is_there else ("nobody",)
    return kind in kinds and (args["end"], args["column"]) == (end, question.column)


def _count(_: Table, question: Question, kind: str, args: Args) -> bool:
    return kind == "count" and _is_about(question, args)


def _list(_: Table, question: Question, kind: str, args: Args) -> bool:
    return kind in ("list", "count", "none", "every") and _is_about(question, args)


def _is_about(question: Question, args: Args) -> bool:
    return (args["column"], args["side"]) == (question.column, question.side)


def _compare(_: Table, question: Question, kind: str, args: Args) -> bool:
    if {args.get("asset"), args.get("asset2")} != {question.asset, question.other}:
        return False
    if question.column is None:
        return kind in ("lines", "compare", "level")
    return kind in ("compare", "level") and args["column"] == question.column


def _state(_: Table, question: Question, kind: str, args: Args) -> bool:
    if args.get("asset") != question.asset:
        return False
    if kind == "unstate":
        return bool(question.side == args["asked"])
    is_yes = "yes" not in args or args["state"] == question.side
    return kind == "state" and is_yes


def _direction(table: Table, question: Question, kind: str, args: Args) -> bool:
    if kind != "direction" or args["asset"] != question.asset:
        return False
    if args["column"] != question.column or "yes" not in args:
        return False
    side = side_of(table.numbers[args["column"]][args["asset"]])
    return (args["yes"] == "yes") is (side == question.side)


def _mood(_table: Table, _question: Question, kind: str, _args: Args) -> bool:
    return kind == "mood"


_APT = {
    "lookup": _lookup,
    "extreme": _extreme,
    "count": _count,
    "list": _list,
    "compare": _compare,
    "state": _state,
    "direction": _direction,
    "mood": _mood,
}
