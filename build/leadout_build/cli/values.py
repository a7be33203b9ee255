"""Parsers of the commands' values. Each returns a value, or says what was wanted."""

from __future__ import annotations

import argparse
from collections.abc import Callable

#: Keep in step with `GenerateRequest` in web/messages.js.
MAX_DRAFT_TOKENS = 7

#: How many requests a model can be loaded for, as in pyapp/leadout/rows.py.
PARALLEL = (1, 2, 4, 8)

#: The samplings of build/leadout_build/bench/measures.py, which is not imported for a --help.
SAMPLINGS = ("greedy", "page")


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return a parser of whole numbers from `low` to `high` (None: no end)."""

    def parse(text: str) -> int:
        wanted = f"a whole number of at least {low}" if high is None else f"{low} to {high}"
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f'"{text}"; wanted {wanted}')
        return value

    return parse


def number(is_valid: Callable[[float], bool], wanted: str) -> Callable[[str], float]:
    """Return a parser of numbers for which `is_valid` holds."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")  # not a number: it is in no range
        if not is_valid(value):
            raise argparse.ArgumentTypeError(f'"{text}"; wanted {wanted}')
        return value

    return parse


def draft_tokens(text: str) -> int | str:
    """Parse how many tokens to draft per cycle."""
    if text == "auto":
        return text
    try:
        return whole(0, MAX_DRAFT_TOKENS)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error} or auto") from None


def ids(text: str) -> list[int]:
    """Parse token ids, separated by spaces or commas."""
    words = text.replace(",", " ").split()
    if not words or not all(word.isascii() and word.isdecimal() for word in words):
        raise argparse.ArgumentTypeError(f'"{text}"; wanted token ids such as "2 5 9"')
    return [int(word) for word in words]


def rows(text: str) -> list[int]:
    """Parse numbers of rows, separated by commas."""
    return [whole(1)(word) for word in text.split(",")]


def counts(low: int, high: int | None = None) -> Callable[[str], list[int]]:
    """Return a parser of whole numbers, separated by commas, each in a range."""
    one = whole(low, high)
    return lambda text: [one(word) for word in text.split(",")]


def bias(text: str) -> tuple[str, float]:
    """Parse ID=B, a token's id and its bias."""
    token, _, amount = text.partition("=")
    if not (token.isascii() and token.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r}; wanted ID=B, a token's id and its bias")
    return token, number(lambda value: -100 <= value <= 100, "-100 to 100")(amount)


def parallel(text: str) -> list[int]:
    """Parse numbers of requests at once, separated by commas."""
    numbers = [whole(1)(word) for word in text.split(",")]
    if wrong := [number for number in numbers if number not in PARALLEL]:
        raise argparse.ArgumentTypeError(f"{wrong[0]}; wanted 1, 2, 4 or 8")
    return numbers


def samplings(text: str) -> list[str]:
    """Parse names of sampling settings, separated by commas."""
    names = text.split(",")
    if unknown := [name for name in names if name not in SAMPLINGS]:
        wanted = " or ".join(SAMPLINGS)
        raise argparse.ArgumentTypeError(f'"{unknown[0]}"; wanted {wanted}')
    return names
