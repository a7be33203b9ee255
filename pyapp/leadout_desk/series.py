"""What files hold of an asset: a history, one price a day; or a quote, figures of one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class History:
    """Prices of one asset, the oldest first, at most one a day.

    Args:
        asset: what it is called.
        days: since 1970, ascending.
        prices: above 0.
        volumes: None where none is known.
        caps: market capitalisations.
        is_full_week: trading goes on at weekends.
        step_days: how many days most points are apart.
    """

    asset: str
    days: list[int]
    prices: list[float]
    volumes: list[float | None]
    caps: list[float | None]
    is_full_week: bool = True
    step_days: int = 1


@dataclass
class Quote:
    """Figures of one asset, as a file gives them.

    Args:
        asset: its ticker.
        name: its long name, or "".
        values: by column of the table.
        texts: as they stood in the file, by column; only where that is how the table writes them.
        recent: prices of the last days, evenly spaced, the oldest first.
        updated_s: seconds since 1970; None where the file does not say.
    """

    asset: str
    name: str = ""
    values: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    recent: list[float] = field(default_factory=list)
    updated_s: int | None = None


@dataclass
class FileRead:
    """What came of one file.

    Args:
        file: its name.
        kind: what it is, in words.
        histories: one, of a file of prices; or none.
        quotes: of a file of many assets.
        mood: the fear-and-greed index, where it has one.
        notes: what is to be said of it.
        question: what a person has to choose before it can be read: {example, choices}.
    """

    file: str
    kind: str
    histories: list[History] = field(default_factory=list)
    quotes: list[Quote] = field(default_factory=list)
    mood: int | None = None
    notes: list[str] = field(default_factory=list)
    question: dict[str, object] | None = None


def to_json(read: FileRead) -> dict[str, Any]:
    """Return what was read as plain data, to be kept and given back."""
    return {
        **vars(read),
        "histories": [vars(history) for history in read.histories],
        "quotes": [vars(quote) for quote in read.quotes],
    }


def from_json(data: dict[str, Any]) -> FileRead:
    """Return what `to_json` made plain data of."""
    return FileRead(
        **{
            **data,
            "histories": [History(**history) for history in data["histories"]],
            "quotes": [Quote(**quote) for quote in data["quotes"]],
        }
    )
