"""What others wrote, on a terminal: a name or a licence must not move the cursor or set a title."""

from __future__ import annotations

import sys


def printable(text: str) -> str:
    """Return a text in which what controls a terminal is spelled out; newlines stay."""
    return "".join(
        char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text
    )


def say_error(message: str) -> None:
    """Print an error in one line on stderr."""
    print(f"leadout: error: {printable(' '.join(message.split()))}", file=sys.stderr)
