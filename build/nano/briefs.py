"""Briefs: three to six true sentences about a table, from an overview to something apt.

Everything that a table has to say is first put down as possible remarks, in the order in which a
brief would make them: the market, its periods, volume, RSI, averages, one asset, the mood. A
brief is a choice of them that says nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from leadout_build.cli.market_table import Table
from leadout_desk.rules import at_end, band_of, matching, side_of, state_of
from nano.forms import Args, Form, Sentence
from nano.sentences import GROUPS
from nano.tables import AVERAGES, CHANGES

#: Up to so many rows are counted without a list, and "of so many" is said.
MAX_COUNTED = 6
MAX_TOTAL = 10

#: Longer lists leave the values out, or are not made at all in a brief.
MAX_ITEMS = 4

SHORTEST, LONGEST = 3, 6


@dataclass(frozen=True)
class Remark:
    """A sentence that a brief may have.

    Args:
        topics: what it speaks of; no two remarks of a brief share one.
        group: of sentence forms.
        args: their arguments.
        is_closing: a brief may well end with it.
    """

    topics: tuple[str, ...]
    group: str
    args: Args
    is_closing: bool = False


@dataclass
class _Writer:
    rng: Random
    used: set[int] = field(default_factory=set)

    def write(self, remark: Remark) -> Sentence:
        """Write a remark in a form that the brief does not have yet, where there is one."""
        forms = GROUPS.get(f"{remark.group}.brief", GROUPS[remark.group])
        form: Form = forms[int(self.rng.random() * len(forms))]
        for _ in range(4):
            if id(form) not in self.used:
                break
            form = forms[int(self.rng.random() * len(forms))]
        self.used.add(id(form))
        return form.write(self.rng, remark.args)


def make_brief(rng: Random, table: Table, length: int | None = None) -> tuple[Sentence, ...]:
    """Write a brief.

    Args:
        length: wanted number of sentences, 3 to 6; a table with little to say gives fewer.

    Returns:
        The sentences; fewer than three are no brief, and then a table is too small for one.
    """
    length = length or rng.choice((3, 4, 4, 4, 5, 5, 6))
    opening = _opening(rng, table)
    chosen = [opening] if opening else []
    said = set(opening.topics if opening else ())
    featured = _featured(rng, table, opening)
    remarks = [r for r in _remarks(rng, table, featured) if said.isdisjoint(r.topics)]
    closings = [r for r in remarks if r.is_closing]
    closing = None
    if closings:
        is_mood = table.mood is not None and rng.random() < 0.75
        closing = closings[-1] if is_mood else closings[int(rng.random() * len(closings))]
        said.update(closing.topics)
    middle: list[tuple[int, Remark]] = []
    order = list(range(len(remarks)))
    rng.shuffle(order)
    for index in order:
        if len(middle) >= length - len(chosen) - (closing is not None):
            break
        remark = remarks[index]
        if said.isdisjoint(remark.topics):
            said.update(remark.topics)
            middle.append((index, remark))
    chosen += [remark for _, remark in sorted(middle, key=lambda pair: pair[0])]
    if closing:
        chosen.append(closing)
    writer = _Writer(rng)
    return tuple([writer.write(remark) for remark in chosen])


# ---- the overview -------------------------------------------------------------------------


def _opening(rng: Random, table: Table) -> Remark | None:
    if len(table.assets) == 1:
        return _pick(rng, list(_single_openings(table)))
    periods = [c for c in CHANGES if len(table.texts.get(c, ())) > 1]
    openings: list[Remark] = []
    if periods:
        period = periods[0] if rng.random() < 0.85 else _one(rng, periods)
        openings = list(_overviews(table, period))
    if not openings:
        if len(table.texts.get("price", ())) > 1:
            openings += _range(table, "price", "range.price")
        if len(table.assets) <= MAX_COUNTED:
            items = tuple((asset, None) for asset in table.assets)
            openings.append(Remark(("covers",), "covers", {"n": len(items), "items": items}))
    return _pick(rng, openings)


def _single_openings(table: Table) -> Iterator[Remark]:
    asset = table.assets[0]
    for column in ("price", *CHANGES):
        if value := table.text(asset, column):
            args = {"asset": asset, "value": value, "column": column}
            group = "single.price" if column == "price" else "single.change"
            yield Remark((f"{column} {asset}",), group, args)


def _overviews(table: Table, period: str) -> Iterator[Remark]:
    """Yield ways to begin with a period, those that say most about the table first."""
    number = len(table.assets)
    sides = {side: matching(table, period, side) for side in ("up", "down")}
    for side, end in (("up", "high"), ("down", "low")):
        assets = sides[side]
        ends = at_end(table, period, end)
        base: Args = {"column": period, "side": side}
        led: Args = {**base, "asset": ends[0], "value": table.text(ends[0], period)}
        is_led = len(ends) == 1
        topics = (f"{period} {end}", f"breadth {period}")
        if len(assets) == number:
            if is_led:
                yield Remark(topics, f"every.{side}.led", led)
                yield Remark(topics, f"every.{side}.led", led)
            yield Remark(topics[1:], "every", base)
            continue
        if not table.is_full(period):
            continue
        counts: Args = {"n": len(assets), "total": number}
        if number <= MAX_COUNTED and len(assets) > 1:
            if is_led:
                yield Remark(topics, f"breadth.{side}.led", {**led, **counts})
            yield Remark(topics[1:], "breadth", {**base, **counts})
        if 1 <= len(assets) <= MAX_ITEMS and number <= MAX_TOTAL:
            args = {**base, **counts, "items": _items(table, period, assets)}
            yield Remark((*topics, f"list {period}"), "count.overview.total", args)
        if 3 * len(assets) >= 2 * number and number > 2 and is_led:
            yield Remark(topics, f"most.{side}.led", led)
    if sides["up"] and sides["down"]:
        yield from _range(table, period, "range.mixed")
    if number not in map(len, sides.values()):
        yield from _range(table, period, "range.change")


def _range(table: Table, column: str, group: str) -> list[Remark]:
    low, high = at_end(table, column, "low")[0], at_end(table, column, "high")[0]
    if table.text(low, column) == table.text(high, column):
        return []
    args: Args = {"column": column, "asset": low, "value": table.text(low, column)}
    args |= {"asset2": high, "value2": table.text(high, column)}
    return [Remark((f"{column} high", f"{column} low", f"breadth {column}"), group, args)]


# ---- the remarks --------------------------------------------------------------------------


def _remarks(rng: Random, table: Table, featured: str) -> list[Remark]:
    """Return what may be said after the overview, in the order in which it would be."""
    remarks: list[Remark] = []
    is_single = len(table.assets) == 1
    for column in CHANGES:
        known = table.texts.get(column, {})
        if is_single and known:
            args = {"column": column, "asset": featured, "value": known[featured]}
            remarks.append(Remark((f"{column} {featured}",), "value.change", args))
        elif len(known) > 1:
            remarks += _period(rng, table, column)
    if not is_single:
        remarks += _doubles(table)
    remarks += _volume(table, featured)
    remarks += _rsi(table, featured)
    for column in AVERAGES:
        if len(table.texts.get(column, ())) > 1:
            remarks += _average(rng, table, column)
    remarks += _of_one(rng, table, featured)
    if table.mood is not None:
        args = {"value": str(table.mood), "band": band_of(table.mood)}
        group = "mood.brief" if rng.random() < 0.6 else "mood"
        remarks.append(Remark(("mood",), group, args, is_closing=True))
    return remarks


def _period(rng: Random, table: Table, column: str) -> Iterator[Remark]:
    high, low = at_end(table, column, "high"), at_end(table, column, "low")
    if high == low:
        return
    is_closing = column == "30d"
    topics = {"high": f"{column} high", "low": f"{column} low"}
    if len(high) == len(low) == 1 and rng.random() < 0.6:
        args: Args = {"column": column, "asset": high[0], "value": table.text(high[0], column)}
        args |= {"asset2": low[0], "value2": table.text(low[0], column)}
        yield Remark(tuple(topics.values()), "pair", args, is_closing)
    for end in ("high", "low"):
        yield _extreme(rng, table, column, end, is_closing)
    for side, end in (("up", "high"), ("down", "low")):
        assets = matching(table, column, side)
        if 1 <= len(assets) <= MAX_ITEMS - 1 and rng.random() < 0.4:
            args = {"column": column, "side": side, "items": _items(table, column, assets)}
            yield Remark((f"list {column}", f"breadth {column}", topics[end]), "list.change", args)


def _extreme(rng: Random, table: Table, column: str, end: str, is_closing: bool = False) -> Remark:
    assets = at_end(table, column, end)
    value = table.text(assets[0], column)
    args: Args = {"column": column, "value": value, "end": end}
    topics = (f"{column} {end}",)
    if len(assets) > 1:
        items = tuple((asset, None) for asset in assets)
        return Remark(topics, "tie", {**args, "items": items}, is_closing)
    group = extreme_group(column, end)
    if column in (*CHANGES, *AVERAGES) and rng.random() < 0.5:
        side = side_of(table.numbers[column][assets[0]])
        sense = {("high", "up"): "gain", ("low", "down"): "loss"}.get((end, side))
        group = extreme_group(column, sense or end)
    return Remark(topics, group, {**args, "asset": assets[0]}, is_closing)


def extreme_group(column: str, end: str) -> str:
    """Name the group of sentences about an end (high, low) or a sense (gain, loss) of a column."""
    family = "change" if column in CHANGES else "avg" if column in AVERAGES else column
    return f"extreme.{family}.{end}"


def _doubles(table: Table) -> Iterator[Remark]:
    for end in ("high", "low"):
        for first, second in (("1d", "7d"), ("7d", "30d")):
            assets = at_end(table, first, end)
            if len(assets) != 1 or at_end(table, second, end) != assets:
                continue
            if min(len(table.texts[column]) for column in (first, second)) < 2:
                continue
            args: Args = {"column": first, "column2": second, "asset": assets[0]}
            args |= {"value": table.text(assets[0], first), "value2": table.text(assets[0], second)}
            yield Remark((f"{first} {end}", f"{second} {end}"), f"double.{end}", args)


def _volume(table: Table, featured: str) -> Iterator[Remark]:
    known = table.texts.get("vol", {})
    if not known:
        return
    busy = matching(table, "vol", "busy")
    if not busy:
        yield Remark(("vol",), "none.busy", {"column": "vol"}, is_closing=True)
    elif len(busy) == 1:
        args = {"asset": busy[0], "value": known[busy[0]]}
        yield Remark(("vol",), "busy", args, is_closing=True)
    elif len(busy) <= MAX_ITEMS:
        yield Remark(("vol",), "list.busy", {"items": _items(table, "vol", busy)}, is_closing=True)
    highest = at_end(table, "vol", "high")
    if len(known) > 1 and len(highest) == 1:
        args = {"asset": highest[0], "value": known[highest[0]]}
        yield Remark(("vol",), "extreme.vol.high", args)
    if len(table.assets) == 1:
        yield Remark(("vol",), "value.vol", {"asset": featured, "value": known[featured]})


def _rsi(table: Table, featured: str) -> Iterator[Remark]:
    known = table.texts.get("rsi", {})
    if not known:
        return
    flagged = {side: matching(table, "rsi", side) for side in ("overbought", "oversold")}
    for side, assets in flagged.items():
        if len(assets) == 1:
            args: Args = {"asset": assets[0], "value": known[assets[0]]}
            group = "state.high" if side == "overbought" else "state.low"
            yield Remark((f"rsi {side}", f"rsi {assets[0]}"), group, args, is_closing=True)
        elif 1 < len(assets) <= MAX_ITEMS:
            args = {"items": _items(table, "rsi", assets)}
            yield Remark((f"rsi {side}",), f"list.{side}", args, is_closing=True)
    if not any(flagged.values()):
        if len(table.assets) > 1:
            yield Remark(("rsi overbought", "rsi oversold"), "calm", {}, is_closing=True)
        elif featured in known:
            args = {"asset": featured, "value": known[featured]}
            yield Remark((f"rsi {featured}",), f"state.{state_of(float(args['value']))}", args)
    highest = at_end(table, "rsi", "high")
    if len(known) > 1 and len(highest) == 1 and not flagged["overbought"]:
        args = {"asset": highest[0], "value": known[highest[0]]}
        yield Remark((f"rsi {highest[0]}",), "extreme.rsi.high", args)


def _average(rng: Random, table: Table, column: str) -> Iterator[Remark]:
    sides = {side: matching(table, column, side) for side in ("up", "down")}
    for side, assets in sides.items():
        if len(assets) == len(table.assets):
            args: Args = {"column": column, "side": side}
            yield Remark((f"breadth {column}",), "every.avg", args, is_closing=column == "200d")
        elif 1 <= len(assets) <= MAX_ITEMS - 1:
            args = {"column": column, "side": side, "items": _items(table, column, assets)}
            yield Remark((f"breadth {column}", f"{column} high", f"{column} low"), "list.avg", args)
    high, low = at_end(table, column, "high"), at_end(table, column, "low")
    if high != low and len(table.assets) > 2:
        end = "high" if rng.random() < 0.5 else "low"
        yield _extreme(rng, table, column, end, is_closing=column == "200d")


def _of_one(rng: Random, table: Table, featured: str) -> Iterator[Remark]:
    """Yield remarks on a single asset: where it stands against its averages, its price."""
    values = {column: table.text(featured, column) for column in (*AVERAGES, "price")}
    sides = {
        column: side_of(table.numbers[column][featured]) for column in AVERAGES if values[column]
    }
    topics = tuple(f"{column} {featured}" for column in sides)
    if len(sides) == 2 and "flat" not in sides.values():
        args: Args = {"asset": featured, "value": values["50d"], "value2": values["200d"]}
        args |= {"side": sides["50d"], "side2": sides["200d"]}
        is_split = sides["50d"] != sides["200d"]
        yield Remark(topics, "position.split" if is_split else "position.both", args)
    for column, side in sides.items():
        args = {"asset": featured, "column": column, "value": values[column], "side": side}
        yield Remark((f"{column} {featured}",), "direction.place", args)
    if values["price"]:
        args = {"asset": featured, "value": values["price"]}
        moves = tuple([(c, text) for c in CHANGES if (text := table.text(featured, c))])
        if len(table.assets) > 1 and len(moves) > 1 and rng.random() < 0.5:
            args["moves"] = moves
            yield Remark((f"price {featured}",), "line.price", args)
        else:
            yield Remark((f"price {featured}",), "value.price", args)


# ---- small parts --------------------------------------------------------------------------


def _featured(rng: Random, table: Table, opening: Remark | None) -> str:
    """Choose the asset that a brief looks at more closely: often the one that it began with."""
    named = opening.args.get("asset") if opening else None
    if isinstance(named, str) and rng.random() < 0.6:
        return named
    return table.assets[0] if rng.random() < 0.5 else _one(rng, table.assets)


def _items(table: Table, column: str, assets: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple([(asset, table.text(asset, column)) for asset in assets])


def _one(rng: Random, choices: tuple[str, ...] | list[str]) -> str:
    return choices[int(rng.random() * len(choices))]


def _pick(rng: Random, remarks: list[Remark]) -> Remark | None:
    return remarks[int(rng.random() * len(remarks))] if remarks else None
