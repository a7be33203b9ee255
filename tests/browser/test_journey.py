"""The whole journey on the built site with real weights: open, load, write, stream, stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from browsers import Browsers
from pages import Chat

from leadout_build.serving.headless import serving

#: Software rendering compiles some forty pipelines first.
LOAD_TIMEOUT_MS = 300_000

#: Of one token, on a busy machine without a GPU.
TOKEN_TIMEOUT_S = 60

PROMPT = "The capital of France is"

#: What Gemma 3 270M goes on with at temperature 0, as transformers has it.
CONTINUATION = " the capital of the country of France. It is the largest city in France"


@pytest.fixture(scope="module")
def chat(site: Path, browsers: Browsers, gemma3_gguf: Path) -> Iterator[Chat]:
    """The page with the model loaded, at temperature 0."""
    with serving(site, "gemma3-270m") as url, browsers.page(url) as page:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        chat = Chat(page)
        page.get_by_text("of 247 MB").wait_for(timeout=LOAD_TIMEOUT_MS)
        chat.wait_for_state("ready", LOAD_TIMEOUT_MS)
        page.get_by_text("Settings", exact=True).click()
        page.get_by_label("Temperature").fill("0")
        yield chat
        assert errors == []


def wait_for_text(chat: Chat, num_words: int) -> list[str]:
    """Wait until so many words follow the prompt; return every text seen on the way."""
    seen = [chat.text_area.input_value()]
    deadline = time.monotonic() + TOKEN_TIMEOUT_S * num_words
    while len(seen[-1].removeprefix(PROMPT).split()) < num_words:
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
        text = chat.text_area.input_value()
        if text != seen[-1]:
            seen.append(text)
    return seen


def test_text_streams_in_and_stop_ends_it_at_once(chat: Chat) -> None:
    chat.write(PROMPT)
    seen = wait_for_text(chat, 5)
    assert len(seen) >= 4, "the text came in pieces"
    assert all(later.startswith(earlier) for earlier, later in pairwise(seen))
    assert (PROMPT + CONTINUATION).startswith(seen[-1])

    started = time.monotonic()
    chat.stop.click()
    chat.wait_for_state("ready")
    assert time.monotonic() - started < 2
    stopped_at = chat.text_area.input_value()
    time.sleep(3)
    assert chat.text_area.input_value() == stopped_at

    assert "tokens/s" in chat.figure("speed")
    assert chat.figure("first_token").endswith(("ms", "s"))
    assert int(chat.figure("tokens")) >= 4
    assert "MB" in chat.figure("memory")
    assert chat.figure("adapter") not in ("", "–")


def test_after_a_stop_the_text_can_go_on(chat: Chat) -> None:
    before = chat.text_area.input_value()
    num_words = len(before.removeprefix(PROMPT).split())
    chat.send.click()
    seen = wait_for_text(chat, num_words + 1)
    assert seen[-1].startswith(before)
    chat.stop.click()
    chat.wait_for_state("ready")
