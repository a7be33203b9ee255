"""Dialogues about a table: what is asked, what is answered, as Nano is trained on them.

1. a system turn, the page's or another, at times none
2. a user turn with the table and a request for a brief or a question; or no table at first
3. five to thirteen more questions, each with its answer, about the same table
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from leadout_build.cli.market_table import Table
from leadout_build.store.nano_prompts import NANO_SYSTEM
from nano.answers import answer
from nano.asks import ask
from nano.briefs import SHORTEST, make_brief
from nano.draws import Ask, draw_ask
from nano.markets import make_layout, make_table
from nano.questions import Question
from nano.small_talk import ask_without_table
from nano.tables import render
from nano.tickers import COINS, STOCKS, draw_ticker, is_held_out

_SYSTEMS = (
    "You read a market table, write briefs and answer questions.",
    "Answer from the table only.",
    "You are Nano, a reader of market tables. Copy every number as it stands.",
    "You are a helpful assistant.",
)

#: Turns stop here, so that a dialogue fits into what Nano is trained on; about one token each.
MAX_PIECES = 2500

_PIECE = re.compile(r"[^\W\d_]+|\d|[^\s]|\n")


@dataclass(frozen=True)
class Turn:
    """One turn of a dialogue.

    Args:
        role: "system", "user" or "model".
        text: what is said.
        kind: of a model's turn, from `questions.KINDS`; otherwise None.
        question: what a model's turn answers; otherwise None.
    """

    role: str
    text: str
    kind: str | None = None
    question: Question | None = None


@dataclass(frozen=True)
class Dialogue:
    """A dialogue about one table, or about none."""

    table: Table | None
    turns: tuple[Turn, ...]


def num_pieces(text: str) -> int:
    """Estimate a text's tokens: words, digits, marks and line ends are one each."""
    return len(_PIECE.findall(text))


def make_dialogue(rng: Random, level: float = 1.0, split: str = "train") -> Dialogue:
    """Make up a dialogue.

    Args:
        level: 0 gives small tables, 1 the full range.
        split: "train", or "test" with tickers that training never sees.
    """
    turns: list[Turn] = []
    draw = rng.random()
    if draw < 0.85:
        turns.append(Turn("system", NANO_SYSTEM if draw < 0.75 else _one(rng, _SYSTEMS)))
    without = rng.random()
    if without < 0.12:
        turns += _without_table(rng, split, 1 if without < 0.07 else 2 + int(rng.random() * 3))
        if without >= 0.07:
            return Dialogue(None, tuple(turns))
    table = make_table(rng, level, split)
    turns += _about(rng, table, split)
    return Dialogue(table, tuple(turns))


def _about(rng: Random, table: Table, split: str) -> list[Turn]:
    """Write the turns from the one with the table on."""
    turns: list[Turn] = []
    text = render(table, make_layout(rng, table))
    budget = MAX_PIECES - num_pieces(text)
    number = 6 + int(rng.random() * 9)
    brief_at = 0 if rng.random() < 0.6 else int(rng.random() * number * 1.5)
    last: Ask | None = None
    for index in range(number):
        asked = None
        if index == brief_at:
            asked = _ask_brief(rng, table, is_first=index == 0)
        if asked is None:
            asked = draw_ask(rng, table, split, last)
            reply = answer(rng, table, asked.question).text
        else:
            reply = asked.reply
        question = asked.text
        if index == 0:
            question = _with_table(rng, text, question)
        budget -= num_pieces(question) + num_pieces(reply) + 8
        if budget < 0 and index > 0:
            break
        turns.append(Turn("user", question))
        turns.append(Turn("model", reply, asked.kind, asked.question))
        last = asked
    return turns


def _ask_brief(rng: Random, table: Table, is_first: bool) -> Ask | None:
    """Ask for a brief, where the table has enough to say for one."""
    sentences = make_brief(rng, table)
    if len(sentences) < SHORTEST:
        return None
    text = ask(rng, "brief", rng.random() < 0.15)
    if is_first and rng.random() < 0.08:
        text = ""
    reply = " ".join([sentence.text for sentence in sentences])
    return Ask(text, Question("brief"), "brief", reply)


def _with_table(rng: Random, table: str, question: str) -> str:
    if not question:
        return table
    between = "\n\n" if rng.random() < 0.8 else "\n"
    parts = (table, question) if rng.random() < 0.5 else (question, table)
    return between.join(parts)


def _without_table(rng: Random, split: str, number: int) -> list[Turn]:
    """Write turns of a conversation that has no table yet."""
    turns: list[Turn] = []
    for _ in range(number):
        asset, other = (_any_ticker(rng, split) for _ in range(2))
        if rng.random() < 0.8:
            text, question = ask_without_table(rng, asset, other), Question("no_table")
        else:
            asked = draw_ask(rng, None, split, None)
            text, question = asked.text, asked.question
        reply = answer(rng, None, question).text
        turns += [Turn("user", text), Turn("model", reply, question.kind, question)]
    return turns


def _any_ticker(rng: Random, split: str) -> str:
    pool = COINS if rng.random() < 0.6 else STOCKS
    while True:
        ticker = draw_ticker(rng, pool, 0.7)
        if split == "test" or not is_held_out(ticker):
            return ticker


def _one(rng: Random, texts: tuple[str, ...]) -> str:
    return texts[int(rng.random() * len(texts))]
