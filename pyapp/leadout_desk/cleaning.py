"""Points of a file to one price a day: sorted, without doubles, with every loss said.

Nothing is filled in: a day without a price stays a gap.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from leadout_desk.dates import DAY_S, day_text
from leadout_desk.errors import MarketFileError
from leadout_desk.indicators import is_weekend
from leadout_desk.notes import FOUND, Notes
from leadout_desk.series import History

#: Points closer than this are of one day: hourly data, or every few minutes.
_INTRADAY_S = 20 * 3600

#: Nothing is traded for less.
_LEAST_PRICE = 1e-18

NO_PRICE = "there is no price; the row was left out."
NOT_ABOVE_ZERO = "the price is not above 0; the row was left out."


@dataclass
class Point:
    """One row of a file.

    Args:
        seconds: since 1970.
        price: None where the row has none.
        place: its line, or words for a place in JSON.
    """

    seconds: int
    price: float | None
    volume: float | None
    cap: float | None
    place: int | str


def clean(asset: str, points: Sequence[Point], notes: Notes, file: str) -> History:
    """Make a history of points.

    Raises:
        MarketFileError: there is no price among them.
    """
    kept: list[Point] = []
    for point in points:
        if point.price is None:
            notes.add(NO_PRICE, point.place)
        elif point.price < _LEAST_PRICE:
            notes.add(NOT_ABOVE_ZERO, point.place)
        else:
            kept.append(point)
    if not kept:
        raise MarketFileError(
            f"{file} has no row with a date and a price above 0. "
            f"{' '.join(notes.texts()) or 'Wanted: at least one row below the header.'}",
            file=file,
        )
    # Points of one moment stay in the order of the file: the later one counts.
    kept.sort(key=lambda point: point.seconds)
    daily = _one_a_day(kept, notes)
    days = [point.seconds // DAY_S for point in daily]
    history = History(
        asset,
        days,
        [point.price or 0.0 for point in daily],
        [point.volume for point in daily],
        [point.cap for point in daily],
    )
    _look_at_steps(history, notes)
    return history


def _one_a_day(points: Sequence[Point], notes: Notes) -> list[Point]:
    steps = sorted(b.seconds - a.seconds for a, b in itertools.pairwise(points))
    is_intraday = bool(steps) and 0 < steps[len(steps) // 2] < _INTRADAY_S
    daily: dict[int, Point] = {}
    for point in points:
        day = point.seconds // DAY_S
        before = daily.get(day)
        if before and not is_intraday:
            is_same = (before.price, before.volume) == (point.price, point.volume)
            said = "say the same" if is_same else "differ; the later one counts"
            message = f"there is a row of that day (UTC) already, {FOUND}, and they {said}."
            notes.add(message, point.place, day_text(day))
        daily[day] = point
    if is_intraday:
        notes.add(
            f"It has {len(points):,} points, several a day; the last of each day (UTC) counts."
        )
    return list(daily.values())


def _look_at_steps(history: History, notes: Notes) -> None:
    days = history.days
    steps = [b - a for a, b in itertools.pairwise(days)]
    if not steps:
        return
    history.step_days = sorted(steps)[(len(steps) - 1) // 2]
    has_weekend = any(is_weekend(day) for day in range(days[0], days[-1]))
    history.is_full_week = not has_weekend or any(map(is_weekend, days))
    if history.step_days > 1:
        notes.add(
            f"Most rows are {history.step_days} days apart: what counts days (RSI, averages, "
            "volatility) is left out."
        )
        return
    usual = 1 if history.is_full_week else 4  # a weekend with a holiday
    gaps = [(step, i) for i, step in enumerate(steps) if step > usual]
    if gaps:
        missing = sum(step - 1 for step, _ in gaps)
        _, longest = max(gaps)
        where = f"{day_text(days[longest] + 1)} to {day_text(days[longest + 1] - 1)}"
        number = "one gap" if len(gaps) == 1 else f"{len(gaps):,} gaps"
        longest_text = where if len(gaps) == 1 else f"the longest {where}"
        notes.add(
            f"{missing:,} days are missing in {number} ({longest_text}); nothing is filled in."
        )
