"""CoinGecko's JSON: market_chart (one history) and coins/markets (many quotes)."""

from __future__ import annotations

import json
from typing import Any

from leadout.brackets import is_nested_deeper
from leadout.shown import shown
from leadout_desk.cleaning import Point, clean
from leadout_desk.dates import parse_moment
from leadout_desk.errors import MarketFileError
from leadout_desk.notes import FOUND, Notes
from leadout_desk.numbers import known
from leadout_desk.series import FileRead, Quote

#: Real files have some 5.
_MAX_DEPTH = 32

WANTED = (
    'CoinGecko\'s market_chart ({"prices": [[ms, price], …], "total_volumes": …, …}) '
    "or coins/markets (a list of coins with current_price)"
)

#: Fields of coins/markets by column of the table; the first that is there counts.
_FIELDS = {
    "price": ("current_price",),
    "1d": ("price_change_percentage_24h_in_currency", "price_change_percentage_24h"),
    "7d": ("price_change_percentage_7d_in_currency", "price_change_percentage_7d"),
    "30d": ("price_change_percentage_30d_in_currency", "price_change_percentage_30d"),
    "drawdown": ("ath_change_percentage",),
    "volume": ("total_volume",),
    "cap": ("market_cap",),
}


def read_json(text: str, file: str, asset: str, notes: Notes) -> FileRead:
    """Read a JSON file.

    Args:
        text: of the file.
        file: its name.
        asset: what the asset of a market_chart is called; it does not say.
        notes: takes what is to be said.

    Raises:
        MarketFileError: it is neither of the two.
    """
    if is_nested_deeper(text.encode("utf-8", "replace"), _MAX_DEPTH):
        raise MarketFileError(
            f"{file}: its JSON is cut short, or nested deeper than {_MAX_DEPTH} levels. "
            f"Wanted: {WANTED}.",
            file=file,
        )
    try:
        value = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        what = getattr(error, "msg", str(error))
        raise MarketFileError(
            f"{file}, line {line}: its JSON is broken ({what}). Wanted: {WANTED}.",
            file=file,
            line=line,
        ) from error
    if isinstance(value, dict) and isinstance(value.get("prices"), list):
        return _read_chart(value, file, asset, notes)
    if isinstance(value, dict) and "current_price" in value:
        value = [value]
    if isinstance(value, list) and any(_is_coin(item) for item in value):
        return _read_markets(value, file, notes)
    if isinstance(value, dict):
        found = f"an object with {', '.join(map(shown, list(value)[:5])) or 'nothing in it'}"
    else:
        found = "a list" if isinstance(value, list) else shown(value)
    raise MarketFileError(
        f"{file} is JSON, but holds {found}. Wanted: {WANTED}.", file=file, line=1
    )


def _read_chart(value: dict[str, Any], file: str, asset: str, notes: Notes) -> FileRead:
    beside: dict[str, dict[int, float]] = {"total_volumes": {}, "market_caps": {}}
    for name, values in beside.items():
        pairs = value.get(name)
        for pair in pairs if isinstance(pairs, list) else []:
            moment, number = _pair(pair)
            if moment is not None and number is not None:
                values[moment] = number
    points = []
    for index, pair in enumerate(value["prices"]):
        place = f"prices[{index}]"
        moment, price = _pair(pair)
        if moment is None:
            notes.add("there is no time; it was left out. Wanted: [milliseconds, price].", place)
            continue
        volume, cap = (beside[name].get(moment) for name in ("total_volumes", "market_caps"))
        points.append(Point(moment, price, volume, cap, place))
    history = clean(asset, points, notes, file)
    return FileRead(file, "CoinGecko market_chart, JSON", [history], notes=notes.texts())


def _read_markets(value: list[Any], file: str, notes: Notes) -> FileRead:
    quotes: list[Quote] = []
    seen: set[str] = set()
    for index, coin in enumerate(value):
        place = f"[{index}]"
        if not _is_coin(coin):
            notes.add("there is no coin with a symbol and current_price; it was left out.", place)
            continue
        asset = _name(coin, "symbol").upper() or _name(coin, "name") or _name(coin, "id")
        if asset in seen:
            notes.add(f"{FOUND} has a row already; this one was left out.", place, shown(asset))
            continue
        seen.add(asset)
        quotes.append(_quote(asset, coin, place, notes))
    return FileRead(file, "CoinGecko coins/markets, JSON", quotes=quotes, notes=notes.texts())


def _quote(asset: str, coin: dict[str, Any], place: str, notes: Notes) -> Quote:
    quote = Quote(asset, _name(coin, "name"))
    for column, fields in _FIELDS.items():
        number = next((n for field in fields if (n := _number(coin.get(field))) is not None), None)
        if number is not None:
            quote.values[column] = number
    if quote.values.get("price", 1.0) <= 0:
        notes.add("the price is not above 0; it is not known.", place)
        del quote.values["price"]
    sparkline = coin.get("sparkline_in_7d")
    prices = sparkline.get("price") if isinstance(sparkline, dict) else None
    numbers = [_number(price) for price in prices] if isinstance(prices, list) else []
    quote.recent = [number for number in numbers if number is not None and number > 0]
    if "7d" not in quote.values and len(quote.recent) > 100:
        quote.values["7d"] = (quote.recent[-1] / quote.recent[0] - 1) * 100
        notes.add("The change by week is that of the sparkline, from its first price to its last.")
    quote.updated_s = parse_moment(coin.get("last_updated"))
    return quote


def _is_coin(item: object) -> bool:
    return (
        isinstance(item, dict)
        and "current_price" in item
        and bool(_name(item, "symbol") or _name(item, "name") or _name(item, "id"))
    )


def _name(coin: dict[str, Any], field: str) -> str:
    value = coin.get(field)
    return " ".join(value.split())[:60] if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return known(float(value))
    except OverflowError:
        return None


def _pair(pair: object) -> tuple[int | None, float | None]:
    if not isinstance(pair, list) or len(pair) < 2:
        return None, None
    return parse_moment(pair[0]), _number(pair[1])
