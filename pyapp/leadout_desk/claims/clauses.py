"""A text to sentences, and a sentence to clauses with what stands in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from leadout_desk.claims.figures import Figure, find_figures
from leadout_desk.claims.vocabulary import HINT, HINTED, LONG_NAMES
from leadout_desk.table import Table

_END = re.compile(r"(?<=[.!?])[\"'*_)]*\s+(?=\S)|\n+")

#: A full stop behind these does not end a sentence.
_NO_END = re.compile(r"(?:^|\s)(?:\d{1,2}|vs|approx|avg|e\.g|i\.e|ca|no)\.$", re.IGNORECASE)
_PRONOUN = re.compile(r"\b(?:it|its|it's)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Mention:
    """An asset that a clause names."""

    start: int
    end: int
    asset: str


@dataclass(frozen=True)
class Hint:
    """Words that point to columns."""

    start: int
    end: int
    columns: tuple[str, ...]


@dataclass
class Clause:
    """A part of a sentence; places are those of the sentence.

    Args:
        text: the sentence, with X in the place of each letter of an asset's name.
        start, end: in the sentence.
        before: the clause before, whose subject and period may go on.
    """

    text: str
    start: int
    end: int
    mentions: list[Mention]
    hints: list[Hint]
    figures: list[Figure]
    before: Clause | None = field(default=None, repr=False)

    @property
    def part(self) -> str:
        """Return its own text."""
        return self.text[self.start : self.end]

    @property
    def assets(self) -> list[str]:
        """Return the assets that it names, or the one that "it" stands for."""
        if self.mentions:
            return list(dict.fromkeys(mention.asset for mention in self.mentions))
        if self.before and (_PRONOUN.search(self.part) or not self.part[:1].isupper()):
            return self.before.assets[-1:]
        return []

    @property
    def hinted(self) -> list[tuple[str, ...]]:
        """Return the different columns that it points to, or the clause before."""
        found = list(dict.fromkeys(hint.columns for hint in self.hints))
        return found or (self.before.hinted if self.before else [])


class Reader:
    """Reads texts about one table."""

    def __init__(self, table: Table) -> None:
        self._assets = {asset: asset for asset in table.assets}
        self._long: dict[str, str] = {}
        for row in table.rows:
            if len(row.name) > 2:
                self._long[row.name.lower()] = row.asset
        for name, asset in LONG_NAMES.items():
            if asset in self._assets:
                self._long.setdefault(name, asset)
        self._pattern = _names(self._assets, "") if self._assets else None
        self._long_pattern = _names(self._long, "(?i:") if self._long else None
        any_name = "|".join(p.pattern for p in (self._pattern, self._long_pattern) if p) or "(?!)"
        self._split = re.compile(
            r";\s*|\s+[–—-]\s+|,?\s+(?:while|whereas|but|although|though)\s+"
            rf"|,\s+(?:with|and|led by)\s+(?={any_name})"
            rf"|\s+and\s+(?=(?:{any_name})\s+(?:is|was|leads|lags|trades|stands))"
        )

    def sentences(self, text: str) -> list[tuple[int, int]]:
        """Return where each sentence of a text begins and ends."""
        ends = [m for m in _END.finditer(text) if not _NO_END.search(text[: m.start()][-8:])]
        starts = [0, *[match.end() for match in ends]]
        stops = [*[match.start() for match in ends], len(text)]
        return [(a, b) for a, b in zip(starts, stops, strict=True) if text[a:b].strip()]

    def clauses(self, sentence: str, before: Clause | None) -> list[Clause]:
        """Return the clauses of a sentence.

        Args:
            sentence: its text.
            before: the last clause of the sentence before.
        """
        mentions = self._mentions(sentence)
        hints = [
            Hint(match.start(), match.end(), HINTED[match.lastgroup or ""])
            for match in HINT.finditer(sentence)
        ]
        # "50-day" is not a figure; but "volume at 1.22x its average" has one inside.
        inside = [(h.start, h.end) for h in hints if h.columns != ("vol",)]
        inside += [(m.start, m.end) for m in mentions]
        figures = [
            figure
            for figure in find_figures(sentence)
            if not any(start <= figure.start and figure.end <= end for start, end in inside)
        ]
        places = [match.span() for match in self._split.finditer(sentence)]
        starts = [0, *[end for _, end in places]]
        stops = [*[start for start, _ in places], len(sentence)]
        # A ticker may be a word of ours: ROSE, GAIN, TOP.
        masked = sentence
        for mention in mentions:
            size = mention.end - mention.start
            masked = masked[: mention.start] + "X" * size + masked[mention.end :]
        clauses: list[Clause] = []
        # Its subject goes on, its period does not.
        last = Clause("", 0, 0, before.mentions, [], []) if before and before.mentions else None
        for start, stop in zip(starts, stops, strict=True):
            clause = Clause(
                masked, start, stop,
                [m for m in mentions if start <= m.start < stop],
                [h for h in hints if start <= h.start < stop],
                [f for f in figures if start <= f.start < stop],
                last,
            )  # fmt: skip
            clauses.append(clause)
            last = clause
        return clauses

    def _mentions(self, text: str) -> list[Mention]:
        found: list[Mention] = []
        for pattern, names in ((self._pattern, self._assets), (self._long_pattern, self._long)):
            for match in pattern.finditer(text) if pattern else ():
                key = match[0] if pattern is self._pattern else match[0].lower()
                if not any(m.start < match.end() and match.start() < m.end for m in found):
                    found.append(Mention(match.start(), match.end(), names[key]))
        return sorted(found, key=lambda mention: mention.start)


def _names(names: Sequence[str] | dict[str, str], flags: str) -> re.Pattern[str]:
    texts = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    inner = f"{flags}{texts})" if flags else f"(?:{texts})"
    return re.compile(rf"(?<![\w^.]){inner}(?![\w])")
