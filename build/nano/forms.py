"""Sentence forms: one template gives both the text that is written and the pattern that reads it.

A template is text with `[one|another]` wordings that mean the same, and slots `{kind}` or
`{kind:name}`: what a slot says is the claim's argument of that name. A form adds fixed arguments
that its wording alone says ("gained most" is the high end, with a gain). Reading a sentence gives
its claim; whether the claim is true is for `facts.py` to say, from the table alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from leadout_build.cli.market_table import ASSET
from nano.words import WORDS

Args = dict[str, Any]

#: A list in a sentence: assets with the values beside them, or without.
Items = tuple[tuple[str, str | None], ...]

VALUE = r"[+-]?\d+(?:\.\d+)?[%x]?"
_ITEM = rf"{ASSET} \({VALUE}\)"
_WORD_PATTERNS = {
    kind: "|".join(
        re.escape(text)
        for text in sorted((t for texts in words.values() for t in texts), key=len, reverse=True)
    )
    for kind, words in WORDS.items()
}
_MOVE = rf"{VALUE} (?:{_WORD_PATTERNS['over']})"
_KEYS = {
    kind: {text: key for key, texts in words.items() for text in texts}
    for kind, words in WORDS.items()
}


@dataclass(frozen=True)
class Claim:
    """What one sentence says: a kind, for which `facts.py` has a judge, and its arguments."""

    kind: str
    args: Args


@dataclass(frozen=True)
class Sentence:
    """A sentence as written, with the claim that it was written from."""

    text: str
    claim: Claim


def listed(parts: Sequence[str]) -> str:
    """Join parts with commas and a last "and"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _list_pattern(item: str) -> str:
    return rf"{item}(?:(?:, {item})* and {item})?"


def _split(text: str) -> list[str]:
    return re.split(r", | and ", text)


def _read_items(text: str) -> Items:
    items = [part.partition(" (") for part in _split(text)]
    return tuple((asset, value.rstrip(")")) for asset, _, value in items)


def _read_moves(text: str) -> tuple[tuple[str, str], ...]:
    moves = [part.partition(" ") for part in _split(text)]
    return tuple((_KEYS["over"][over], value) for value, _, over in moves)


def _write_items(items: Items, _: Random) -> str:
    return listed([f"{asset} ({value})" for asset, value in items])


def _write_names(items: Items, _: Random) -> str:
    return listed([asset for asset, _ in items])


def _write_moves(moves: Sequence[tuple[str, str]], rng: Random) -> str:
    return listed([f"{value} {_one(rng, WORDS['over'][column])}" for column, value in moves])


def _write_number(number: int, _: Random) -> str:
    return str(number)


def _one(rng: Random, texts: Sequence[str]) -> str:
    return texts[int(rng.random() * len(texts))]


#: Slots that are no words: pattern, reader, writer.
_SLOTS: dict[str, tuple[str, Callable[[str], Any], Callable[[Any, Random], str]]] = {
    "asset": (ASSET, str, lambda text, _: text),
    "value": (VALUE, str, lambda text, _: text),
    "thing": (r".+", str, lambda text, _: text),
    "n": (r"\d+", int, _write_number),
    "total": (r"\d+", int, _write_number),
    "items": (_list_pattern(_ITEM), _read_items, _write_items),
    "names": (
        _list_pattern(ASSET),
        lambda text: tuple((asset, None) for asset in _split(text)),
        _write_names,
    ),
    "moves": (rf"{_MOVE}(?:, {_MOVE})* and {_MOVE}", _read_moves, _write_moves),
}

#: Slots of a kind that has another name.
_KINDS = {"asset2": "asset", "value2": "value", "winner": "asset", "moves2": "moves"}

#: What a slot is called among the arguments, where not by its own name.
_ARGUMENTS = {"over": "column", "Over": "column", "unit": "column", "adj": "column",
              "avg": "column", "names": "items", "metric": "column", "where": "side", "Yes": "yes",
              "Side": "side", "Where": "side",
              "dir": "side", "when": "column", "per": "column", "ma": "column"}  # fmt: skip


@dataclass(frozen=True)
class _Slot:
    kind: str
    name: str


class Form:
    """A template with its fixed arguments.

    Args:
        kind: of the claims that it makes.
        fixed: arguments that the wording says.
        template: the text, with wordings and slots.
    """

    def __init__(self, kind: str, fixed: Mapping[str, Any], template: str) -> None:
        self.kind = kind
        self.fixed = dict(fixed)
        self.template = template
        self.parts: list[str | tuple[str, ...] | _Slot] = []
        self.slots: list[_Slot] = []
        pattern: list[str] = []
        for piece in re.findall(r"\{[\w:]+\}|\[[^\]]*\]|[^\[{]+", template):
            if piece[0] == "[":
                texts = tuple(piece[1:-1].split("|"))
                self.parts.append(texts)
                pattern.append(f"(?:{'|'.join(map(re.escape, texts))})")
            elif piece[0] == "{":
                self._add_slot(piece[1:-1], pattern)
            else:
                self.parts.append(piece)
                pattern.append(re.escape(piece))
        self.pattern = re.compile("".join(pattern))

    def _add_slot(self, text: str, pattern: list[str]) -> None:
        kind, _, name = text.partition(":")
        if kind in ("be", "assets"):
            self.parts.append(_Slot(kind, kind))
            pattern.append("(?:is|are)" if kind == "be" else "assets?")
            return
        name = name or _ARGUMENTS.get(kind, kind)
        slot = _Slot(_KINDS.get(kind, kind), name)
        kind = slot.kind
        self.parts.append(slot)
        again = [seen for seen in self.slots if seen.name == slot.name]
        if again and kind in _SLOTS:
            pattern.append(f"(?P={slot.name})")
            return
        self.slots.append(slot)
        inner = _SLOTS[kind][0] if kind in _SLOTS else _WORD_PATTERNS[kind]
        pattern.append(f"(?P<{slot.name}>{inner})")

    def write(self, rng: Random, args: Mapping[str, Any], is_lower: bool = False) -> Sentence:
        """Write a sentence.

        Args:
            args: at least the arguments of the slots.
            is_lower: put all but tickers and values in lower case, as hasty people do.
        """
        texts: list[str] = []
        claimed = dict(self.fixed)
        for part in self.parts:
            if isinstance(part, str):
                text = part
            elif isinstance(part, tuple):
                text = part[int(rng.random() * len(part))]
            elif part.kind in _SLOTS:
                claimed[part.name] = args[part.name]
                if part.kind == "names":
                    claimed["items"] = tuple([(asset, None) for asset, _ in args["items"]])
                texts.append(_SLOTS[part.kind][2](args[part.name], rng))
                continue
            elif part.kind == "be":
                number = len(args["items"]) if "items" in args else args["n"]
                text = "is" if number == 1 else "are"
            elif part.kind == "assets":
                text = "asset" if args.get("total", args.get("n")) == 1 else "assets"
            else:
                claimed[part.name] = args[part.name]
                text = _one(rng, WORDS[part.kind][args[part.name]])
            texts.append(text.lower() if is_lower else text)
        return Sentence("".join(texts), Claim(self.kind, claimed))

    def read(self, text: str) -> Claim | None:
        """Return the claim of a sentence, or None where it is of another form."""
        match = self.pattern.fullmatch(text)
        if match is None:
            return None
        args = dict(self.fixed)
        for slot in self.slots:
            said = match[slot.name]
            args[slot.name] = (
                _SLOTS[slot.kind][1](said) if slot.kind in _SLOTS else _KEYS[slot.kind][said]
            )
        return Claim(self.kind, args)


def group(name: str, templates: str, **fixed: object) -> tuple[str, tuple[Form, ...]]:
    """Make the forms of a group that mean the same.

    Args:
        name: of the group; up to the first dot it is the kind of the claims.
        templates: one on each line.
        fixed: arguments that all of the wordings say.
    """
    lines = [line.strip() for line in templates.strip().splitlines()]
    return name, tuple(Form(name.partition(".")[0], fixed, line) for line in lines)
