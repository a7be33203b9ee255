"""Formats numbers of bytes as text."""

from __future__ import annotations


def format_bytes(count: float) -> str:
    """Return a number of bytes as text, in decimal units: 253113024 → "253.1 MB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"
