"""Counts in a text: "5 of 8 assets are up today", "no asset is overbought", "all are down"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from leadout_desk.claims.clauses import Clause, Mention
from leadout_desk.claims.statements import Finding, column_of, side_in
from leadout_desk.claims.vocabulary import (
    BUSY_VOLUME,
    CHANGES,
    DOUBT,
    NUMBER_WORDS,
    POSITION,
    STATE,
)
from leadout_desk.rules import matching
from leadout_desk.table import Table

_NUMBER = rf"\d{{1,4}}|{'|'.join(NUMBER_WORDS)}"
_THINGS = r"assets?|coins?|tokens?|cryptocurrenc\w+|tickers?|names|markets?|rows"
_COUNT = re.compile(
    rf"\b(?P<n>{_NUMBER}|all|every|each|most|both)\s+(?:of\s+(?:the\s+|all\s+)?(?P<total>{_NUMBER})\b"
    rf"(?:\s+(?:listed\s+|tracked\s+)?(?:{_THINGS}))?|(?:of\s+(?:the\s+)?)?(?:listed\s+|tracked\s+|other\s+)?"
    rf"(?P<things>{_THINGS})|of\s+(?:them|these))\b",
    re.IGNORECASE,
)


_SUM = re.compile(
    r"(?:^\s*that (?:is|makes)|^\s*(?:so )?the count is|, so the count is|:) "
    rf"(?P<n>{_NUMBER})(?: in all)?(?: of (?:the )?(?P<total>{_NUMBER}))?(?: (?:{_THINGS}))?"
    r"\s*[.!]?\s*$",
    re.IGNORECASE,
)
_NOTHING = re.compile(rf"\b(?:no|none of the) (?:{_THINGS})\b", re.IGNORECASE)


@dataclass(frozen=True)
class Counted:
    """What came of the counts of a clause.

    Args:
        places: of the digits that are counts, in the sentence: no figures of the table.
        findings: whether they are right.
    """

    places: list[tuple[int, int]]
    findings: list[Finding]


def count(clause: Clause, table: Table) -> Counted:
    """Find and judge the counts of a clause."""
    places: list[tuple[int, int]] = []
    findings: list[Finding] = []
    listed = clause.mentions or _list_before(clause)
    if (summed := _SUM.search(clause.part)) and (listed or _NOTHING.search(clause.text)):
        number = len({mention.asset for mention in listed})
        places.append((clause.start + summed.start("n"), clause.start + summed.end("n")))
        findings.append(Finding(_value(summed["n"]) == number, f"The list has {number}."))
        if summed["total"]:
            places.append(
                (clause.start + summed.start("total"), clause.start + summed.end("total"))
            )
            findings.append(_of_all(summed["total"], table))
            return Counted(places, findings)
    if leading := re.match(r"\s*(\d{1,4}):\s", clause.part):
        due = _due(clause, table)
        if due is not None:
            places.append((clause.start + leading.start(1), clause.start + leading.end(1)))
            findings.append(Finding(int(leading[1]) == len(due), f"It is {len(due)}."))
    for match in _COUNT.finditer(clause.text, clause.start, clause.end):
        if (
            clause.mentions
            and clause.mentions[0].start < match.start()
            and not _starts(match, clause)
        ):
            continue
        said = match["n"].lower()
        total = match["total"]
        due = _due(clause, table)
        if total is not None:
            findings.append(_of_all(total, table))
        if due is None and (total is not None or said in ("all", "every", "each", "most", "both")):
            continue  # what is counted was not understood: its number is a figure like any other
        if due is None and not re.search(
            r"\b(?:table|covers|lists|holds|listed)\b", clause.text, re.IGNORECASE
        ):
            continue
        if total is not None:
            places.append(match.span("total"))
        if DOUBT.search(clause.part):
            continue
        wanted = len(table.assets) if due is None else len(due)
        if said.isdigit():
            places.append(match.span("n"))
        names = "" if due is None or not 0 < wanted <= 8 else f" ({', '.join(due)})"
        findings.append(Finding(_is_right(said, wanted, table), f"It is {wanted}{names} of "
                                f"{len(table.assets)}."))  # fmt: skip
    return Counted(places, findings)


def _list_before(clause: Clause) -> list[Mention]:
    """Return the assets of the sentence before, or of what stands before in this one."""
    before, found = clause.before, []
    while before is not None:
        found += before.mentions
        before = before.before if before.before and before.before.text == before.text else None
    return found


def _starts(match: re.Match[str], clause: Clause) -> bool:
    """Say whether a count goes back to a list before it: "BTC and ETH, 2 of 8 assets"."""
    return match["total"] is not None or bool(re.search(r"\bthat (?:is|makes)\b", clause.part))


def _is_right(said: str, wanted: int, table: Table) -> bool:
    total = len(table.assets)
    if said in ("all", "every", "each"):
        return wanted == total
    if said == "most":
        return 2 * wanted > total
    if said == "both":
        return wanted == 2
    return _value(said) == wanted


def _of_all(said: str, table: Table) -> Finding:
    total = len(table.assets)
    return Finding(_value(said) == total, f"The table has {total} assets.")


def _value(text: str) -> int:
    return int(text) if text.isdigit() else NUMBER_WORDS[text.lower()]


def _due(clause: Clause, table: Table) -> tuple[str, ...] | None:
    """Return the assets that are what a clause counts; None where that was not understood."""
    text = clause.part
    place = clause
    while True:
        found = _predicate(place, text)
        if found or place.before is None or place.before.text != clause.text:
            break
        place = place.before
        text = place.part
    if found is None or found[0] not in table.numbers:
        return None
    return matching(table, *found)


def _predicate(clause: Clause, text: str) -> tuple[str, str] | None:
    if state := STATE.search(text):
        return "rsi", state["state"].lower()
    if position := POSITION.search(text):
        side = "up" if position["side"].lower() in ("above", "over") else "down"
        return None if position["other"] else (f"{position['size']}d", side)
    if BUSY_VOLUME.search(text):
        return "vol", "busy"
    if limit := re.search(r"\bRSI (?:is )?(above 70|below 30)", text, re.IGNORECASE):
        return "rsi", "overbought" if limit[1].lower().startswith("above") else "oversold"
    direction = side_in(text)
    column = column_of(clause, ())
    return (column, direction) if direction and column in CHANGES else None
