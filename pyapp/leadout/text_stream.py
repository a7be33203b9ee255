"""From a stream of ids to text that is final: whole characters, nothing of a stop string.

Each pushed id passes through three stages:

1. window: the last few ids, decoded together. Text that later ids could still change waits
   here: a run of byte tokens, which is decoded as a whole (see `Tokenizer.decode`), or, with
   tokenizers whose ordinary tokens hold parts of characters, an unfinished last character.
2. matching: characters that are certain, but may be the beginning of a stop string.
3. released: characters handed out. They never change again.

Never the whole text is decoded, only the window, so an id costs the same at any length.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence

from leadout.errors import RequestError
from leadout.tokenizer import BYTE_TOKENS, Tokenizer

_REPLACEMENT = "\ufffd"
_CONTINUATION_BYTES = range(0x80, 0xC0)

# When the window has grown to the one, its last ids are kept, as many as the other says, as the
# context of what follows. The beginning of a character has at most 3 bytes, so it lies within
# the last 3 ids; one more lets a decoder that treats the first token specially have its way.
_MAX_WINDOW_TOKENS = 16
_NUM_CONTEXT_TOKENS = 4


def byte_tokens_of(tokenizer: Tokenizer) -> dict[int, int]:
    """Return the byte that each byte token spells, by the token's id.

    It asks for 256 ids: where asking is slow (across a language boundary), call it once per
    tokenizer and hand the result to every `TextStream`.
    """
    ids = ((tokenizer.id_of(token), byte) for byte, token in enumerate(BYTE_TOKENS))
    return {id_: byte for id_, byte in ids if id_ is not None}


class TextStream:
    """The text of one completion, while its ids arrive.

    The texts handed out, joined, are at any time a beginning of `tokenizer.decode` of all ids,
    cut before the first end-of-sequence id and before the first stop string; after `flush` they
    are all of it. In which portions ids are pushed makes no difference.

    Args:
        tokenizer: decodes.
        stop: strings that end the text and are not part of it. The one that is complete first
            counts; of several that are complete at the same character, the longest.
        eos_ids: ids that end the text; they are not part of it.
        byte_tokens: what `byte_tokens_of(tokenizer)` returns, if it is at hand.

    Attributes:
        stopped: whether an end-of-sequence id or a stop string has come. Later ids are ignored.
        stop_string: the stop string that ended the text, if one did.
        tokens: the ids that the text is made of. After a stop string they are those whose own
            text begins before the cut, so decoded they give the text and, where a token reaches
            over the cut, the rest of that token. An end-of-sequence id is never among them.

    Raises:
        RequestError: a stop string is empty or not a string.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        stop: Sequence[str] = (),
        eos_ids: Collection[int] = (),
        byte_tokens: Mapping[int, int] | None = None,
    ) -> None:
        self.stopped = False
        self.stop_string: str | None = None
        self.tokens: list[int] = []
        self._token_starts: list[int] = []  # where the text of each of `tokens` begins
        self._tokenizer = tokenizer
        self._eos_ids = frozenset(eos_ids)
        self._byte_tokens = byte_tokens_of(tokenizer) if byte_tokens is None else byte_tokens
        self._is_flushed = False

        self._window: list[int] = []
        self._window_text = ""
        self._num_certain_chars = 0  # of the window's text
        self._is_in_byte_run = False
        self._num_run_chars = 0  # characters that bytes of the run have begun

        self._matchers = [_StopMatcher(string) for string in _checked_stop(stop)]
        self._num_chars = 0  # that have reached the second stage
        self._matching = ""
        self._released: list[str] = []

    @property
    def text(self) -> str:
        """All text handed out so far."""
        self._released = ["".join(self._released)]
        return self._released[0]

    @property
    def is_waiting(self) -> bool:
        """Whether there are tokens whose text may yet be cut off by a stop string."""
        is_undecided = self._is_in_byte_run or self._num_certain_chars < len(self._window_text)
        return bool(self._matchers) and (is_undecided or self._matching != "")

    def push(self, ids: Iterable[int]) -> str:
        """Take the next ids; return the text that became final through them, often none."""
        assert not self._is_flushed, "push after flush"
        return "".join([self._push_one(id_) for id_ in ids])

    def flush(self) -> str:
        """Return the rest of the text, when no more ids will come.

        What waited for the rest of a stop string is text after all, and an unfinished character
        comes as `Tokenizer.decode` gives it, as U+FFFD.
        """
        self._is_flushed = True
        return self._end()

    def _push_one(self, id_: int) -> str:
        if self.stopped:
            return ""
        if id_ in self._eos_ids:
            delta = self._end()
            self.stopped = True
            return delta
        if id_ in self._byte_tokens:
            self._add_byte(id_)
            return ""
        if not self._is_in_byte_run:
            return self._add(id_)
        if not self._has_text(id_):
            # Such a token does not end the run: decoding leaves it out before all else.
            self._record(id_, self._num_chars + self._num_run_chars)
            return ""
        delta = self._end_byte_run()
        return delta if self.stopped else delta + self._add(id_)

    def _end(self) -> str:
        """Take all that waits as text."""
        if self.stopped:
            return ""
        if self._is_in_byte_run:
            self._decode_window()
        delta = self._take_certain(num_unfinished=0)
        if not self.stopped:
            delta += self._release(len(self._matching))
        return delta

    # ---- from the first stage to the second --------------------------------------------------

    def _record(self, id_: int, start: int) -> None:
        self.tokens.append(id_)
        self._token_starts.append(start)

    def _decode_window(self) -> None:
        self._window_text = self._tokenizer.decode(self._window)

    def _add_byte(self, id_: int) -> None:
        if not self._is_in_byte_run:
            self._is_in_byte_run, self._num_run_chars = True, 0
        start = self._num_chars + self._num_run_chars
        if self._byte_tokens[id_] not in _CONTINUATION_BYTES:
            self._num_run_chars += 1
        elif self._num_run_chars:
            start -= 1
        self._record(id_, start)
        self._window.append(id_)

    def _end_byte_run(self) -> str:
        self._is_in_byte_run = False
        self._decode_window()
        return self._take_certain(num_unfinished=0)

    def _add(self, id_: int) -> str:
        """Take an id that is no byte token and follows none."""
        self._record(id_, self._num_chars)
        text_before = self._window_text
        self._window.append(id_)
        self._decode_window()
        if self._window_text == text_before and not self._has_text(id_):
            # It would only push others out of the window.
            self._window.pop()
            return ""
        delta = self._take_certain(self._num_unfinished_chars())
        if len(self._window) >= _MAX_WINDOW_TOKENS:
            del self._window[:-_NUM_CONTEXT_TOKENS]
            self._decode_window()
            self._num_certain_chars = len(self._window_text) - self._num_unfinished_chars()
        return delta

    def _has_text(self, id_: int) -> bool:
        # Twice, because decoders may drop a text's first space.
        return self._tokenizer.decode([id_, id_]) != ""

    def _num_unfinished_chars(self) -> int:
        """Return how many characters at the window's end the next id could change: 1 or 0."""
        # Where there are byte tokens, only these hold parts of characters.
        return int(not self._byte_tokens and self._window_text.endswith(_REPLACEMENT))

    # ---- from the second stage to the third --------------------------------------------------

    def _take_certain(self, num_unfinished: int) -> str:
        """Pass on the window's certain characters; return what is released through them."""
        end = len(self._window_text) - num_unfinished
        chars = self._window_text[self._num_certain_chars : end]
        self._num_certain_chars = end
        if not self._matchers:
            self._num_chars += len(chars)
            self._matching += chars
            return self._release(len(self._matching))

        for char in chars:
            self._num_chars += 1
            self._matching += char
            complete = [matcher.string for matcher in self._matchers if matcher.advance(char)]
            if complete:
                return self._stop_at(max(complete, key=len))
        num_held = max(matcher.num_matched for matcher in self._matchers)
        return self._release(len(self._matching) - num_held)

    def _stop_at(self, string: str) -> str:
        self.stopped, self.stop_string = True, string
        num_kept = bisect_left(self._token_starts, self._num_chars - len(string))
        del self.tokens[num_kept:], self._token_starts[num_kept:]
        return self._release(len(self._matching) - len(string))

    def _release(self, num_chars: int) -> str:
        delta, self._matching = self._matching[:num_chars], self._matching[num_chars:]
        if delta:
            self._released.append(delta)
        return delta


class _StopMatcher:
    """Finds one string in a stream of characters, in constant time per character, amortised.

    Attributes:
        string: what is looked for.
        num_matched: the longest beginning of the string that the stream ends with, in characters.

    Source: Knuth, Morris, Pratt: Fast pattern matching in strings (1977).
    """

    def __init__(self, string: str) -> None:
        self.string = string
        self.num_matched = 0
        # _fallback[n]: the longest beginning of the string, shorter than n characters, that its
        # first n characters end with.
        self._fallback = [0, 0]
        for char in string[1:]:
            length = self._fallback[-1]
            while length and string[length] != char:
                length = self._fallback[length]
            self._fallback.append(length + (string[length] == char))

    def advance(self, char: str) -> bool:
        """Take the next character; return whether the string is complete with it."""
        while self.num_matched and self.string[self.num_matched] != char:
            self.num_matched = self._fallback[self.num_matched]
        self.num_matched += self.string[self.num_matched] == char
        return self.num_matched == len(self.string)


def _checked_stop(stop: Sequence[str]) -> Sequence[str]:
    if isinstance(stop, str):
        raise RequestError(f"stop is the string {stop[:40]!r}; give a list of strings")
    for string in stop:
        if not isinstance(string, str) or not string:
            raise RequestError(
                f"stop has {string!r}; give strings of one character or more, or leave it out"
            )
    return stop
