"""What others wrote, as a terminal gets it (leadout_build.terminal)."""

from __future__ import annotations

import io

from leadout_build.cli.terminal import printable, shown_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


HOSTILE = "a\tb\n\x1b]0;title\x07\x9b2J\r\x7f"


def test_a_name_cannot_move_the_cursor() -> None:
    assert printable(HOSTILE) == "a\\tb\n\\x1b]0;title\\x07\\x9b2J\\r\\x7f"


def test_a_models_text_cannot_either_but_a_pipe_gets_it_as_it_is() -> None:
    assert shown_text(HOSTILE, Terminal()) == "a\tb\n\\x1b]0;title\\x07\\x9b2J\\r\\x7f"
    assert shown_text(HOSTILE, io.StringIO()) == HOSTILE
    family = "👩\u200d👧 é\u00a0日"
    assert shown_text(family, Terminal()) == family
