"""Words of texts about markets, by what they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Changes of a price over a period.
CHANGES = ("1d", "7d", "30d")

#: How people say that a column is meant.
SPOKEN = {
    "price": "price",
    "1d": "change by day",
    "7d": "change by week",
    "30d": "change by month",
    "volatility": "volatility",
    "rsi": "RSI",
    "ma50": "50-day average",
    "50d": "distance from its 50-day average",
    "ma200": "200-day average",
    "200d": "distance from its 200-day average",
    "drawdown": "drawdown",
    "vol": "volume against its average",
    "volume": "volume",
    "cap": "market cap",
}

_DAYS = r"[- ]?d(?:ays?)?(?:[- ](?:simple )?(?:moving )?(?:averages?|line|MA|SMA))?"

#: What points to columns, the longer phrases first; a name's digits are not a figure.
HINT = re.compile(
    r"(?<![\w-])(?:"
    r"(?P<volatility>(?:30[- ]day |annuali[sz]ed )*volatil\w+)"
    r"|(?P<rsi>(?:14-day )?RSI(?:[ -]?\(?14\)?(?![\d.%]))?|relative strength(?: index)?)"
    rf"|(?P<long>200{_DAYS}|(?:S?MA|EMA)[ -]?\(?200\)?)"
    rf"|(?P<short>50{_DAYS}|(?:S?MA|EMA)[ -]?\(?50\)?)"
    r"|(?P<drawdown>drawdown"
    r"|(?:below|under|off|from) (?:its|the|their) (?:\w+[- ])?(?:high|highs|peak)\b)"
    r"|(?P<vol>(?:relative|average|usual|normal) (?:trading )?volume"
    r"|volume (?:\w+ ){0,3}(?:against|versus|vs\.?|relative to|compared (?:with|to)|of|at) "
    r"(?:[\d.]+(?:x| times) )?(?:its|the) (?:average|usual|normal)|volume ratio"
    r"|its average(?! price))"
    r"|(?P<cap>market cap\w*)"
    r"|(?P<volume>(?:trading )?volume)"
    r"|(?P<week>weekly|week(?:'s)?|7d|7[- ]days?|seven[- ]days?|1w)"
    r"|(?P<month>monthly|month(?:'s)?|30d|30[- ]days?|thirty[- ]days?|1m)"
    r"|(?P<day>today(?:'s)?|daily|24 ?h(?:ours?)?|24-hour|1d|one-day|1-day|day(?:'s)?)"
    r"|(?P<price>price[sd]?|trad(?:es|ing|ed) at|quoted)"
    r")(?![\w-])",
    re.IGNORECASE,
)

HINTED = {
    "volatility": ("volatility",),
    "rsi": ("rsi",),
    "long": ("200d", "ma200"),
    "short": ("50d", "ma50"),
    "drawdown": ("drawdown",),
    "vol": ("vol",),
    "cap": ("cap",),
    "volume": ("vol", "volume"),
    "week": ("7d",),
    "month": ("30d",),
    "day": ("1d",),
    "price": ("price",),
}

_MOVED = r"(?:moved|moves|trades|trading|traded|edged|closed|pushed|drifted)"

UP = re.compile(
    r"\b(?:(?<!bring )(?<!brings )up|rose|risen|rises?|rising|gain(?:s|ed|ing)?|climb\w*|"
    rf"advanc\w+|in the green|positive|{_MOVED} higher|rall(?:y|ied|ies|ying)|jump\w*|surg\w+|"
    r"soar\w*|increas\w+)\b(?! to\b)",
    re.IGNORECASE,
)
DOWN = re.compile(
    r"\b(?:down|fell|falls?|fallen|falling|drop\w*|los(?:t|es|ing|s|ses)|declin\w+|slid\w*|slip\w*|"
    rf"{_MOVED} lower|in the red|negative|plung\w+|sank|tumbl\w+|decreas\w+|retreat\w*|below|"
    r"under)\b",
    re.IGNORECASE,
)

_PERIOD = r"(?:daily|weekly|monthly)"
_MORE = r"(?:the )?(?:most|furthest|farthest)"

HIGH = re.compile(
    rf"\b(?:(?:gain(?:s|ed)?|rose|rises|climb(?:s|ed)?|up|advanced) {_MORE}|leads?|led|leaders?|"
    r"leading|best|strongest|top (?:performer|gainer)|highest|heaviest|busiest|in front|first at|"
    rf"most (?:overbought|volatile|expensive)|(?:largest|biggest|steepest)(?: {_PERIOD})?"
    r"(?: (?:gain\w*|rise|increase|advance)| (?!loss|loser|drop|decline|fall|daily|weekly|"
    r"monthly|distance below)))\b",
    re.IGNORECASE,
)
LOW = re.compile(
    rf"\b(?:(?:fell|falls?|dropp?(?:ed|s)?|lost|loses|declined|slid|down) {_MORE}|weakest|worst|"
    rf"lowest|(?:biggest|largest|steepest)(?: {_PERIOD})? (?:distance below|losers?|loss|losses|"
    r"drop|decline|fall)|laggards?|lags|trails|is last|at the bottom|most oversold|least volatile|"
    r"cheapest|smallest (?!gain|loss|drop|decline|rise))\b",
    re.IGNORECASE,
)

#: What "most …" and "least …" rank by, where nothing else is named.
RANKED = {
    "overbought": "rsi", "oversold": "rsi", "volatile": "volatility",
    "expensive": "price", "cheapest": "price",
}  # fmt: skip

STATE = re.compile(r"\b(?P<state>overbought|oversold)\b", re.IGNORECASE)
NOT = re.compile(r"\b(?:not|never|neither|nor|no longer|without)\b|n['’]t\b", re.IGNORECASE)
POSITION = re.compile(
    r"\b(?P<side>above|over|below|under|beneath)\s+(?:both\s+)?(?:its|their|the|a)?\s*"
    r"(?P<size>50|200)[- ]?d(?:ay)?s?\b(?:[\w -]*?\band\s+(?:its |the )?(?P<other>50|200)[- ]?d)?",
    re.IGNORECASE,
)
BOTH_AVERAGES = re.compile(
    r"\b(?P<side>above|below)\s+(?:both|both of|its two)\s+(?:its |the )?(?:moving )?averages\b",
    re.IGNORECASE,
)
BUSY_VOLUME = re.compile(
    r"\b(?:unusual\w*|busy|twice)\b[\w ]*\bvolume\b|\bvolume is unusual\w*", re.IGNORECASE
)
AVERAGE_VOLUME = re.compile(
    r"\b(?:volume\b[\w ]*\b(?P<side>above|below)\s+(?:its |the )?average|"
    r"(?P<side2>above|below)[- ]average (?:trading )?volume)\b",
    re.IGNORECASE,
)

#: What makes a sentence no claim about the table.
DOUBT = re.compile(
    r"\b(?:if|unless|could|may|might|would|should|expect\w*|likely|perhaps|possib\w+|will|suggest\w*|"
    r"near(?:s|ing|ly)?|approach\w*|close to|almost|since|ever|all-time|record|historic\w*|"
    r"(?:another|previous|last) (?:year|quarter)|yesterday|earlier)\b",
    re.IGNORECASE,
)

#: A rank that is neither the first nor the last.
RANK = re.compile(
    r"\b(?:second|third|fourth|among|one of|top (?:two|three|\d)|next|runner-up)\b", re.IGNORECASE
)

MOOD = re.compile(
    r"\bfear[ -](?:and|&)[ -]greed\b|\bF&G\b|\bsentiment\b"
    r"|(?<!strength )\bindex (?:of|at|stands|is|reads)\b",
    re.IGNORECASE,
)
BAND = re.compile(r"\b(extreme fear|extreme greed|fear|greed|neutral)\b", re.IGNORECASE)

NUMBER_WORDS: Mapping[str, int] = {
    word: number
    for number, word in enumerate(
        [
            "no",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ]
    )
} | {"none": 0}

#: Long names of what is traded most, which models say in the place of tickers.
LONG_NAMES: Mapping[str, str] = {
    "bitcoin": "BTC", "ethereum": "ETH", "ether": "ETH", "solana": "SOL", "dogecoin": "DOGE",
    "cardano": "ADA", "ripple": "XRP", "avalanche": "AVAX", "chainlink": "LINK", "litecoin": "LTC",
    "polkadot": "DOT", "binance coin": "BNB", "toncoin": "TON", "shiba inu": "SHIB",
    "bitcoin cash": "BCH", "stellar": "XLM", "monero": "XMR", "uniswap": "UNI", "tron": "TRX",
}  # fmt: skip
