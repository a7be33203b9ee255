"""Texts to numbers, whatever marks their decimals: 1,234.56 and 1.234,56 and 1 234,56.

The mark belongs to a file: it is found once, from all of its numbers, and a file that has both is
refused with the two lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from leadout.shown import shown
from leadout_desk.errors import MarketFileError

#: What stands for a number that is not known.
MISSING = frozenset(("", "null", "nan", "none", "n/a", "na", "-", "--", "–", "—", ".", "#n/a"))

#: No market is larger, in whatever currency.
MAX_NUMBER = 1e18

_SPACES = re.compile(r"[\s\u00a0\u202f'’_]")
_CURRENCY = re.compile(r"^([+-]?)(?:US)?[$€£¥₿]|[$€£¥₿]$|\s*(?:USD|EUR|USDT)$")
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?", re.ASCII)
_SCALES = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}

#: The swap that makes the one way of writing the other.
_SWAP = str.maketrans(",.", ".,")


def is_missing(text: str) -> bool:
    """Say whether a cell says that its number is not known."""
    return text.strip().lower() in MISSING


def parse_number(text: str, mark: str = ".") -> float | None:
    """Return the number that a text is, or None where it is none.

    Args:
        text: digits with a sign, separators of thousands, a currency, %, x, K, M, B or T.
        mark: of the decimals, "." or ",".
    """
    text = _strip(text)
    scale = 1.0
    if text[-1:] in _SCALES:
        scale, text = _SCALES[text[-1]], text[:-1]
    if mark == ",":
        text = text.translate(_SWAP)
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    if not _PLAIN.fullmatch(text):
        return None
    return known(float(text) * scale)


def known(value: float) -> float | None:
    """Return a number that a market can have, or None: sums and ratios of these stay finite."""
    return value if abs(value) <= MAX_NUMBER else None


def find_mark(
    cells: Iterable[tuple[str, int]], separator: str, file: str
) -> tuple[str, str | None]:
    """Find what marks a file's decimals.

    Args:
        cells: texts of numbers, with their lines.
        separator: of the file's cells.

    Returns:
        "." or ",", and what is to be said of it.

    Raises:
        MarketFileError: some numbers have the one mark and some the other.
    """
    seen: dict[str, tuple[str, int]] = {}
    doubtful: str | None = None
    for text, line in cells:
        mark = _mark_of(_strip(text))
        if mark in (".", ","):
            seen.setdefault(mark, (text, line))
        elif mark == "?":
            doubtful = doubtful or text
    if len(seen) == 2:
        (point, at_point), (comma, at_comma) = seen["."], seen[","]
        raise MarketFileError(
            f"{file}, lines {at_point} and {at_comma}: {shown(point.strip())} has a decimal point "
            f"and {shown(comma.strip())} a decimal comma. Wanted: one of them in all of the file.",
            file=file,
            line=max(at_point, at_comma),
        )
    if "," in seen:
        return ",", "Its numbers have a decimal comma."
    if doubtful and not seen:
        mark = "," if separator == ";" else "."
        said = parse_number(doubtful, mark)
        return mark, f"{shown(doubtful.strip())} was read as {said:,}."
    return ".", None


def _strip(text: str) -> str:
    text = _CURRENCY.sub(r"\1", text.strip())
    return _SPACES.sub("", text).rstrip("%x").replace("−", "-")


def _mark_of(text: str) -> str | None:
    """Return what marks the decimals of one number; "?" where it can be either, None for none."""
    commas, points = text.count(","), text.count(".")
    if not commas and points < 2:
        # 1.5 says little: in a file of decimal commas 1.234 is more than a thousand.
        return "." if points and not re.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}", text) else None
    if commas and points:
        mark = "," if text.rindex(",") > text.rindex(".") else "."
        return mark if text.count(mark) == 1 else None
    if points > 1:
        return ","
    if commas > 1:
        return "."
    is_grouped = re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", text)
    return "?" if is_grouped else ","
