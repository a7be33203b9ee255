"""How figures are written: as many decimals as a size asks for, signs, percent, times.

A cell's number is read back from its text, so that what is compared is what people see.
"""

from __future__ import annotations

import re

_GROUPS = re.compile(r"(?<=\d)(?=(?:\d{3})+(?!\d))")

_SCALES = ((1e12, "T"), (1e9, "B"), (1e6, "M"))


def price_text(price: float) -> str:
    """Write a price with as many decimals as its size asks for."""
    if price >= 1.0:
        return f"{price:.2f}"
    if price >= 0.01:
        return f"{price:.4f}"
    if price >= 1e-6:
        return f"{price:.6f}" if price >= 0.0001 else f"{price:.8f}"
    # Four digits, however small.
    return f"{price:.{min(3 - int(f'{price:e}'.partition('e')[2]), 30)}f}"


def percent_text(value: float, decimals: int = 2) -> str:
    """Write a change in percent with its sign; nothing has none."""
    text = f"{value:+.{decimals}f}"
    return (text[1:] if not text.strip("+-0.") else text) + "%"


def amount_text(value: float) -> str:
    """Write a large amount in short: 1.62T, 48.30B, 912.00M; smaller ones in full."""
    for scale, letter in _SCALES:
        if abs(value) >= scale:
            return f"{value / scale:.2f}{letter}"
    return f"{value:.0f}" if value == int(value) else f"{value:.2f}"


def number_of(text: str) -> float:
    """Return the number of a cell's text: "+1.84%" is 1.84, "1.62T" is 1.62e12."""
    scales = {letter: scale for scale, letter in _SCALES}
    return float(text.rstrip("%xTBM")) * scales.get(text[-1:], 1.0)


def grouped(text: str) -> str:
    """Write a figure with commas between thousands, as people read it."""
    whole, point, decimals = text.partition(".")
    return _GROUPS.sub(",", whole) + point + decimals
