"""Indicators of a price series, in plain Python; tests hold them against TA-Lib's values.

Lists are aligned with the prices, None where there is too little before.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from math import fsum, log, sqrt

RSI_DAYS = 14
SHORT_AVERAGE, LONG_AVERAGE = 50, 200
VOLATILITY_DAYS = 30
VOLUME_DAYS = 20

#: Trading days of a year, with weekends and without.
YEAR_DAYS = {True: 365, False: 252}

#: Where there is no trading at weekends, so many weekdays may lack a price: holidays.
_HOLIDAYS = 2


def is_weekend(day: int) -> bool:
    """Say whether a day, since 1970, is a Saturday or a Sunday."""
    return (day + 3) % 7 > 4  # 1970-01-01 was a Thursday


def change(
    days: Sequence[int], prices: Sequence[float], over_days: int, is_full_week: bool = True
) -> float | None:
    """Return the last price's change in percent over some days of the calendar.

    Args:
        days: since 1970, ascending.
        prices: above 0.
        over_days: it is compared with the last price that is at least so old; None where that is
            much older, over a gap.
        is_full_week: trading goes on at weekends, so that they are gaps as well.
    """
    wanted = days[-1] - over_days
    before = bisect_right(days, wanted) - 1
    if before < 0:
        return None
    gap = range(days[before] + 1, wanted + 1)
    missing = sum(is_full_week or not is_weekend(day) for day in gap)
    if missing > (_HOLIDAYS if not is_full_week else min(over_days - 1, 1)):
        return None
    return (prices[-1] / prices[before] - 1) * 100


def moving_average(values: Sequence[float], size: int) -> list[float | None]:
    """Return the simple moving average, over `size` values each."""
    means = [fsum(values[i - size + 1 : i + 1]) / size for i in range(size - 1, len(values))]
    return [None] * min(size - 1, len(values)) + means


def relative_strength(prices: Sequence[float], size: int = RSI_DAYS) -> list[float | None]:
    """Return Wilder's RSI, 0 to 100; None where no price has moved.

    Source: J. Welles Wilder, New Concepts in Technical Trading Systems, 1978: the first averages
    are plain means, the next ones take in 1/size of a new move.
    """
    moves = [b - a for a, b in itertools.pairwise(prices)]
    strengths: list[float | None] = [None] * min(size, len(prices))
    if len(moves) < size:
        return strengths
    gain = fsum(max(move, 0.0) for move in moves[:size]) / size
    loss = fsum(max(-move, 0.0) for move in moves[:size]) / size
    strengths.append(_strength(gain, loss))
    for move in moves[size:]:
        gain = (gain * (size - 1) + max(move, 0.0)) / size
        loss = (loss * (size - 1) + max(-move, 0.0)) / size
        strengths.append(_strength(gain, loss))
    return strengths


def _strength(gain: float, loss: float) -> float | None:
    return 100 * gain / (gain + loss) if gain + loss > 0 else None


def volatility(
    prices: Sequence[float], year_days: int, size: int = VOLATILITY_DAYS
) -> float | None:
    """Return the standard deviation of the last daily log returns, over a year, in percent."""
    recent = prices[-size - 1 :]
    if len(recent) <= size:
        return None
    returns = [log(b / a) for a, b in itertools.pairwise(recent)]
    mean = fsum(returns) / size
    variance = fsum((value - mean) ** 2 for value in returns) / (size - 1)
    return sqrt(variance * year_days) * 100


def drawdown(prices: Sequence[float]) -> float:
    """Return how far the last price is below the highest one, in percent: 0 or less."""
    return (prices[-1] / max(prices) - 1) * 100


def relative_volume(volumes: Sequence[float | None], size: int = VOLUME_DAYS) -> float | None:
    """Return the last volume as a multiple of the average of the last ones, its own included."""
    recent = [volume for volume in volumes[-size:] if volume is not None]
    if len(recent) < size or volumes[-1] is None or not fsum(recent) > 0:
        return None
    return volumes[-1] / (fsum(recent) / size)
