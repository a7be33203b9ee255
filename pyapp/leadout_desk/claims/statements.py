"""What clauses claim beside their numbers: directions, ends, states, positions, comparisons."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from leadout_desk.claims.clauses import Clause, Mention
from leadout_desk.claims.linking import Link
from leadout_desk.claims.vocabulary import (
    AVERAGE_VOLUME,
    BOTH_AVERAGES,
    BUSY_VOLUME,
    CHANGES,
    DOUBT,
    DOWN,
    HIGH,
    LOW,
    NOT,
    POSITION,
    RANK,
    RANKED,
    SPOKEN,
    STATE,
    UP,
)
from leadout_desk.rules import OVERBOUGHT, OVERSOLD, at_end, holds, matching, side_of, state_of
from leadout_desk.table import Table

_THAN = re.compile(
    r"\b(?P<word>more|less|better|worse|higher|lower|stronger|weaker|further)\b[\w ]*\bthan\b"
    r"|\b(?P<over>outperform\w*|beat\w*|ahead of)\b|\b(?P<under>underperform\w*|behind)\b",
    re.IGNORECASE,
)
_WORSE = ("less", "worse", "lower", "weaker")
_RANGE = re.compile(
    r"\b(?:range\w*|runs?|goes|spans?|split|mixed|losses)\b.*\bfrom\b", re.IGNORECASE
)
_HIGHER_LOWER = re.compile(r"\b(?:is|are|was|were)\s+(?:the\s+)?(?:higher|lower)\b", re.IGNORECASE)
#: Behind the values of two assets: "…, so X is higher." A name is written with X here.
_WINNER = re.compile(
    r"X+ (?:is|was|did|has)(?: the)? (?P<word>higher|stronger|better|busier|ahead|more expensive|"
    r"lower|weaker|worse|behind|cheaper)\b(?: price| one)?\s*[.!]?\s*$"
)
_LOSING = ("lower", "weaker", "worse", "behind", "cheaper")
_TIE = re.compile(r"\b(?:tie|tied|ties|share|jointly|both)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """A statement that was held against the table.

    Args:
        is_true: whether the table says so.
        reason: what the table says, where it is false.
    """

    is_true: bool
    reason: str = ""


def judge(clause: Clause, links: Sequence[Link], table: Table) -> list[Finding]:
    """Judge what a clause says; what is not understood gives nothing.

    Args:
        clause: of a sentence.
        links: of its figures.
        table: that it is about.
    """
    part = clause.part
    if DOUBT.search(part) or part.rstrip().endswith("?"):
        return []
    findings = [*_states(clause, table), *_positions(clause, table), *_volumes(clause, table)]
    if RANK.search(part) or (NOT.search(part) and not STATE.search(part)):
        return findings
    ends = _ends(clause, links, table)
    compared = [] if ends else _comparisons(clause, links, table)
    if not (ends or compared or findings):
        findings += _directions(clause, links, table)
    return [*findings, *ends, *compared]


def column_of(clause: Clause, links: Sequence[Link], default: str = "1d") -> str | None:
    """Return the column that a clause is about: by its words, its number, or the change by day."""
    hinted = list(dict.fromkeys(hint.columns for hint in clause.hints))
    periods = [columns for columns in hinted if columns[0] in CHANGES]
    if len(periods) == 1:
        return periods[0][0]
    if hinted:
        # "volume … its average": what all of the words point to.
        shared = [key for key in hinted[0] if all(key in columns for columns in hinted)]
        return shared[0] if shared else None
    linked = {link.column for link in links if link.column}
    if len(linked) == 1:
        return linked.pop()
    inherited = clause.before.hinted if clause.before else []
    if len(inherited) == 1:
        return inherited[0][0]
    return default if not inherited else None


def _whole(table: Table, asset: str, column: str) -> float | None:
    return table.numbers.get(column, {}).get(asset)


def _said(table: Table, asset: str, column: str) -> str:
    return f"{asset}'s {SPOKEN[column]} is {table.texts[column][asset]}"


# ---- up and down ---------------------------------------------------------------------------


def side_in(text: str) -> str | None:
    """Return the direction that words say, where they say one."""
    is_up, is_down = bool(UP.search(text)), bool(DOWN.search(text))
    return None if is_up == is_down else "up" if is_up else "down"


def _directions(clause: Clause, links: Sequence[Link], table: Table) -> list[Finding]:
    side = side_in(clause.part)
    column = column_of(clause, links)
    if column == "price":
        column = "1d"
    if side is None or column not in CHANGES:
        return []
    findings = []
    for asset in clause.assets:
        number = _whole(table, asset, column)
        if number is not None:
            reason = f"{asset} is {_way(number)}: {_said(table, asset, column)}."
            findings.append(Finding(holds(side, number), reason))
    listed = _listing(clause)
    if listed and side_in(listed) == side:
        findings += _complete(clause.assets, table, column, side)
    return findings


def _way(number: float) -> str:
    return {"up": "up", "down": "down", "flat": "unchanged"}[side_of(number)]


def _listing(clause: Clause) -> str | None:
    """Return what stands before the colon of a list of assets: "Up today: BTC and ETH"."""
    match = re.match(r"\s*[\w\s,-]*:", clause.part)
    if match is None or not clause.mentions:
        return None
    return match[0] if clause.mentions[0].start >= clause.start + match.end() else None


def _complete(assets: Sequence[str], table: Table, column: str, side: str) -> list[Finding]:
    """Judge whether a list names all that it should."""
    missing = [asset for asset in matching(table, column, side) if asset not in assets]
    if not missing:
        return [Finding(True)]
    return [Finding(False, f"The list leaves out {', '.join(missing)}.")]


# ---- highest and lowest --------------------------------------------------------------------


def _ends(clause: Clause, links: Sequence[Link], table: Table) -> list[Finding]:
    part = clause.part
    if _RANGE.search(part) and len(clause.mentions) == 2:
        column = column_of(clause, links)
        low, high = clause.assets if len(clause.assets) == 2 else (None, None)
        if column and low and high:
            return [*_is_end(low, table, column, "low"), *_is_end(high, table, column, "high")]
        return []
    findings: list[Finding] = []
    for pattern, end in ((HIGH, "high"), (LOW, "low")):
        match = pattern.search(part)
        if match is None:
            continue
        column = next((RANKED[word] for word in RANKED if word in match[0].lower()), None)
        column = column or _ranked_by(clause, links, match[0])
        if column is None:
            continue
        is_tie = bool(_TIE.search(part))
        assets = clause.assets if is_tie else _nearest(clause, match.start(), match.end())
        for asset in assets:
            findings += _is_end(asset, table, column, end)
            number = _whole(table, asset, column)
            sense = side_in(match[0])
            if number is not None and sense and column in CHANGES and findings[-1].is_true:
                findings.append(Finding(holds(sense, number), f"{_said(table, asset, column)}."))
    return findings


def _ranked_by(clause: Clause, links: Sequence[Link], words: str) -> str | None:
    """Return what "leads" or "highest" is said of: who leads is ahead by a change, not by price."""
    column = column_of(clause, links)
    is_of_values = re.search(r"highest|lowest|largest|biggest|smallest", words, re.IGNORECASE)
    if is_of_values or column in (*CHANGES, "rsi", "vol", "volatility", "50d", "200d", "drawdown"):
        return column
    if column is None and len({hint.columns for hint in clause.hints}) > 1:
        changes = {hint.columns[0] for hint in clause.hints if hint.columns[0] in CHANGES}
    else:
        changes = {link.column for link in links if link.column in CHANGES}
    return changes.pop() if len(changes) == 1 else None if changes else "1d"


def _nearest(clause: Clause, start: int, end: int) -> list[str]:
    """Return the asset whose name stands nearest to some words of a clause."""
    if not clause.mentions:
        return clause.assets[:1]
    start, end = start + clause.start, end + clause.start

    def distance(mention: Mention) -> int:
        return max(start - mention.end, mention.start - end)

    return [min(clause.mentions, key=distance).asset]


def _is_end(asset: str, table: Table, column: str, end: str) -> list[Finding]:
    ends = at_end(table, column, end)
    if not ends or _whole(table, asset, column) is None:
        return []
    which = "highest" if end == "high" else "lowest"
    reason = (
        f"{asset}'s {SPOKEN[column]} is not the {which}: that is {' and '.join(ends)}'s, at "
        f"{table.texts[column][ends[0]]}."
    )
    return [Finding(asset in ends, reason)]


# ---- overbought and oversold ---------------------------------------------------------------


def _states(clause: Clause, table: Table) -> list[Finding]:
    part = clause.part
    matches = list(STATE.finditer(part))
    if not matches or re.search(r"\bmost\s+over(?:bought|sold)", part, re.IGNORECASE):
        return []
    findings = []
    is_neither = len({match["state"].lower() for match in matches}) == 2
    negation = NOT.search(part[: matches[0].start()])
    for asset in clause.assets:
        rsi = _whole(table, asset, "rsi")
        if rsi is None:
            continue
        state = state_of(rsi)
        reason = f"{asset}'s RSI is {table.texts['rsi'][asset]}: {_state_words(state)}."
        if is_neither:
            if negation:
                findings.append(Finding(state == "neither", reason))
        else:
            is_so = state == matches[0]["state"].lower()
            findings.append(Finding(is_so is not bool(negation), reason))
    listed = _listing(clause)
    if listed and STATE.search(listed) and not is_neither and not negation:
        findings += _complete(clause.assets, table, "rsi", matches[0]["state"].lower())
    return findings


def _state_words(state: str) -> str:
    if state == "neither":
        return f"neither overbought (above {OVERBOUGHT:.0f}) nor oversold (below {OVERSOLD:.0f})"
    return state


# ---- against averages ----------------------------------------------------------------------


def _positions(clause: Clause, table: Table) -> list[Finding]:
    part = clause.part
    said: list[tuple[str, str]] = []
    for match in POSITION.finditer(part):
        side = "up" if match["side"].lower() in ("above", "over") else "down"
        said += [(f"{size}d", side) for size in (match["size"], match["other"]) if size]
    for match in BOTH_AVERAGES.finditer(part):
        side = "up" if match["side"].lower() == "above" else "down"
        said += [("50d", side), ("200d", side)]
    if NOT.search(part):
        return []
    findings = []
    for column, side in said:
        for asset in clause.assets:
            number = _whole(table, asset, column)
            if number is not None:
                findings.append(Finding(holds(side, number), f"{_said(table, asset, column)}."))
    listed = _listing(clause)
    if listed and POSITION.search(listed) and len(said) == 1:
        findings += _complete(clause.assets, table, *said[0])
    return findings


def _volumes(clause: Clause, table: Table) -> list[Finding]:
    part = clause.part
    if NOT.search(part):
        return []
    average, busy = AVERAGE_VOLUME.search(part), BUSY_VOLUME.search(part)
    findings = []
    for asset in clause.assets if average or busy else ():
        number = _whole(table, asset, "vol")
        if number is None:
            continue
        reason = f"{_said(table, asset, 'vol')}."
        if average:
            is_above = (average["side"] or average["side2"]).lower() == "above"
            findings.append(Finding(number > 1 if is_above else number < 1, reason))
        else:
            findings.append(Finding(holds("busy", number), reason))
    return findings


# ---- two assets ----------------------------------------------------------------------------


def _comparisons(clause: Clause, links: Sequence[Link], table: Table) -> list[Finding]:
    match = _THAN.search(clause.part)
    place = None if match is None else clause.start + match.start()
    if match is None or place is None or len(clause.mentions) != 2:
        return []
    first, second = clause.mentions
    column = column_of(clause, links)
    if column is None or not first.end <= place < second.start or first.asset == second.asset:
        return []
    a, b = (_whole(table, mention.asset, column) for mention in (first, second))
    if a is None or b is None:
        return []
    word = (match["word"] or "").lower()
    is_more = not (match["under"] or word in _WORSE)
    before = clause.text[first.end : place]
    if word in ("more", "less", "further") and DOWN.search(before) and column in CHANGES:
        is_more = not is_more  # "fell more than": the lower change
    is_true = a > b if is_more else a < b
    reason = f"{_said(table, first.asset, column)}, and {_said(table, second.asset, column)}."
    return [Finding(is_true, reason)]


def judge_winner(clauses: Sequence[Clause], links: Sequence[Link], table: Table) -> list[Finding]:
    """Judge the end of a sentence that compares two assets by one column: "…; X is higher"."""
    text = clauses[0].text
    match = _WINNER.search(text)
    mentions = [mention for clause in clauses for mention in clause.mentions]
    winner = next((m.asset for m in mentions if match and m.start == match.start()), None)
    others = {mention.asset for mention in mentions} - {winner}
    columns = {link.column for link in links if link.column and not link.fault}
    if match is None or winner is None or len(others) != 1 or len(columns) != 1:
        return []
    if DOUBT.search(text) or NOT.search(text):
        return []
    (other,), (column,) = others, columns
    assert column is not None
    a, b = _whole(table, winner, column), _whole(table, other, column)
    if a is None or b is None:
        return []
    is_true = a < b if match["word"] in _LOSING else a > b
    reason = f"{_said(table, winner, column)}, and {_said(table, other, column)}."
    return [Finding(is_true, reason)]
