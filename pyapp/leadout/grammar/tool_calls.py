"""Calls of tools in what a model writes, parsed while it streams, and given back to it.

Calls are found by the ids of their marks: text that merely looks like one is text. Gemma's notation
becomes JSON piece by piece, as OpenAI's clients expect it of `tool_calls` deltas.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from leadout.errors import RequestError
from leadout.grammar.call_arguments import ArgumentsReader
from leadout.grammar.notation import QUOTE
from leadout.grammar.tools import CALL_CLOSE, CALL_OPEN
from leadout.shown import shown
from leadout.text_stream import TextStream
from leadout.tokenizer import Tokenizer

MAX_ARGUMENT_CHARS: Final = 1 << 18

_HEAD: Final = re.compile(r"\s*call:\s*([\w.-]{1,64})\s*(?=\{)", re.ASCII)

#: A longer beginning than this is none of a call.
_MAX_HEAD_CHARS: Final = 128


@dataclass(frozen=True)
class CallDelta:
    """A part of one call.

    Attributes:
        index: which call of the answer, from 0.
        id: the call's, in its first delta; else None.
        name: the function's, in its first delta; else None.
        arguments: more of the arguments' JSON.
    """

    index: int
    id: str | None
    name: str | None
    arguments: str

    def to_json(self) -> dict[str, object]:
        """Return an element of `delta.tool_calls` in a chunk."""
        if self.name is None:
            return {"index": self.index, "function": {"arguments": self.arguments}}
        return {
            "index": self.index,
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        }


def in_one_chunk(deltas: Iterable[CallDelta]) -> list[dict[str, object]]:
    """Return `delta.tool_calls` of a chunk: one element for each call, as OpenAI has it.

    LangChain loses the arguments of a call that has two elements in a chunk.
    """
    joined: dict[int, CallDelta] = {}
    for delta in deltas:
        first = joined.setdefault(delta.index, delta)
        if first is not delta:
            joined[delta.index] = replace(first, arguments=first.arguments + delta.arguments)
    return [delta.to_json() for delta in joined.values()]


def call_ids(prompt: Sequence[int]) -> Callable[[], str]:
    """Return what makes the ids of the calls behind a prompt, one after the other.

    They are the same when an answer is made once more, as after a lost device, and others behind
    another prompt, so that no two calls of a conversation have one id.
    """
    digest = hashlib.sha256(struct.pack(f"<{len(prompt)}I", *prompt)).hexdigest()[:20]
    numbers = itertools.count()
    return lambda: f"call_{digest}{next(numbers):04d}"


class CallStream:
    """The calls of one answer, while its ids arrive, and the ids that belong to none.

    Args:
        tokenizer: the model's; it may lack the marks, and then there are no calls.
        byte_tokens: what `byte_tokens_of(tokenizer)` returns, if it is at hand.
        make_id: makes the ids of calls; see `call_ids`.

    Attributes:
        calls: all calls so far, as in `message.tool_calls`.
        num_malformed: calls whose arguments had to be mended to be JSON.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        byte_tokens: Mapping[int, int] | None,
        make_id: Callable[[], str],
    ) -> None:
        self.calls: list[dict[str, Any]] = []
        self.num_malformed = 0
        self._tokenizer = tokenizer
        self._byte_tokens = byte_tokens
        self._make_id = make_id
        open_id, close_id = tokenizer.id_of(CALL_OPEN), tokenizer.id_of(CALL_CLOSE)
        has_marks = open_id is not None and close_id is not None
        self._open_id, self._close_id = (open_id, close_id) if has_marks else (None, None)
        self._quote_id = tokenizer.id_of(QUOTE)
        self._ids: list[int] | None = None  # of the call that is open
        self._text: TextStream | None = None
        self._head: str | None = None  # before the name is known; then None
        self._arguments: ArgumentsReader | None = None

    @property
    def is_inside(self) -> bool:
        """Whether a call is open."""
        return self._ids is not None

    def push(self, ids: Iterable[int]) -> tuple[list[int], list[CallDelta]]:
        """Take the next ids of the answer, without those that end it.

        Returns:
            The ids that are text of the answer, and what became known of calls.
        """
        rest: list[int] = []
        deltas: list[CallDelta] = []
        for id_ in ids:
            if self._ids is None:
                if id_ == self._open_id:
                    self._begin()
                else:
                    rest.append(id_)
                continue
            if id_ in (self._open_id, self._close_id):
                self._end(rest, deltas)
                if id_ == self._open_id:
                    self._begin()
                continue
            self._ids.append(id_)
            assert self._text is not None
            if id_ == self._quote_id:
                self._take(self._text.flush(), deltas)
                self._text = self._new_text()
                self._take(QUOTE, deltas)
            else:
                self._take(self._text.push([id_]), deltas)
        return rest, deltas

    def flush(self) -> tuple[list[int], list[CallDelta]]:
        """Return the rest, when no more ids will come: an open call is closed."""
        rest: list[int] = []
        deltas: list[CallDelta] = []
        if self._ids is not None:
            self._end(rest, deltas)
        return rest, deltas

    def _new_text(self) -> TextStream:
        return TextStream(self._tokenizer, byte_tokens=self._byte_tokens)

    def _begin(self) -> None:
        self._ids = []
        self._text = self._new_text()
        self._head = ""
        self._arguments = None

    def _take(self, text: str, deltas: list[CallDelta]) -> None:
        if self._head is not None:
            self._head += text
            match = _HEAD.match(self._head)
            if match is None:
                return
            text, self._head = self._head[match.end() :], None
            self._arguments = ArgumentsReader()
            function = {"name": match[1], "arguments": ""}
            call = {"id": self._make_id(), "type": "function", "function": function}
            self.calls.append(call)
            deltas.append(CallDelta(len(self.calls) - 1, call["id"], match[1], ""))  # type: ignore[arg-type]
        assert self._arguments is not None
        self._tell(self._arguments.push(text), deltas)

    def _end(self, rest: list[int], deltas: list[CallDelta]) -> None:
        assert self._ids is not None
        assert self._text is not None
        self._take(self._text.flush(), deltas)
        if self._arguments is not None:
            self._tell(self._arguments.close(), deltas)
            self.num_malformed += self._arguments.is_mended
        else:
            # No call after all: its text belongs to the answer.
            rest += self._ids
        self._ids, self._text, self._head, self._arguments = None, None, None, None

    def _tell(self, more: str, deltas: list[CallDelta]) -> None:
        if more:
            self.calls[-1]["function"]["arguments"] += more
            deltas.append(CallDelta(len(self.calls) - 1, None, None, more))


# ---- back to the model -----------------------------------------------------------------------


def messages_for_template(
    messages: Sequence[Mapping[str, object]],
) -> list[Mapping[str, object]]:
    """Return messages as chat templates take calls and their results.

    A call's arguments become an object (OpenAI's are JSON in text), an assistant's missing content
    becomes "", and a tool's message gets the name of its function beside the id of its call.

    Args:
        messages: as in a request; those without calls come back as they are.

    Raises:
        RequestError: calls are not as OpenAI has them, their arguments are not a JSON object, or a
            tool's message answers none of the calls before it.
    """
    names: dict[str, str] = {}
    found: list[Mapping[str, object]] = []
    for number, message in enumerate(messages):
        where = f"message {number}"
        if not isinstance(message, Mapping):
            found.append(message)  # refused by the template's own check
        elif message.get("role") in ("assistant", "model") and message.get("tool_calls"):
            calls = _checked_calls(message["tool_calls"], where)
            names.update({call["id"]: call["function"]["name"] for call in calls})
            content = message.get("content")
            found.append(
                {**message, "content": "" if content is None else content, "tool_calls": calls}
            )
        elif message.get("role") == "tool":
            id_ = message.get("tool_call_id")
            if not isinstance(id_, str) or id_ not in names:
                raise RequestError(
                    f"{where} has tool_call_id {shown(id_)}, which no call before it has"
                )
            found.append({**message, "name": names[id_]})
        else:
            found.append(message)
    return found


def _checked_calls(calls: object, where: str) -> list[dict[str, Any]]:
    if not isinstance(calls, Sequence) or isinstance(calls, str):
        raise RequestError(f"{where}: tool_calls is a {type(calls).__name__}; wanted a list")
    found = []
    for call in calls:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(call, Mapping) or not isinstance(function, Mapping):
            raise RequestError(f"{where} has a tool call without a function")
        id_, name = call.get("id"), function.get("name")
        if not isinstance(id_, str) or not isinstance(name, str) or not id_ or not name:
            raise RequestError(f"{where} has a tool call without an id or a name")
        arguments = function.get("arguments", "{}")
        if isinstance(arguments, str):
            if len(arguments) > MAX_ARGUMENT_CHARS:
                raise RequestError(
                    f"{where}: the arguments of {name!r} have {len(arguments):,} characters; at "
                    f"most {MAX_ARGUMENT_CHARS:,} are taken"
                )
            try:
                arguments = json.loads(arguments or "{}")
            except (ValueError, RecursionError) as error:
                raise RequestError(f"{where}: the arguments of {name!r} are not JSON") from error
        if not isinstance(arguments, Mapping):
            raise RequestError(f"{where}: the arguments of {name!r} are not an object")
        function = {**function, "name": name, "arguments": dict(arguments)}
        found.append({**call, "id": id_, "type": "function", "function": function})
    return found
