"""Reasoning apart from the answer: Gemma 4's channels, split by id.

A model that was told to think writes

    <|channel>thought
    …<channel|>the answer

where the marks are tokens of their own. They are found by their ids, before anything is decoded:
text that merely looks like one is text. A tokenizer without them gives answers alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from leadout.grammar.tool_calls import CallDelta, CallStream, in_one_chunk
from leadout.id_stream import IdStream
from leadout.text_stream import TextStream
from leadout.tokenizer import Tokenizer

CHANNEL_OPEN = "<|channel>"
CHANNEL_CLOSE = "<channel|>"

#: What a channel begins with; it is no part of the thought.
_NAME = "thought\n"

#: Between two thoughts of one completion.
_BETWEEN = "\n\n"

#: An unfinished thought reaches to the end.
_THOUGHT = re.compile(rf"{re.escape(CHANNEL_OPEN)}.*?(?:{re.escape(CHANNEL_CLOSE)}|\Z)", re.DOTALL)


def without_thoughts(messages: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """Return messages whose model's turns hold the answers alone.

    Gemma 4 was trained on histories without earlier thoughts. Turns that call a tool keep theirs,
    because the model goes on thinking where it left off: those are the template's to sort out.

    Args:
        messages: as `ChatTemplate.render` takes them.
    """
    return [
        _without_thought(message)
        if message.get("role") in ("assistant", "model") and not message.get("tool_calls")
        else message
        for message in messages
    ]


def _without_thought(message: Mapping[str, object]) -> Mapping[str, object]:
    kept = {key: value for key, value in message.items() if key != "reasoning_content"}
    content = kept.get("content")
    if isinstance(content, str):
        kept["content"] = _THOUGHT.sub("", content)
    return kept


class ReasoningStream:
    """The answer and the reasoning of one completion, while its ids arrive.

    What is handed out is final, as `TextStream` has it; each of the two texts is handed out in
    order. In which portions ids are pushed makes no difference to the whole.

    Args:
        tokenizer: decodes; None collects ids without any text.
        stop: strings that end the answer and are not part of it; in a thought they are text.
        eos_ids: ids that end all, in a thought too; they are part of neither.
        byte_tokens: what `byte_tokens_of(tokenizer)` returns, if it is at hand.
        prompt_ids: what the ids go on from: its template may have opened a channel already.
        calls: finds calls of tools in the answer, where the request has some.

    Attributes:
        stopped: whether an end-of-sequence id or a stop string has come. Later ids are ignored.
        tokens: the ids of both, with the channels' marks, in order. After a stop string, those
            that began before the cut (see `TextStream.tokens`).

    Raises:
        RequestError: a stop string is empty or not a string.
    """

    def __init__(
        self,
        tokenizer: Tokenizer | None,
        stop: Sequence[str] = (),
        eos_ids: Collection[int] = (),
        byte_tokens: Mapping[int, int] | None = None,
        prompt_ids: Sequence[int] = (),
        calls: CallStream | None = None,
    ) -> None:
        assert tokenizer is not None or not stop, "stop strings need a tokenizer"
        self.stopped = False
        self.tokens: list[int] = []
        self._num_settled = 0
        self._tokenizer = tokenizer
        self._byte_tokens = byte_tokens
        self._eos_ids = frozenset(eos_ids)
        self._answer: TextStream | IdStream
        if tokenizer is None:
            self._answer = IdStream(eos_ids)
            open_id, close_id = None, None
        else:
            self._answer = TextStream(tokenizer, stop, eos_ids, byte_tokens)
            open_id, close_id = tokenizer.id_of(CHANNEL_OPEN), tokenizer.id_of(CHANNEL_CLOSE)
        has_channels = open_id is not None and close_id is not None
        self._open_id, self._close_id = (open_id, close_id) if has_channels else (None, None)
        self._calls = calls
        self._call_deltas: list[CallDelta] = []
        self._num_call_tokens = 0
        #: Where each id of the answer's text lies in `tokens`.
        self._answer_places: list[int] = []
        self._thought: _Thought | None = None
        self._is_first_of_thought = False
        self._reasoning: list[str] = []
        self._go_on_from(prompt_ids)

    @property
    def text(self) -> str:
        """All of the answer handed out so far."""
        return self._answer.text

    @property
    def reasoning(self) -> str:
        """All reasoning handed out so far."""
        self._reasoning = ["".join(self._reasoning)]
        return self._reasoning[0]

    @property
    def stop_string(self) -> str | None:
        """The stop string that ended the answer, if one did."""
        return self._answer.stop_string

    @property
    def num_reasoning_tokens(self) -> int:
        """How many of `tokens` are no part of the answer, the channels' marks among them."""
        return len(self.tokens) - len(self._answer.tokens) - self._num_call_tokens

    @property
    def is_thinking(self) -> bool:
        """Whether what comes belongs to a thought."""
        return self._thought is not None

    @property
    def calls(self) -> list[dict[str, object]] | None:
        """All calls so far; None where they are not looked for."""
        return None if self._calls is None else self._calls.calls

    def take_calls(self) -> list[dict[str, object]] | None:
        """Return what became known of calls since this was asked last; None: nothing."""
        deltas, self._call_deltas = self._call_deltas, []
        return in_one_chunk(deltas) or None

    @property
    def num_settled(self) -> int:
        """How many of `tokens` no stop string that comes can take back."""
        is_inside = self._calls is not None and self._calls.is_inside
        if not self._answer.is_waiting and not is_inside:
            self._num_settled = len(self.tokens)
        return min(self._num_settled, len(self.tokens))

    def push(self, ids: Iterable[int]) -> tuple[str, str]:
        """Take the next ids; return the text and the reasoning that became final through them."""
        return _joined([self._push_one(id_) for id_ in ids])

    def flush(self) -> tuple[str, str]:
        """Return the rest of both, when no more ids will come."""
        reasoning = self._end_thought()
        text = self._end_call() + self._answer.flush()
        self._follow_answer()
        return text, reasoning

    def _push_one(self, id_: int) -> tuple[str, str]:
        if self.stopped:
            return "", ""
        if id_ in self._eos_ids:
            reasoning = self._end_thought()
            text = self._end_call()
            text += self._answer.push([id_])
            self._follow_answer()
            return text, reasoning
        self.tokens.append(id_)
        if id_ == self._open_id:
            reasoning = self._end_thought()
            self._begin_thought()
            return "", reasoning
        if id_ == self._close_id:
            return "", self._end_thought()
        if self._thought is not None:
            return "", self._reason(self._thought.push([id_]))
        return self._push_to_answer(id_), ""

    def _push_to_answer(self, id_: int) -> str:
        if self._calls is None:
            return self._write([id_], len(self.tokens))
        self._num_call_tokens += 1
        rest, deltas = self._calls.push([id_])
        self._call_deltas += deltas
        # Either this id is text, or all since the mark of what was no call after all.
        end = len(self.tokens) - (rest != [id_])
        return self._write_rest(rest, end)

    def _end_call(self) -> str:
        """Close the call that is open; return its text, where it is none."""
        if self._calls is None:
            return ""
        rest, deltas = self._calls.flush()
        self._call_deltas += deltas
        return self._write_rest(rest, len(self.tokens))

    def _write_rest(self, rest: Sequence[int], end: int) -> str:
        self._num_call_tokens -= len(rest)
        return self._write(rest, end)

    def _write(self, ids: Sequence[int], end: int) -> str:
        """Push ids of the answer's text, which are the last of `tokens` before a place."""
        self._answer_places += range(end - len(ids), end)
        text = self._answer.push(ids)
        self._follow_answer()
        return text

    def _follow_answer(self) -> None:
        """Stop where the answer stopped, and keep no id from beyond its cut."""
        self.stopped = self._answer.stopped
        if self.stop_string is not None:
            num_kept = len(self._answer.tokens)
            places = [*self._answer_places, self._answer_places[-1] + 1]
            del self.tokens[places[num_kept] :]

    # ---- thoughts ------------------------------------------------------------------------------

    def _go_on_from(self, prompt_ids: Sequence[int]) -> None:
        """Be inside of the channel that the prompt leaves open, if it does."""
        for place in reversed(range(len(prompt_ids))):
            # The end of a turn closes what its text may have opened.
            if prompt_ids[place] == self._close_id or prompt_ids[place] in self._eos_ids:
                return
            if prompt_ids[place] == self._open_id:
                self._begin_thought().push(prompt_ids[place + 1 :])
                return

    def _begin_thought(self) -> _Thought:
        assert self._tokenizer is not None
        self._thought = _Thought(TextStream(self._tokenizer, byte_tokens=self._byte_tokens))
        self._is_first_of_thought = True
        return self._thought

    def _end_thought(self) -> str:
        if self._thought is None:
            return ""
        rest = self._reason(self._thought.flush())
        self._thought = None
        return rest

    def _reason(self, text: str) -> str:
        """Note reasoning that is handed out; return it."""
        if text and self._is_first_of_thought:
            self._is_first_of_thought = False
            if any(self._reasoning):
                text = _BETWEEN + text
        self._reasoning.append(text)
        return text


class _Thought:
    """The text of one channel, without the name that it begins with."""

    def __init__(self, stream: TextStream) -> None:
        self._stream = stream
        self._held: str | None = ""  # what may be the name; None when that is settled

    def push(self, ids: Sequence[int]) -> str:
        """Take the next ids; return the text that became final through them."""
        return self._without_name(self._stream.push(ids))

    def flush(self) -> str:
        """Return the rest; half a name is nothing."""
        return self._without_name(self._stream.flush())

    def _without_name(self, text: str) -> str:
        if self._held is None:
            return text
        self._held += text
        if _NAME.startswith(self._held) and self._held != _NAME:
            return ""
        rest, self._held = self._held.removeprefix(_NAME), None
        return rest


def _joined(pieces: Sequence[tuple[str, str]]) -> tuple[str, str]:
    return "".join([text for text, _ in pieces]), "".join([reasoning for _, reasoning in pieces])
