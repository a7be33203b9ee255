"""A text about a table, sentence by sentence: which numbers are from which cells, what is false."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from leadout_desk.claims.clauses import Clause, Reader
from leadout_desk.claims.counts import count
from leadout_desk.claims.figures import Figure
from leadout_desk.claims.linking import Link, link
from leadout_desk.claims.statements import Finding, judge, judge_winner
from leadout_desk.claims.vocabulary import BAND, DOUBT, MOOD
from leadout_desk.rules import OVERBOUGHT, OVERSOLD, band_of, holds
from leadout_desk.table import Table

#: A longer text is not a brief.
MAX_CHARS = 20_000

#: "an RSI above 70": a bound, and no figure of the table.
_BOUND = re.compile(r"\b(above|over|below|under|beyond|between|and|of)\s+$", re.IGNORECASE)
_SIDES = {"above": "overbought", "over": "overbought", "beyond": "overbought",
          "below": "oversold", "under": "oversold"}  # fmt: skip


#: What looks as tickers do.
_TICKER = re.compile(r"(?<![\w-])[A-Z][A-Z0-9]{1,5}(?![\w-])")
_NO_TICKERS = frozenset(
    (
        *("RSI", "MA", "SMA", "EMA", "MACD", "ATH", "YTD", "USD", "USDT", "EUR", "GBP", "UTC"),
        *("ETF", "ETFS", "NFT", "DEFI", "AI", "CSV", "US", "EU", "UK"),
    )
)
_BETWEEN = re.compile(r"\bbetween 30 and 70\b")


@dataclass
class Sentence:
    """A sentence, and what was found.

    Args:
        start, end: in the text.
        links: its numbers that are figures.
        findings: its statements that were held against the table, counts and bounds among them.
    """

    start: int
    end: int
    links: list[Link] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """Return what is wrong, a sentence each."""
        numbers = [link.fault for link in self.links if link.fault]
        statements = [finding.reason for finding in self.findings if not finding.is_true]
        return list(dict.fromkeys([*numbers, *statements]))

    @property
    def is_checked(self) -> bool:
        """Say whether anything in it was held against the table."""
        return bool(self.links or self.findings)


def check(text: str, table: Table) -> list[Sentence]:
    """Check a text of at most `MAX_CHARS` characters."""
    reader = Reader(table)
    sentences: list[Sentence] = []
    before: Clause | None = None
    for start, end in reader.sentences(text):
        sentence = Sentence(start, end)
        clauses = reader.clauses(text[start:end], before)
        for clause in clauses:
            _check_clause(clause, table, sentence)
            if clause.mentions:
                before = clause
        sentence.findings += judge_winner(clauses, sentence.links, table)
        sentence.links = [_moved(found, start) for found in sentence.links]
        sentences.append(sentence)
    return sentences


def _check_clause(clause: Clause, table: Table, sentence: Sentence) -> None:
    counted = count(clause, table)
    sentence.findings += counted.findings
    links: list[Link] = []
    for figure in clause.figures:
        if any(start <= figure.start < end for start, end in counted.places):
            continue
        if _is_bound(figure, clause, table, sentence):
            continue
        links.append(link(figure, clause, table))
    sentence.links += links
    if links and not clause.assets:
        sentence.findings += _strangers(clause)
    sentence.findings += _mood(clause, table)
    if not counted.findings or clause.mentions:
        sentence.findings += judge(clause, links, table)


def _is_bound(figure: Figure, clause: Clause, table: Table, sentence: Sentence) -> bool:
    """Judge "an RSI above 70"; say whether it was one."""
    match = _BOUND.search(clause.text[: figure.start])
    text = clause.text.lower()
    if match is None or figure.unit or not re.search(r"\brsi\b|overbought|oversold", text):
        return False
    side = {OVERBOUGHT: "overbought", OVERSOLD: "oversold"}.get(figure.value)
    word = match[1].lower()
    if side is None or (word not in _SIDES and not _BETWEEN.search(text)):
        return False
    if DOUBT.search(clause.part) or _SIDES.get(word) != side or _BETWEEN.search(text):
        return True
    for asset in clause.assets:
        rsi = table.numbers.get("rsi", {}).get(asset)
        is_denied = re.search(r"\b(?:not|neither|nor|no)\b", clause.part, re.IGNORECASE)
        if rsi is not None and not is_denied:
            reason = f"{asset}'s RSI is {table.texts['rsi'][asset]}."
            sentence.findings.append(Finding(holds(side, rsi), reason))
    return True


def _mood(clause: Clause, table: Table) -> list[Finding]:
    """Judge what the fear-and-greed index is called."""
    if table.mood is None or not MOOD.search(clause.text) or DOUBT.search(clause.part):
        return []
    rest = re.sub(r"fear[ -](?:and|&)[ -]greed(?: index)?", " ", clause.part, flags=re.IGNORECASE)
    bands = [band.lower() for band in BAND.findall(rest)]
    if not bands:
        return []
    right = band_of(table.mood)
    return [Finding(right in bands, f"A fear-and-greed index of {table.mood} is called {right}.")]


def _strangers(clause: Clause) -> list[Finding]:
    """Find tickers that the table does not have, beside numbers that are said of them."""
    names = [name for name in _TICKER.findall(clause.part) if name not in _NO_TICKERS]
    return [Finding(False, f"{name} is not in the table.") for name in dict.fromkeys(names)]


def _moved(found: Link, by: int) -> Link:
    figure = found.figure
    moved = Figure(
        figure.start + by, figure.end + by, figure.value, figure.sign, figure.unit, figure.tolerance
    )
    return Link(moved, found.asset, found.column, found.is_mood, found.fault)
