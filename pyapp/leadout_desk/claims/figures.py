"""Numbers in a text: their value, how exactly they are said, and in which unit."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FIGURE = re.compile(
    r"(?<![\w.,])(?P<sign>(?:(?<![\w)])[+\-−–])?)\s?(?P<money>[$€£])?"
    r"(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?P<rest>\.\d+)?"
    r"(?:(?P<percent>\s?%|\s(?:percent|per cent)\b)|(?P<times>x\b|\stimes\b)"
    r"|(?P<scale>\s?(?:thousand|million|billion|trillion)\b|[KMBT]\b))?(?![\w%])"
)

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*"

#: What has digits and is not a figure of a table.
_NO_FIGURE = re.compile(
    r"\b\d{4}-\d\d-\d\d\b|\b\d{1,2}:\d\d\b|^\s*\d{1,2}[.)](?=\s)"
    rf"|\b(?:in|since|by|until|during|of) (?:{_MONTH} )?(?:19|20)\d\d\b(?![.,]\d)"
    rf"|\b{_MONTH} \d{{1,2}}(?:, \d{{4}})?\b",
    re.IGNORECASE | re.MULTILINE,
)
_SCALES = {"k": 1e3, "t": 1e12, "m": 1e6, "b": 1e9,
           "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}  # fmt: skip
_ABOUT = re.compile(
    r"(?:about|around|roughly|approximately|nearly|almost|some|~)\s?$", re.IGNORECASE
)


@dataclass(frozen=True)
class Figure:
    """A number as a text says it.

    Args:
        start, end: of its characters.
        value: without its sign.
        sign: "+", "-" or "".
        unit: "%", "x" or "".
        tolerance: a number that is written so may be so far away.
    """

    start: int
    end: int
    value: float
    sign: str
    unit: str
    tolerance: float

    def is_size_of(self, number: float) -> bool:
        """Say whether a number is this one when it is rounded as this one is, but for the sign."""
        return abs(abs(number) - self.value) <= self.tolerance


def find_figures(text: str) -> list[Figure]:
    """Find the numbers of a text, from left to right."""
    skipped = [match.span() for match in _NO_FIGURE.finditer(text)]
    figures = []
    for match in _FIGURE.finditer(text):
        start = match.end("sign") if not match["sign"] else match.start("sign")
        if any(first <= match.start("whole") < last for first, last in skipped):
            continue
        scale = _SCALES[match["scale"].strip().lower()] if match["scale"] else 1.0
        digits, decimals = match["whole"].replace(",", ""), len(match["rest"] or ".") - 1
        places = -decimals
        if not decimals and _ABOUT.search(text[:start]):
            places = len(digits) - len(digits.rstrip("0"))
        unit = "%" if match["percent"] else "x" if match["times"] else ""
        sign = {"": "", "+": "+"}.get(match["sign"], "-")
        value = float(digits + (match["rest"] or "")) * scale
        tolerance = 0.5 * 10.0**places * scale + abs(value) * 1e-12
        begin = match.start("money") if match["money"] and not sign else start
        if not sign:
            begin = match.start("money") if match["money"] else match.start("whole")
        figures.append(Figure(begin, match.end(), value, sign, unit, tolerance))
    return figures
