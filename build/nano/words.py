"""Words that stand for a column, a side or a band, by what they mean.

A sentence may use any wording of a meaning; a reader takes all of them.
"""

from __future__ import annotations

from leadout_desk.rules import BANDS

WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    # Periods, as sentences want them.
    "over": {
        "1d": ("today", "today", "on the day"),
        "7d": ("this week", "over the week", "on the week"),
        "30d": ("this month", "over the month", "on the month"),
    },
    "Over": {
        "1d": ("Today", "On the day"),
        "7d": ("This week", "Over the week"),
        "30d": ("This month", "Over the month"),
    },
    "unit": {"1d": ("day",), "7d": ("week",), "30d": ("month",)},
    "adj": {"1d": ("daily",), "7d": ("weekly",), "30d": ("monthly",)},
    "avg": {
        "50d": ("50-day average", "50-day moving average"),
        "200d": ("200-day average", "200-day moving average"),
    },
    "metric": {
        "price": ("price",),
        "1d": ("daily change", "daily move"),
        "7d": ("weekly change", "weekly move"),
        "30d": ("monthly change", "monthly move"),
        "vol": ("relative volume", "volume against its average"),
        "rsi": ("RSI",),
        "50d": ("reading against its 50-day average",),
        "200d": ("reading against its 200-day average",),
    },
    "side": {"up": ("up",), "down": ("down",), "flat": ("unchanged",)},
    "Side": {"up": ("Up",), "down": ("Down",)},
    "where": {"up": ("above",), "down": ("below",), "flat": ("exactly at",)},
    "Where": {"up": ("Above",), "down": ("Below",)},
    "end": {"high": ("highest",), "low": ("lowest",)},
    "state": {"overbought": ("overbought",), "oversold": ("oversold",)},
    "band": {band: (band,) for _, band in BANDS},
    # As people ask.
    "when": {
        "1d": ("today", "today", "on the day", "over the last day", "in 24 hours", "over 24h"),
        "7d": ("this week", "over the week", "in the last 7 days", "over 7 days", "on the week"),
        "30d": ("this month", "over the month", "in the last 30 days", "over 30 days"),
    },
    "per": {
        "1d": ("daily", "24h", "1d", "one-day"),
        "7d": ("weekly", "7d", "7-day"),
        "30d": ("monthly", "30d", "30-day"),
    },
    "dir": {
        "up": ("up", "up", "up", "higher", "in the green", "positive"),
        "down": ("down", "down", "down", "lower", "in the red", "negative"),
    },
    "ma": {
        "50d": ("50-day average", "50d average", "50-day moving average", "50-day line", "50d"),
        "200d": ("200-day average", "200d average", "200-day moving average", "200-day line"),
    },
    "yes": {"yes": ("yes",), "no": ("no",)},
    "Yes": {"yes": ("Yes",), "no": ("No",)},
}
