"""Chat templates in a child process: what they may take, and that the next one is not touched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hostile_templates import BOMBS, LONE_BOMBS
from leadout.chat import Rendering
from leadout.chat_native import ChildTemplates
from leadout.errors import ChatTemplateError, RequestError

NAMES: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "bos_token": "<bos>"}

#: Instead of `chat.MAX_MS`: what would go on for ever goes on for that long, too.
SHORT_MS = 300

#: For a child to begin and for what a busy machine takes, beside the template's own time.
STARTING_MS = 10_000


@pytest.fixture(scope="module")
def templates() -> Iterator[ChildTemplates]:
    templates = ChildTemplates()
    yield templates
    templates.close()


def render(templates: ChildTemplates, source: str, **limits: int) -> str:
    return asyncio.run(templates.render(Rendering(source, NAMES, **limits)))


def test_one_child_renders_all(templates: ChildTemplates) -> None:
    assert render(templates, "{{ bos_token }}é\ud800{{ messages[0].content }}") == "<bos>é\ud800Hi"
    child = templates._child
    assert child is not None
    with pytest.raises(ChatTemplateError, match="line 2: no") as e:
        render(templates, "a\n{{ raise_exception('no') }}")
    assert e.value.detail == {"line": 2}
    with pytest.raises(ChatTemplateError, match="line 1: Expected an expression"):
        render(templates, "{% if %}")
    assert render(templates, "{{ messages|length }}") == "1"
    assert templates._child is child


@pytest.mark.parametrize("what", [*BOMBS, *LONE_BOMBS])
def test_a_hostile_template_is_refused_or_ended(templates: ChildTemplates, what: str) -> None:
    started = time.monotonic()
    with pytest.raises(ChatTemplateError) as e:
        render(templates, BOMBS.get(what) or LONE_BOMBS[what], max_ms=SHORT_MS)
    assert 1000 * (time.monotonic() - started) < SHORT_MS + STARTING_MS
    assert len(e.value.message) < 1000
    assert "\n" not in e.value.message
    assert render(templates, "{{ messages[0].content }}") == "Hi"


def test_memory_is_limited_whatever_takes_it() -> None:
    templates = ChildTemplates()
    try:
        with pytest.raises(ChatTemplateError, match="memory"):
            render(templates, "{{ 'a'|center(3000000000) }}", max_ms=20_000)
        assert render(templates, "{{ 1 + 1 }}") == "2"
    finally:
        templates.close()


def test_a_child_that_somebody_ended_is_replaced(templates: ChildTemplates) -> None:
    render(templates, "a")
    child = templates._child
    assert child is not None
    child.kill()
    child.wait()
    assert render(templates, "b") == "b"


def test_what_is_no_plain_data_is_a_request_error(templates: ChildTemplates) -> None:
    names = {"messages": [{"role": "user", "content": "Hi", "image": object()}]}
    with pytest.raises(RequestError, match="plain data"):
        asyncio.run(templates.render(Rendering("a", names)))


def test_closing_ends_the_child_and_a_later_rendering_has_a_new_one() -> None:
    templates = ChildTemplates()
    templates.close()
    assert render(templates, "a") == "a"
    child = templates._child
    templates.close()
    assert child is not None
    assert child.returncode is not None
    assert render(templates, "b") == "b"
    templates.close()
