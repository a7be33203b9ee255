"""What is to be said of a file that was read: each thing once, with the places where it occurs."""

from __future__ import annotations

from dataclasses import dataclass, field

#: So many places are named.
_MOST_PLACES = 3

#: What stands in a message for what was found.
FOUND = "{found}"


@dataclass
class _Note:
    count: int = 0
    places: list[str] = field(default_factory=list)
    found: str = ""


@dataclass
class Notes:
    """Notes on one file, in the order in which they came up."""

    _notes: dict[str, _Note] = field(default_factory=dict)

    def add(self, message: str, place: str | int | None = None, found: str = "") -> None:
        """Note something.

        Args:
            message: a sentence, the same for all places; it ends with a full stop.
            place: the number of a line, or words for a place in JSON.
            found: what stands for `FOUND` in the message; that of the first place is told.
        """
        note = self._notes.setdefault(message, _Note(found=found))
        note.count += 1
        if place is not None and len(note.places) < _MOST_PLACES:
            note.places.append(str(place))

    def count(self, message: str) -> int:
        """Return how often something was noted."""
        return self._notes[message].count if message in self._notes else 0

    def texts(self) -> list[str]:
        """Return a line for each thing."""
        return [_text(message, note) for message, note in self._notes.items()]


def _text(message: str, note: _Note) -> str:
    told = note.found + (" (the first one)" if note.found and note.count > 1 else "")
    message = message.replace(FOUND, told)
    if not note.places:
        return message
    more = f" and {note.count - len(note.places):,} more" if note.count > len(note.places) else ""
    are_lines = all(place.isdigit() for place in note.places)
    word = "" if not are_lines else "Line " if note.count == 1 else "Lines "
    return f"{word}{', '.join(note.places)}{more}: {message}"
