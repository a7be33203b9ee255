"""What the page shows without files: an article's figures, and histories that are made up."""

from __future__ import annotations

from math import exp
from random import Random

from leadout_desk.dates import DAY_S, parse_moment
from leadout_desk.series import FileRead, History, Quote

#: The article gave no more than these; its date is not known here.
ARTICLE = (
    ("BTC", "Bitcoin", "81658", "+2.0%"),
    ("ETH", "Ethereum", "2382.34", "+1.1%"),
    ("SOL", "Solana", "86.74", "+3.1%"),
    ("DOGE", "Dogecoin", "0.11", "+3.0%"),
    ("ADA", "Cardano", "0.26", "+4.8%"),
)
ARTICLE_MOOD = 50

_MADE_UP = (
    ("ALFA", 412.0, 0.0012, 0.028),
    ("BRAVO", 23.5, -0.0004, 0.041),
    ("COVE", 1.84, 0.0004, 0.016),
)
_FIRST_DAY = "2024-01-01"
_NUM_DAYS = 420


def article_sample() -> FileRead:
    """Return the article's table."""
    quotes = []
    for asset, name, price, day in ARTICLE:
        values = {"price": float(price), "1d": float(day.rstrip("%"))}
        quotes.append(Quote(asset, name, values, {"price": price, "1d": day}))
    note = "A sample from an article, whose date is not known; these are not live prices."
    return FileRead(
        "Sample", "sample from an article", quotes=quotes, mood=ARTICLE_MOOD, notes=[note]
    )


def made_up_sample() -> list[FileRead]:
    """Return histories of assets that do not exist: the same ones each time."""
    first = (parse_moment(_FIRST_DAY) or 0) // DAY_S
    reads = []
    for asset, start, drift, spread in _MADE_UP:
        rng = Random(asset)
        price, volume = start, 1e6
        history = History(asset, [], [], [], [])
        for day in range(first, first + _NUM_DAYS):
            price *= exp(rng.gauss(drift, spread))
            volume = 0.8 * volume + 0.2e6 * exp(rng.gauss(0.0, 0.8))
            history.days.append(day)
            history.prices.append(round(price, 4))
            history.volumes.append(round(volume * price))
            history.caps.append(None)
        note = "Made up, to show what the desk does with histories; no such asset exists."
        reads.append(FileRead(f"Example {asset}", "made-up history", [history], notes=[note]))
    return reads
