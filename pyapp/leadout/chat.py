"""Chat templates: they turn messages into the text that a model was trained to continue.

A template comes with the checkpoint and is as hostile as the rest of it. It never runs here,
because Python cannot stop what it has started, and an endless template would block everything. It
runs where it can be stopped: in a browser in a worker of its own (web/template/), in CPython in a
child process (chat_native.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from leadout.errors import ChatTemplateError, RequestError
from leadout.reasoning import CHANNEL_OPEN, without_thoughts
from leadout.tokenizer import Tokenizer

MAX_SOURCE_CHARS = 1 << 18  # the longest published templates have some 2**15
MAX_OUTPUT_CHARS = 1 << 22  # 16 for each of 262,144 tokens, the longest context
MAX_MESSAGE_DEPTH = 64  # tool calls have some 8
MAX_MS = 2000  # a chat of 1,000 turns takes some 100


@dataclass(frozen=True)
class Rendering:
    """A template and what it may use. `Rendering` in web/template/runner.js.

    Attributes:
        source: the template's Jinja source.
        names: plain data by name.
        max_chars: of the text.
        max_ms: after so long it is ended.
    """

    source: str
    names: dict[str, object]
    max_chars: int = MAX_OUTPUT_CHARS
    max_ms: int = MAX_MS


class TemplateRunner(Protocol):
    """Where templates run."""

    def prepare(self) -> None:
        """Begin with what a rendering takes: there will be one."""

    async def render(self, rendering: Rendering) -> str:
        """Return the template's text.

        Raises:
            ChatTemplateError: the template is invalid, refused (`raise_exception`), failed, or
                went past a limit. The next rendering is not touched by that.
        """


class ChatTemplate:
    """A chat template and where it runs.

    Args:
        source: the template's Jinja2 source.
        bos_token: what `bos_token` stands for in it, such as "<bos>".
        eos_token: what `eos_token` stands for in it.
        runner: runs it.

    Raises:
        ChatTemplateError: the source is too long.
    """

    def __init__(self, source: str, bos_token: str, eos_token: str, runner: TemplateRunner) -> None:
        if len(source) > MAX_SOURCE_CHARS:
            raise ChatTemplateError(
                f"the chat template has {len(source):,} characters; at most "
                f"{MAX_SOURCE_CHARS:,} are taken",
                found=len(source),
                limit=MAX_SOURCE_CHARS,
            )
        self._source = source
        self._special_tokens = {"bos_token": bos_token, "eos_token": eos_token}
        self._runner = runner

    def knows(self, name: str) -> bool:
        """Whether the template asks for a name, such as "tools"."""
        return re.search(rf"\b{name}\b", self._source) is not None

    async def render(
        self,
        messages: Sequence[Mapping[str, object]],
        add_generation_prompt: bool = True,
        *,
        enable_thinking: bool = False,
        **kwargs: object,
    ) -> str:
        """Return the prompt's text.

        Args:
            messages: {"role": …, "content": …} each, in the order of the conversation. Further
                keys reach the template as they are.
            add_generation_prompt: end with the beginning of the model's turn.
            enable_thinking: ask the model to reason first, where the template knows how to.
            kwargs: further names for the template, such as `tools`.

        Raises:
            RequestError: a message has no role or no text.
            ChatTemplateError: the template refused the messages (`raise_exception`), failed, or
                went past a limit; with the line in the template.
        """
        names: dict[str, object] = {
            "tools": None,  # asked for with `is none` by some templates
            "documents": None,
            **self._special_tokens,
            "enable_thinking": enable_thinking,
            **kwargs,
            "messages": _checked_messages(messages),
            "add_generation_prompt": add_generation_prompt,
        }
        return await self._runner.render(Rendering(self._source, names))

    async def prompt_ids(
        self,
        tokenizer: Tokenizer,
        messages: Sequence[Mapping[str, object]],
        add_generation_prompt: bool = True,
        *,
        enable_thinking: bool = False,
        **kwargs: object,
    ) -> list[int]:
        """Return the prompt's ids.

        The template alone decides about <bos>: nothing is added while encoding, so that a
        template which writes it does not get a second one. What the model thought in earlier turns
        is left out, whether or not the template would do so (see `reasoning.without_thoughts`).

        Args:
            tokenizer: encodes the text.
            messages: see `render`, as for the others.

        Raises:
            RequestError, ChatTemplateError: see `render`.
        """
        if tokenizer.id_of(CHANNEL_OPEN) is not None:
            messages = without_thoughts(_checked_messages(messages))
        text = await self.render(
            messages, add_generation_prompt, enable_thinking=enable_thinking, **kwargs
        )
        return tokenizer.encode(text, add_special_tokens=False)


def _checked_messages(messages: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    if isinstance(messages, str) or not isinstance(messages, Sequence) or not messages:
        raise RequestError("messages must be a list with at least one message")
    for number, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise RequestError(
                f"message {number} is {type(message).__name__}, not an object with role and content"
            )
        for key in ("role", "content"):
            value = message.get(key)
            if not isinstance(value, str) or (key == "role" and not value):
                raise RequestError(f"message {number} has no {key}, or one that is not a string")
        if not _is_shallow(message, MAX_MESSAGE_DEPTH):
            raise RequestError(
                f"message {number} is nested deeper than {MAX_MESSAGE_DEPTH} levels; flatten it"
            )
    return [dict(message) for message in messages]


def _is_shallow(value: object, depth: int) -> bool:
    if isinstance(value, Mapping):
        return depth > 0 and all(_is_shallow(item, depth - 1) for item in value.values())
    if isinstance(value, list | tuple):
        return depth > 0 and all(_is_shallow(item, depth - 1) for item in value)
    return True
