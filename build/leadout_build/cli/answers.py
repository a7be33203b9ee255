"""Prints the answers of `leadout generate` in the order of their prompts.

Several answers are generated at once. The first unfinished one is printed while it is generated.
The text of later answers is held back until it is their turn.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from leadout.errors import LeadoutError
from leadout_build.cli.terminal import printable, say_error, shown_text

#: The most characters of a prompt in the line above its answer.
_NAME_CHARS = 60


class Answers:
    """Prints answers, and the errors of those that failed.

    Args:
        model: the model's name on the command line.
        names: the prompts' names.
        is_json: print one JSON object per answer, with ids and figures.
        is_list: there may be several answers, so each gets a number. Otherwise there is one answer,
            and the command fails if it fails.
    """

    def __init__(self, model: str, names: Sequence[str], *, is_json: bool, is_list: bool) -> None:
        self._model, self._names = model, names
        self._is_json, self._is_list = is_json, is_list
        self._current = 0
        self._held: dict[int, list[tuple[str, str]]] = {}
        self._ended: dict[int, Mapping[str, Any] | LeadoutError] = {}
        self._failure: LeadoutError | None = None
        self._begin()

    def add(self, index: int, text: str, reasoning: str) -> None:
        """Add the next piece of an answer, or of the reasoning before it."""
        if index == self._current:
            self._print(text, reasoning)
        elif not self._is_json:
            self._held.setdefault(index, []).append((text, reasoning))

    def end(self, index: int, generated: Mapping[str, Any] | LeadoutError) -> None:
        """End an answer.

        Args:
            index: the index of the answer's prompt.
            generated: `Generated` of web/messages.js, or the error.
        """
        self._ended[index] = generated
        while self._current in self._ended:
            self._finish(self._ended.pop(self._current))
            self._current += 1
            self._begin()

    def close(self) -> int:
        """Return the exit code, after all answers have ended.

        Raises:
            LeadoutError: there was only one prompt, and it failed.
        """
        if self._failure is None:
            return 0
        if not self._is_list:
            raise self._failure
        return self._failure.exit_code

    def _begin(self) -> None:
        """Print what was held back of the answer that is now first."""
        if self._current == len(self._names) or self._is_json:
            return
        if self._is_list:
            name = printable(" ".join(self._names[self._current].split()))
            if len(name) > _NAME_CHARS:
                name = f"{name[: _NAME_CHARS - 1]}…"
            gap = "\n" if self._current else ""
            print(f"{gap}[{self._current + 1}/{len(self._names)}] {name}", flush=True)
        for text, reasoning in self._held.pop(self._current, ()):
            self._print(text, reasoning)

    def _finish(self, generated: Mapping[str, Any] | LeadoutError) -> None:
        index = {"index": self._current} if self._is_list else {}
        if isinstance(generated, LeadoutError):
            self._failure = self._failure or generated
            if not self._is_list:
                return
            sys.stdout.flush()
            name = type(generated).__name__
            say_error(f"prompt {self._current + 1}: {name}: {generated.message}")
            told: Mapping[str, Any] = {"error": generated.to_json()}
        else:
            told = generated
        if self._is_json:
            line = {"model": self._model, **index, **told}
            print(json.dumps(line, ensure_ascii=False), flush=True)
        elif told is generated:
            print(flush=True)

    def _print(self, text: str, reasoning: str) -> None:
        if self._is_json:
            return
        # Reasoning goes to stderr, so that a pipe gets only the answer.
        for stream, written in ((sys.stderr, reasoning), (sys.stdout, text)):
            stream.write(shown_text(written, stream))
            stream.flush()
