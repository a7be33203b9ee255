"""Tickers: well-known ones, invented ones, and which of them training never sees."""

from __future__ import annotations

import zlib
from random import Random


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


#: The assets of the page's example; always part of training.
EXAMPLE_ASSETS = ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "AVAX", "LINK")

COINS = _words(
    """
    BTC ETH SOL XRP ADA DOGE AVAX LINK BNB DOT LTC BCH TRX TON MATIC POL UNI ATOM XLM ETC
    FIL APT ARB OP NEAR ICP HBAR VET INJ SUI SEI TIA RUNE AAVE MKR SNX CRV LDO GRT ALGO
    FTM SAND MANA AXS EGLD THETA XTZ EOS FLOW KAVA CHZ GALA ENJ ZEC DASH XMR NEO IOTA QTUM
    ZIL BAT 1INCH COMP YFI SUSHI CAKE DYDX GMX PENDLE ENA JUP PYTH WIF BONK PEPE SHIB
    FLOKI ORDI STX KAS TAO FET RNDR AGIX OCEAN WLD AR MINA ROSE CFX KSM CELO ONE LRC IMX
    BLUR APE MASK ENS SSV RPL STRK ZK MANTA JTO ONDO HYPE XDC QNT CRO OKB LEO KCS GT FTT
    ANKR SKL STORJ C98 ID API3 JST SUN WOO XVS
    """
)
STOCKS = _words(
    """
    AAPL MSFT NVDA AMZN GOOGL META TSLA AVGO BRK.B JPM LLY XOM UNH MA PG JNJ HD COST MRK
    ABBV CVX CRM AMD NFLX PEP KO ADBE WMT TMO MCD CSCO ACN ABT LIN ORCL CMCSA DIS WFC INTC
    QCOM VZ PM IBM AMGN UNP TXN GE CAT NOW PFE SPGI HON GS NEE RTX BKNG AXP LOW ISRG UBER
    PLTR COIN MSTR HOOD SQ PYPL SHOP SNOW MU LRCX AMAT KLAC ASML TSM SAP NVO AZN SHEL TTE
    BP SONY TM BABA PDD JD BIDU NIO RIVN LCID GM BA LMT NKE SBUX CMG TGT UPS FDX DAL UAL
    SPY QQQ IWM DIA GLD SLV USO TLT VTI ARM
    """
)

#: Names that people ask by.
NAMES = {
    "BTC": "Bitcoin",
    "ETH": "Ethereum",
    "SOL": "Solana",
    "XRP": "Ripple",
    "ADA": "Cardano",
    "DOGE": "Dogecoin",
    "AVAX": "Avalanche",
    "LINK": "Chainlink",
    "LTC": "Litecoin",
    "AAPL": "Apple",
    "NVDA": "Nvidia",
    "TSLA": "Tesla",
    "MSFT": "Microsoft",
    "AMZN": "Amazon",
}

#: Never invented: they read as words of a question or of a header.
RESERVED = frozenset(
    _words(
        """
    RSI USD EUR ALL ANY AND THE FOR WAS UP DOWN NO YES NONE BUY SELL HOLD DAY WEEK MONTH
    PRICE VOL CSV NAN NULL NA IS IT IN ON AT TO OF OR AS BE BY DO GO HE IF ME MY SO US WE
    AM AN
    """
    )
)

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VOWELS = "AEIOU"
_CONSONANTS = "BCDFGHJKLMNPRSTVWXYZ"
_LENGTHS = (2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 5, 5, 6)


def is_held_out(ticker: str) -> bool:
    """Say whether a ticker is kept from training: one in ten, the example's never."""
    return ticker not in EXAMPLE_ASSETS and zlib.crc32(ticker.encode()) % 10 == 0


def invent(rng: Random) -> str:
    """Make up a ticker of two to six characters, at times with a share class or a currency."""
    while True:
        length = _LENGTHS[int(rng.random() * len(_LENGTHS))]
        if rng.random() < 0.5:
            ticker = "".join([_LETTERS[int(rng.random() * 26)] for _ in range(length)])
        else:
            start = rng.random() < 0.7
            ticker = "".join(
                [
                    _CONSONANTS[int(rng.random() * 20)]
                    if (index % 2 == 0) is start
                    else _VOWELS[int(rng.random() * 5)]
                    for index in range(length)
                ]
            )
        if rng.random() < 0.06:
            place = int(rng.random() * length)
            ticker = f"{ticker[:place]}{int(rng.random() * 10)}{ticker[place + 1 :]}"
        if rng.random() < 0.05:
            # A share class or a pair; few known tickers have such a mark.
            ticker += f".{_LETTERS[int(rng.random() * 26)]}" if rng.random() < 0.7 else "-USD"
        if ticker not in RESERVED and any(c.isalpha() for c in ticker):
            return ticker


def resemble(rng: Random, ticker: str) -> str:
    """Make up a ticker that differs from another in one letter, so that copies must be exact."""
    place = int(rng.random() * len(ticker))
    changed = ticker[:place] + _LETTERS[int(rng.random() * 26)] + ticker[place + 1 :]
    return changed if ticker.isalnum() and changed not in RESERVED else invent(rng)


def draw_tickers(rng: Random, number: int, split: str) -> tuple[str, ...]:
    """Draw tickers, each once, for a split.

    Args:
        number: how many.
        split: "train" leaves held-out tickers out; "test" makes about half of them held out.
    """
    flavour = rng.random()
    pool = COINS if flavour < 0.5 else STOCKS if flavour < 0.75 else ()
    known = 0.85 if pool else 0.0
    is_example = pool is COINS and rng.random() < 0.35
    drawn: dict[str, None] = {}
    while len(drawn) < number:
        want = split == "test" and rng.random() < 0.5
        ticker = draw_ticker(rng, pool[:24] if is_example else pool, known)
        if drawn and rng.random() < 0.03:
            ticker = resemble(rng, next(iter(drawn)))
        for _ in range(40):
            if is_held_out(ticker) is want and ticker not in drawn:
                drawn[ticker] = None
                break
            ticker = draw_ticker(rng, pool, known)
    return tuple(drawn)


def draw_ticker(rng: Random, pool: tuple[str, ...], known: float = 0.5) -> str:
    """Draw a ticker from a pool, or invent one with the rest of the probability `known`."""
    if pool and rng.random() < known:
        return pool[int(rng.random() * len(pool))]
    return invent(rng)
