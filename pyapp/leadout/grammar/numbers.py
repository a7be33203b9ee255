"""Numbers of JSON within bounds, as grammars.

Whole numbers have at most 15 digits, so that JavaScript reads them exactly; of others, bounded
ones have no exponent and at most 6 decimals. That is a part of what a schema allows, never more.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from leadout.grammar.expressions import (
    EMPTY,
    NOTHING,
    Chars,
    Expression,
    Repeat,
    Text,
    choice,
    concat,
    optional,
)

MAX_DIGITS: Final = 15
MAX_DECIMALS: Final = 6

#: From here on, decimals beside a bound could be lost to rounding.
_ROUNDS_FROM: Final = 10**8


@dataclass(frozen=True)
class Bound:
    """One end of a range of numbers; `is_open` where the end itself is outside."""

    value: Decimal
    is_open: bool = False


def digits(first: int, last: int) -> Expression:
    """Return one digit out of a range."""
    return Chars(((0x30 + first, 0x30 + last),)) if first <= last else NOTHING


_ANY: Final = digits(0, 9)


def any_integer() -> Expression:
    """Return any whole number of up to `MAX_DIGITS` digits."""
    return concat(optional(Text("-")), _natural())


def any_number() -> Expression:
    """Return any number, perhaps with decimals and an exponent."""
    exponent = concat(
        Chars(((0x45, 0x45), (0x65, 0x65))),
        optional(Chars(((0x2B, 0x2B), (0x2D, 0x2D)))),
        Repeat(_ANY, 1, 2),
    )
    decimals = concat(Text("."), Repeat(_ANY, 1, MAX_DIGITS))
    return concat(any_integer(), optional(decimals), optional(exponent))


def integers(low: Bound | None, high: Bound | None) -> Expression:
    """Return the whole numbers between two bounds, `NOTHING` where there are none."""
    limit = 10**MAX_DIGITS - 1
    first = -limit if low is None else max(_ceil(low), -limit)
    last = limit if high is None else min(_floor(high), limit)
    options = []
    if first < 0:
        options.append(concat(Text("-"), naturals(max(1, -last), -first)))
    options.append(naturals(max(0, first), last))
    return choice(*options)


def numbers(low: Bound | None, high: Bound | None) -> Expression:
    """Return the numbers between two bounds, `NOTHING` where there are none."""
    zero = Bound(Decimal(0))
    options = []
    if low is None or low.value < 0:
        # Below zero, the other way round. Zero is written without a sign.
        nearest = Bound(Decimal(0), is_open=True)
        if high is not None and high.value <= 0:
            nearest = Bound(-high.value, high.is_open or high.value == 0)
        farthest = None if low is None else Bound(-low.value, low.is_open)
        options.append(concat(Text("-"), _positive(nearest, farthest)))
    if high is None or high.value >= 0:
        nearest = zero if low is None or low.value < 0 else low
        options.append(_positive(nearest, high))
    return choice(*options)


def _ceil(bound: Bound) -> int:
    whole = int(bound.value.to_integral_value("ROUND_CEILING"))
    return whole + (bound.is_open and whole == bound.value)


def _floor(bound: Bound) -> int:
    whole = int(bound.value.to_integral_value("ROUND_FLOOR"))
    return whole - (bound.is_open and whole == bound.value)


# ---- whole numbers ---------------------------------------------------------------------------


def _natural() -> Expression:
    return choice(Text("0"), concat(digits(1, 9), Repeat(_ANY, 0, MAX_DIGITS - 1)))


def naturals(first: int, last: int) -> Expression:
    """Return the whole numbers from one to another, both ≥ 0 and included."""
    if first > last:
        return NOTHING
    options: list[Expression] = []
    while first <= last:
        # Those of one length at a time; whole runs of lengths are one option.
        length = len(str(first))
        end = min(last, 10**length - 1)
        options.append(_same_length(str(first), str(end)))
        first = end + 1
    return choice(*options)


def _same_length(low: str, high: str) -> Expression:
    if not low:
        return EMPTY
    num_left = len(low) - 1
    if low[1:] == "0" * num_left and high[1:] == "9" * num_left:
        rest = Repeat(_ANY, num_left, num_left) if num_left else EMPTY
        return concat(digits(int(low[0]), int(high[0])), rest)
    if low[0] == high[0]:
        return concat(Text(low[0]), _same_length(low[1:], high[1:]))
    return choice(
        concat(Text(low[0]), _same_length(low[1:], "9" * num_left)),
        concat(digits(int(low[0]) + 1, int(high[0]) - 1), Repeat(_ANY, num_left, num_left)),
        concat(Text(high[0]), _same_length("0" * num_left, high[1:])),
    )


# ---- numbers with decimals -------------------------------------------------------------------


def _positive(low: Bound, high: Bound | None) -> Expression:
    """Return the numbers between two bounds, the lower one ≥ 0."""
    limit = 10**MAX_DIGITS - 1
    if low.value > limit:
        return NOTHING
    if high is not None and high.value > limit:
        high = Bound(Decimal(limit))
    if high is not None and high.value < low.value:
        return NOTHING
    if low.value >= _ROUNDS_FROM and (low.is_open or low.value != int(low.value)):
        low = Bound(Decimal(_ceil(low)))
    if high is not None and high.value >= _ROUNDS_FROM:
        high = Bound(Decimal(_floor(high)))
    first, low_decimals = _split(low.value)
    last, high_decimals = (limit, None) if high is None else _split(high.value)
    lower = _Edge(low_decimals, low.is_open)
    upper = None if high is None or high_decimals is None else _Edge(high_decimals, high.is_open)
    if first > last:
        return NOTHING
    if first == last:
        return concat(naturals(first, first), _decimals(lower, upper))
    return choice(
        concat(naturals(first, first), _decimals(lower, None)),
        concat(naturals(first + 1, last - (upper is not None)), _decimals(None, None)),
        NOTHING if upper is None else concat(naturals(last, last), _decimals(None, upper)),
    )


def _split(value: Decimal) -> tuple[int, str]:
    """Return the whole part and the digits behind the point, without zeros at the end."""
    text = f"{value:f}"
    whole, _, decimals = text.partition(".")
    return int(whole), decimals.rstrip("0")


@dataclass(frozen=True)
class _Edge:
    """Digits behind the point that decimals are compared with; `is_open` where equal is outside."""

    digits: str
    is_open: bool


def _decimals(low: _Edge | None, high: _Edge | None) -> Expression:
    """Return what may stand behind the whole part: nothing, or a point and digits."""
    with_point = concat(Text("."), _digits_between(low, high, 0))
    is_bare = (low is None or (low.digits == "" and not low.is_open)) and (
        high is None or high.digits != "" or not high.is_open
    )
    return choice(with_point, EMPTY) if is_bare else with_point


def _digits_between(low: _Edge | None, high: _Edge | None, depth: int) -> Expression:
    """Return the digits from `depth` on: one or more, the value between the two edges.

    An edge that is None no longer matters.
    """
    num_left = MAX_DECIMALS - depth
    # Bounds with more decimals than are written get as many.
    num_left = max(num_left, *(len(edge.digits) + 1 for edge in (low, high) if edge), 1)
    if low is None and high is None:
        return Repeat(_ANY, 1, max(num_left, 1))
    options: list[Expression] = []
    for digit in range(10):
        next_low, next_high = _after(low, digit, upward=True), _after(high, digit, upward=False)
        if next_low is _OUTSIDE or next_high is _OUTSIDE:
            continue
        low_edge = next_low if isinstance(next_low, _Edge) else None
        high_edge = next_high if isinstance(next_high, _Edge) else None
        rest: list[Expression] = []
        low_holds = low_edge is None or (low_edge.digits == "" and not low_edge.is_open)
        high_holds = high_edge is None or high_edge.digits != "" or not high_edge.is_open
        if low_holds and high_holds:
            rest.append(EMPTY)
        if num_left > 1 and depth < MAX_DECIMALS + 20:
            rest.append(_digits_between(low_edge, high_edge, depth + 1))
        options.append(concat(Text(str(digit)), choice(*rest)))
    return choice(*options)


_OUTSIDE: Final = object()


def _after(edge: _Edge | None, digit: int, *, upward: bool) -> object:
    """Return the edge for the next digit; None once it no longer matters; or _OUTSIDE."""
    if edge is None:
        return None
    own = int(edge.digits[0]) if edge.digits else 0
    if digit == own:
        return _Edge(edge.digits[1:], edge.is_open)
    return None if (digit > own) == upward else _OUTSIDE
