"""What words about a market mean: when a value is up, overbought or busy; what a mood is called.

Nano was trained and is evaluated by the same rules (build/nano).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

#: Bands of the fear-and-greed index: the highest value of each.
BANDS = (
    (24, "extreme fear"),
    (44, "fear"),
    (55, "neutral"),
    (74, "greed"),
    (100, "extreme greed"),
)

#: Above and below these an RSI is overbought and oversold.
OVERBOUGHT = 70.0
OVERSOLD = 30.0

#: A volume above this multiple of its average is unusual.
BUSY = 2.0


class HasNumbers(Protocol):
    """A table: its known values by column and asset, in the table's order."""

    @property
    def numbers(self) -> Mapping[str, Mapping[str, float]]:
        """Return the values."""
        ...


def band_of(mood: int) -> str:
    """Name the band of a fear-and-greed index."""
    return next(band for highest, band in BANDS if mood <= highest)


def holds(side: str, number: float) -> bool:
    """Say whether a value is on a side: up, down, flat, overbought, oversold, neither or busy."""
    return {
        "up": number > 0,
        "down": number < 0,
        "flat": number == 0,
        "overbought": number > OVERBOUGHT,
        "oversold": number < OVERSOLD,
        "neither": OVERSOLD <= number <= OVERBOUGHT,
        "busy": number > BUSY,
    }[side]


def side_of(number: float) -> str:
    """Name the side of a change or of a distance: up, down or flat."""
    return "up" if number > 0 else "down" if number < 0 else "flat"


def state_of(rsi: float) -> str:
    """Name the state of an RSI: overbought, oversold or neither."""
    return "overbought" if rsi > OVERBOUGHT else "oversold" if rsi < OVERSOLD else "neither"


def matching(table: HasNumbers, column: str, side: str) -> tuple[str, ...]:
    """Return the assets on a side of a column, in the table's order."""
    numbers = table.numbers.get(column, {})
    return tuple([asset for asset, number in numbers.items() if holds(side, number)])


def at_end(table: HasNumbers, column: str, end: str) -> tuple[str, ...]:
    """Return the assets at the high or the low end of a column; several where they tie."""
    numbers = table.numbers.get(column, {})
    if not numbers:
        return ()
    extreme = max(numbers.values()) if end == "high" else min(numbers.values())
    return tuple([asset for asset, number in numbers.items() if number == extreme])
