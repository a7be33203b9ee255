"""Answers to questions: true sentences from a table, or the refusal that is due."""

from __future__ import annotations

from random import Random

from leadout_build.cli.market_table import Table
from leadout_desk.rules import at_end, band_of, holds, matching, side_of, state_of
from nano.briefs import MAX_TOTAL, extreme_group
from nano.forms import Args, Sentence
from nano.questions import Question, due_refusal, shared_columns
from nano.sentences import say
from nano.tables import AVERAGES, CHANGES

#: Longer lists name assets without their values.
MAX_VALUED = 6


def answer(rng: Random, table: Table | None, question: Question) -> Sentence:
    """Answer a question that is no brief."""
    refusal = due_refusal(table, question)
    if refusal or table is None:
        return _refuse(rng, table, question, refusal or "no_table")
    if question.kind == "mood":
        assert table.mood is not None
        return say(rng, "mood", value=str(table.mood), band=band_of(table.mood))
    return {
        "lookup": _lookup,
        "extreme": _extreme,
        "count": _count,
        "list": _list,
        "compare": _compare,
        "state": _state,
        "direction": _direction,
    }[question.kind](rng, table, question)


def _refuse(rng: Random, table: Table | None, question: Question, refusal: str) -> Sentence:
    if refusal in ("no_asset", "no_cell"):
        asked = [asset for asset in (question.asset, question.other) if asset]
        if refusal == "no_asset":
            lacking = [a for a in asked if table is None or a not in table.assets]
        else:
            lacking = [a for a in asked if table and not table.text(a, question.column or "")]
        # A refusal holds no figure, not even of a ticker.
        if len(lacking) == 1 and lacking[0].isalpha() and rng.random() < 0.75:
            return say(rng, f"refusal.{refusal}.named", asset=lacking[0])
    return say(rng, f"refusal.{refusal}")


def family(column: str) -> str:
    """Name the family of sentences that speak of a column."""
    return "change" if column in CHANGES else "avg" if column in AVERAGES else column


def _lookup(rng: Random, table: Table, question: Question) -> Sentence:
    asset, column = question.asset or "", question.column
    if column is not None:
        value = table.text(asset, column)
        return say(rng, f"value.{family(column)}", asset=asset, column=column, value=value)
    moves = _moves(table, asset)
    if price := table.text(asset, "price"):
        return say(rng, "line.price", asset=asset, value=price, moves=moves)
    return say(rng, "line.moves", asset=asset, moves=moves)


def _moves(table: Table, asset: str) -> tuple[tuple[str, str], ...]:
    return tuple([(c, text) for c in CHANGES if (text := table.text(asset, c))])


def _extreme(rng: Random, table: Table, question: Question) -> Sentence:
    column, side = question.column or "", question.side or "high"
    end = {"gain": "high", "loss": "low"}.get(side, side)
    assets = at_end(table, column, end)
    args: Args = {"column": column, "end": end, "value": table.text(assets[0], column)}
    wanted = {"gain": "up", "loss": "down"}.get(side)
    if wanted and not holds(wanted, table.numbers[column][assets[0]]):
        return say(rng, f"nobody.{family(column)}.{side}", asset=assets[0], **args)
    if len(assets) > 1:
        return say(rng, "tie", items=tuple((asset, None) for asset in assets), **args)
    return say(rng, extreme_group(column, side), asset=assets[0], **args)


def _count(rng: Random, table: Table, question: Question) -> Sentence:
    column, side = question.column or "", question.side or "up"
    assets = matching(table, column, side)
    group = f"count.{'state' if column == 'rsi' else family(column)}"
    items = tuple((asset, None) for asset in assets)
    args: Args = {"column": column, "side": side, "n": len(assets), "items": items}
    if not assets:
        return say(rng, f"{group}.none", **args)
    if column in CHANGES and table.is_full(column) and len(table.assets) <= MAX_TOTAL:
        if rng.random() < 0.5:
            return say(rng, f"{group}.total", total=len(table.assets), **args)
    elif side == "oversold":
        group = "count.state.low"
    return say(rng, group, **args)


def _list(rng: Random, table: Table, question: Question) -> Sentence:
    column, side = question.column or "", question.side or "up"
    assets = matching(table, column, side)
    group = side if column in ("rsi", "vol") else family(column)
    args: Args = {"column": column, "side": side}
    if not assets:
        group = "state" if column == "rsi" else group
        return say(rng, f"none.{group}", **args)
    is_named = column in (*CHANGES, *AVERAGES) and (len(assets) > MAX_VALUED or rng.random() < 0.3)
    items = tuple([(asset, table.text(asset, column)) for asset in assets])
    return say(rng, f"list.{group}.names" if is_named else f"list.{group}", items=items, **args)


def _compare(rng: Random, table: Table, question: Question) -> Sentence:
    first, second, column = question.asset or "", question.other or "", question.column
    if column is None:
        moves, moves2 = (_moves(table, asset) for asset in (first, second))
        if min(len(moves), len(moves2)) > 1:
            return say(rng, "lines", asset=first, moves=moves, asset2=second, moves2=moves2)
        column = shared_columns(table, first, second)[0]
    numbers, texts = table.numbers[column], table.texts[column]
    args: Args = {"asset": first, "asset2": second, "column": column}
    args |= {"value": texts[first], "value2": texts[second]}
    if numbers[first] == numbers[second]:
        return say(rng, "level", **args)
    args["winner"] = first if numbers[first] > numbers[second] else second
    return say(rng, f"compare.{family(column)}", **args)


def _state(rng: Random, table: Table, question: Question) -> Sentence:
    asset, asked = question.asset or "", question.side
    state = state_of(table.numbers["rsi"][asset])
    args: Args = {"asset": asset, "value": table.text(asset, "rsi"), "state": state}
    if asked and rng.random() < 0.5:
        return say(rng, "state.yes" if state == asked else "unstate", asked=asked, **args)
    return say(rng, f"state.{state}", **args)


def _direction(rng: Random, table: Table, question: Question) -> Sentence:
    asset, column = question.asset or "", question.column or ""
    side = side_of(table.numbers[column][asset])
    args: Args = {"asset": asset, "column": column, "value": table.text(asset, column)}
    args |= {"side": side, "yes": "yes" if side == question.side else "no"}
    return say(rng, f"direction.{family(column)}", **args)
