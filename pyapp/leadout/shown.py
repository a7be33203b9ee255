"""How a value from somebody else's file appears in a message."""

from __future__ import annotations

#: The most of a string that a message quotes.
_MAX_CHARS = 100


def shown(value: object) -> str:
    """Return a value as a message shows it: on one line, never long, whatever the file holds."""
    if isinstance(value, str):
        cut = value[:_MAX_CHARS]
        return repr(cut) + ("…" if len(value) > len(cut) else "")
    if value is None or isinstance(value, bool | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 1 << 64 else "a number of more than 64 bits"
    return f"a {type(value).__name__}"
