"""Whether a claim is true: judged from the table alone, never from what the generator chose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from leadout_build.cli.market_table import Table
from leadout_desk.rules import at_end, band_of, holds, matching, side_of
from nano.forms import Args, Claim


@dataclass(frozen=True)
class Judgement:
    """What is to be said of a claim.

    Args:
        is_true: everything that the claim says holds, its numbers included.
        numbers_right: every number stands in the table where the claim says, or is a right count.
    """

    is_true: bool
    numbers_right: bool


@dataclass
class _Reading:
    """A table with the numbers of one claim as they are compared."""

    table: Table
    rights: list[bool] = field(default_factory=list)

    def cell(self, asset: str, column: str, text: str | None) -> bool:
        """Compare a value with the cell that it is said to be from."""
        self.rights.append(bool(text) and self.table.text(asset, column) == text)
        return self.rights[-1]

    def count(self, number: int, due: int) -> bool:
        """Compare a count."""
        self.rights.append(number == due)
        return self.rights[-1]

    def end(self, asset: str, column: str, end: str, text: str) -> bool:
        """Compare a value, and see whether its asset is at an end of the column."""
        return self.cell(asset, column, text) and asset in at_end(self.table, column, end)

    def number(self, asset: str, column: str) -> float:
        """Return a cell's value; not a number where it is missing, so that no side holds."""
        return self.table.numbers.get(column, {}).get(asset, float("nan"))


_Judge = Callable[[_Reading, Args], bool]


def judge(claim: Claim, table: Table) -> Judgement:
    """Judge a claim about a table."""
    reading = _Reading(table)
    is_true = _JUDGES[claim.kind](reading, claim.args)
    numbers_right = all(reading.rights)
    return Judgement(is_true and numbers_right, numbers_right)


def _all(results: Iterable[bool]) -> bool:
    """Say whether all hold, without stopping at the first that does not."""
    return all(list(results))


def _value(r: _Reading, a: Args) -> bool:
    return r.cell(a["asset"], a["column"], a["value"])


def _line(r: _Reading, a: Args) -> bool:
    prices = [("price", a["value"])] if "value" in a else []
    columns = [column for column, _ in a["moves"]]
    right = _all(r.cell(a["asset"], column, value) for column, value in [*prices, *a["moves"]])
    return right and len(set(columns)) == len(columns)


def _extreme(r: _Reading, a: Args) -> bool:
    is_end = r.end(a["asset"], a["column"], a["end"], a["value"])
    number = r.number(a["asset"], a["column"])
    return is_end and {"gain": number > 0, "loss": number < 0}.get(a.get("sense", ""), True)


def _tie(r: _Reading, a: Args) -> bool:
    assets = [asset for asset, _ in a["items"]]
    right = _all(r.cell(asset, a["column"], a["value"]) for asset in assets)
    return right and tuple(assets) == at_end(r.table, a["column"], a["end"]) and len(assets) > 1


def _nobody(r: _Reading, a: Args) -> bool:
    side = "up" if a["end"] == "high" else "down"
    is_end = r.end(a["asset"], a["column"], a["end"], a["value"])
    return is_end and not matching(r.table, a["column"], side)


def _list(r: _Reading, a: Args) -> bool:
    right = _all(
        r.cell(asset, a["column"], value) for asset, value in a["items"] if value is not None
    )
    assets = tuple(asset for asset, _ in a["items"])
    if "n" in a:
        right &= r.count(a["n"], len(matching(r.table, a["column"], a["side"])))
    if "total" in a:
        right &= r.count(a["total"], len(r.table.assets))
    return right and assets == matching(r.table, a["column"], a["side"])


def _count(r: _Reading, a: Args) -> bool:
    return _list(r, {"items": (), **a})


def _none(r: _Reading, a: Args) -> bool:
    known = bool(r.table.texts.get(a["column"]))
    return known and not matching(r.table, a["column"], a["side"])


def _led(r: _Reading, a: Args) -> bool:
    return "asset" not in a or r.end(a["asset"], a["column"], a["end"], a["value"])


def _breadth(r: _Reading, a: Args) -> bool:
    right = r.count(a["n"], len(matching(r.table, a["column"], a["side"])))
    right &= r.count(a["total"], len(r.table.assets))
    return _led(r, a) and right and r.table.is_full(a["column"])


def _every(r: _Reading, a: Args) -> bool:
    is_led = _led(r, a)
    return is_led and matching(r.table, a["column"], a["side"]) == r.table.assets


def _most(r: _Reading, a: Args) -> bool:
    is_led = _led(r, a)
    return is_led and 2 * len(matching(r.table, a["column"], a["side"])) > len(r.table.assets)


def _range(r: _Reading, a: Args) -> bool:
    is_low = r.end(a["asset"], a["column"], "low", a["value"])
    is_high = r.end(a["asset2"], a["column"], "high", a["value2"])
    low, high = r.number(a["asset"], a["column"]), r.number(a["asset2"], a["column"])
    return is_low and is_high and low < high and (low < 0 < high or "mixed" not in a)


def _pair(r: _Reading, a: Args) -> bool:
    is_high = r.end(a["asset"], a["column"], "high", a["value"])
    is_low = r.end(a["asset2"], a["column"], "low", a["value2"])
    return is_high and is_low and a["asset"] != a["asset2"]


def _double(r: _Reading, a: Args) -> bool:
    first = r.end(a["asset"], a["column"], a["end"], a["value"])
    second = r.end(a["asset"], a["column2"], a["end"], a["value2"])
    return first and second and a["column"] != a["column2"]


def _covers(r: _Reading, a: Args) -> bool:
    is_right = r.count(a["n"], len(r.table.assets))
    return is_right and tuple(asset for asset, _ in a["items"]) == r.table.assets


def _single(r: _Reading, a: Args) -> bool:
    return r.cell(a["asset"], a["column"], a["value"]) and r.table.assets == (a["asset"],)


def _two_cells(r: _Reading, a: Args) -> bool:
    first = r.cell(a["asset"], a["column"], a["value"])
    second = r.cell(a["asset2"], a["column"], a["value2"])
    return first and second and a["asset"] != a["asset2"]


def _compare(r: _Reading, a: Args) -> bool:
    is_right = _two_cells(r, a)
    first, second = r.number(a["asset"], a["column"]), r.number(a["asset2"], a["column"])
    winner = a["asset"] if first > second else a["asset2"]
    return is_right and first != second and a["winner"] == winner


def _lines(r: _Reading, a: Args) -> bool:
    first = _line(r, {"asset": a["asset"], "moves": a["moves"]})
    second = _line(r, {"asset": a["asset2"], "moves": a["moves2"]})
    return first and second and a["asset"] != a["asset2"]


def _level(r: _Reading, a: Args) -> bool:
    return _two_cells(r, {**a, "value2": a["value"]})


def _state(r: _Reading, a: Args) -> bool:
    is_right = r.cell(a["asset"], "rsi", a["value"])
    return is_right and holds(a["state"], r.number(a["asset"], "rsi"))


def _unstate(r: _Reading, a: Args) -> bool:
    is_right = r.cell(a["asset"], "rsi", a["value"])
    return is_right and not holds(a["asked"], r.number(a["asset"], "rsi"))


def _direction(r: _Reading, a: Args) -> bool:
    is_right = r.cell(a["asset"], a["column"], a["value"])
    side = side_of(r.number(a["asset"], a["column"]))
    return is_right and a.get("side", side) == side


def _position(r: _Reading, a: Args) -> bool:
    first = r.cell(a["asset"], "50d", a["value"])
    second = r.cell(a["asset"], "200d", a["value2"])
    sides = side_of(r.number(a["asset"], "50d")), side_of(r.number(a["asset"], "200d"))
    said = a["side"], a.get("side2", a["side"])
    return first and second and sides == said and (said[0] != said[1]) is a["is_split"]


def _calm(r: _Reading, _: Args) -> bool:
    numbers = r.table.numbers.get("rsi", {})
    return bool(numbers) and all(holds("neither", number) for number in numbers.values())


def _busy(r: _Reading, a: Args) -> bool:
    is_right = r.cell(a["asset"], "vol", a["value"])
    return is_right and holds("busy", r.number(a["asset"], "vol"))


def _mood(r: _Reading, a: Args) -> bool:
    r.rights.append(r.table.mood is not None and a["value"] == str(r.table.mood))
    return r.table.mood is not None and a["band"] == band_of(r.table.mood)


def _refusal(r: _Reading, a: Args) -> bool:
    """A refusal is apt or not for a question (`check.py`); of the table it claims only absence."""
    if a["reason"] == "no_asset":
        return a.get("asset") not in r.table.assets
    return a["reason"] != "no_mood" or r.table.mood is None


_JUDGES: dict[str, _Judge] = {
    "value": _value,
    "line": _line,
    "extreme": _extreme,
    "tie": _tie,
    "nobody": _nobody,
    "list": _list,
    "count": _count,
    "none": _none,
    "breadth": _breadth,
    "every": _every,
    "most": _most,
    "range": _range,
    "pair": _pair,
    "double": _double,
    "covers": _covers,
    "single": _single,
    "compare": _compare,
    "lines": _lines,
    "level": _level,
    "state": _state,
    "unstate": _unstate,
    "direction": _direction,
    "position": _position,
    "calm": _calm,
    "busy": _busy,
    "mood": _mood,
    "refusal": _refusal,
}
