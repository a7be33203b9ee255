"""How files call their columns."""

from __future__ import annotations

#: Of a file of prices: each is a date, a price, a volume or a market capitalisation.
HISTORY = {
    "date": ("date", "snapped_at", "time", "timestamp", "datetime", "day", "open time", "unix"),
    "price": ("close", "price", "close/last", "last", "adj close", "adj. close", "price usd"),
    "volume": ("volume", "total_volume", "total volume", "vol.", "vol", "volume usd"),
    "cap": ("market_cap", "market cap", "marketcap", "market_cap_usd"),
}

#: Of a table of many assets, by the column of the desk's own table. Nano's spellings are among
#: them (SPELLINGS in build/leadout_build/cli/market_table.py; a test holds them together).
TABLE = {
    "asset": ("asset", "symbol", "ticker", "coin", "name"),
    "price": ("price", "last", "close", "price usd", "current_price", "last price"),
    "1d": ("1d", "24h", "day", "1d %", "chg 1d", "price_change_percentage_24h", "change %"),
    "7d": ("7d", "week", "1w", "7d %", "chg 7d", "price_change_percentage_7d"),
    "30d": ("30d", "month", "1m", "30d %", "chg 30d", "price_change_percentage_30d"),
    "volatility": ("volatility", "volatility 30d", "30d volatility"),
    "rsi": ("rsi", "rsi14", "rsi 14", "rsi (14)"),
    "ma50": ("ma 50", "50d ma"),
    "50d": ("50d", "vs 50d", "vs50d", "50d avg", "sma50", "vs sma50", "ma50"),
    "ma200": ("ma 200", "200d ma"),
    "200d": ("200d", "vs 200d", "vs200d", "200d avg", "sma200", "vs sma200", "ma200"),
    "drawdown": ("drawdown", "from high", "ath_change_percentage"),
    "vol": ("vol", "vol/avg", "volume", "rel vol"),
    "volume": ("total_volume", "volume usd", "volume 24h"),
    "cap": ("market_cap", "market cap", "marketcap", "cap"),
}

_HISTORY_OF = {text: use for use, texts in HISTORY.items() for text in texts}
_TABLE_OF = {text: use for use, texts in TABLE.items() for text in texts}


def history_use(header: str) -> str | None:
    """Return what a column of a file of prices is for."""
    return _HISTORY_OF.get(_plain(header))


def history_rank(header: str) -> int:
    """Return a column's place among those of the same use: the first is taken."""
    text = _plain(header)
    return HISTORY[_HISTORY_OF[text]].index(text)


def table_use(header: str) -> str | None:
    """Return which column of the desk's table a file's column is."""
    return _TABLE_OF.get(_plain(header))


def _plain(header: str) -> str:
    return " ".join(header.split()).strip("\"'*").lower()
