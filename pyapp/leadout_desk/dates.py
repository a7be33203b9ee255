"""Texts to moments: ISO 8601, seconds and milliseconds since 1970, 31/01/2024 and 01/31/2024.

Whether the day or the month comes first is found from all dates of a file; where they do not say,
the person is asked.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from leadout.shown import shown
from leadout_desk.errors import MarketFileError

DAY_S = 86_400

#: Orders of 01/02/2024, as a person chooses them.
ORDERS = ("DD/MM/YYYY", "MM/DD/YYYY")

WANTED = "a date such as 2024-01-31, 31/01/2024, Jan 31, 2024 or 1706659200"

_EPOCH = re.compile(r"(\d{9,10}|\d{12,13}|\d{15,16})(?:\.\d+)?", re.ASCII)
_SLASHED = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})(?:[ T,].*)?", re.ASCII)
_NAMED = re.compile(
    r"(?:(?P<day>\d{1,2})[ -])?(?P<month>[A-Za-z]{3,9})\.?[ -](?:(?P<day2>\d{1,2}),? )?"
    r"(?P<year>\d{4})(?:[ ,].*)?"
)
_TIME = re.compile(r"[ T,]+(\d{1,2}):(\d{2})(?::(\d{2}))?")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

#: Moments outside of these years are not days of a market.
_FIRST_S = int(datetime(1900, 1, 1, tzinfo=UTC).timestamp())
_LAST_S = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp())


@dataclass(frozen=True)
class Dates:
    """The dates of a file.

    Args:
        seconds: since 1970, one for each text; None where a text is not a date.
        question: two readings to choose from, where the file does not say; then no seconds hold.
        note: what is to be said of how they were read.
    """

    seconds: list[int | None]
    question: dict[str, object] | None = None
    note: str | None = None


def read_dates(texts: Sequence[str], lines: Sequence[int], file: str, order: str | None) -> Dates:
    """Read a column of dates.

    Args:
        texts: the column.
        lines: the number of each one's line.
        file: its name, for messages.
        order: one of `ORDERS`, where a person has chosen.

    Raises:
        MarketFileError: dates of one file have the day first and the month first.
    """
    seconds = [_parse(text) for text in texts]
    slashed = [
        (i, match)
        for i, second in enumerate(seconds)
        if second is None and (match := _SLASHED.fullmatch(texts[i].strip()))
    ]
    if not slashed:
        return Dates(seconds)
    note = None
    if order is None:
        order, note = _find_order(slashed, texts, lines, file)
    if order is None:
        return Dates(seconds, _question(texts[slashed[0][0]].strip()))
    for i, match in slashed:
        seconds[i] = _of_slashed(match, texts[i], order)
    return Dates(seconds, note=note)


def day_text(day: int) -> str:
    """Write a day (since 1970) as ISO 8601 does."""
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def parse_moment(value: object) -> int | None:
    """Return a moment of JSON, in seconds: a number of (milli)seconds, or a text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    return _parse(str(int(value)) if isinstance(value, int | float) and value == value // 1 else
                  str(value))  # fmt: skip


def _parse(text: str) -> int | None:
    text = text.strip()
    if match := _EPOCH.fullmatch(text):
        digits = match[1]
        # Seconds, or thousandths or millionths of them.
        return _checked(int(digits) // 10 ** max(3 * ((len(digits) - 8) // 3), 0))
    try:
        moment = datetime.fromisoformat(text.removesuffix(" UTC").replace("/", "-"))
    except ValueError:
        match = _NAMED.fullmatch(text)
        return _of_named(match, text) if match else None
    return _stamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _of_named(match: re.Match[str], text: str) -> int | None:
    name, day = match["month"][:3].lower(), match["day"] or match["day2"]
    if name not in _MONTHS or day is None:
        return None
    return _moment(int(match["year"]), _MONTHS.index(name) + 1, int(day), text)


def _of_slashed(match: re.Match[str], text: str, order: str) -> int | None:
    first, second, year = int(match[1]), int(match[3]), int(match[4])
    day, month = (first, second) if order == ORDERS[0] else (second, first)
    return _moment(year + 2000 if year < 100 else year, month, day, text)


def _moment(year: int, month: int, day: int, text: str) -> int | None:
    time = _TIME.search(text)
    hour, minute = (int(time[1]), int(time[2])) if time else (0, 0)
    if hour < 12 and re.search(r"\bpm$", text, re.IGNORECASE):
        hour += 12
    try:
        return _stamp(datetime(year, month, day, hour, minute, tzinfo=UTC))
    except ValueError:
        return None


def _stamp(moment: datetime) -> int | None:
    try:
        return _checked(int(moment.timestamp()))
    except (OverflowError, ValueError):
        return None


def _checked(seconds: int) -> int | None:
    return seconds if _FIRST_S <= seconds <= _LAST_S else None


def _find_order(
    slashed: Sequence[tuple[int, re.Match[str]]],
    texts: Sequence[str],
    lines: Sequence[int],
    file: str,
) -> tuple[str | None, str | None]:
    """Find an order, and what is to be said of it; None where the dates do not say."""
    day_first = next((i for i, match in slashed if int(match[1]) > 12 >= int(match[3])), None)
    month_first = next((i for i, match in slashed if int(match[3]) > 12 >= int(match[1])), None)
    if day_first is not None and month_first is not None:
        first, second = sorted((day_first, month_first))
        raise MarketFileError(
            f"{file}, lines {lines[first]} and {lines[second]}: {shown(texts[first])} and "
            f"{shown(texts[second])} cannot both be dates of one kind. Wanted: one kind of date.",
            file=file,
            line=lines[second],
        )
    if day_first is not None:
        return ORDERS[0], None
    if month_first is not None:
        return ORDERS[1], None
    if slashed[0][1][2] == ".":
        return ORDERS[0], "Its dates have the day first, as is usual with points."
    daily = [order for order in ORDERS if _is_daily(slashed, texts, order)]
    if len(daily) == 1:
        return daily[0], f"Its dates were read as {daily[0]}: so they are days in a row."
    return None, None


def _is_daily(
    slashed: Sequence[tuple[int, re.Match[str]]], texts: Sequence[str], order: str
) -> bool:
    """Say whether most dates are a day or a weekend apart."""
    moments = [_of_slashed(match, texts[i], order) for i, match in slashed]
    days = [moment // DAY_S for moment in moments if moment is not None]
    steps = sorted(abs(b - a) for a, b in itertools.pairwise(days))
    return len(steps) >= 3 and 1 <= steps[len(steps) // 2] <= 4


def _question(example: str) -> dict[str, object]:
    meanings = []
    for order in ORDERS:
        match = _SLASHED.fullmatch(example)
        moment = _of_slashed(match, "", order) if match else None
        meanings.append({"order": order, "meaning": day_text((moment or 0) // DAY_S)})
    return {"example": example, "choices": meanings}
