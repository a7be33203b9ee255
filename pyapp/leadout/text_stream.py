"""From a stream of ids to text that is final: whole characters, nothing of a stop string.

Each pushed id passes through three stages:

1. window: ids whose text may still change wait here: a character whose bytes are not all there,
   or a run of byte tokens, which is decoded as a whole (see `Tokenizer.decode`);
2. matching: characters that are certain, but may be the beginning of a stop string;
3. text: characters handed out. They never change again.

Only the window and the token before it are decoded, never the whole text, so an id costs the
same at any length; only within an unfinished character or run is more than one id decoded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from leadout.errors import RequestError
from leadout.tokenizer import BYTE_TOKENS, Tokenizer

_REPLACEMENT = "\ufffd"

# A character is at most 4 bytes long, so its beginning is at most 3; a decoder shows them as one
# U+FFFD or as one each.
_MAX_UNFINISHED = 3

_FIRST_CONTINUATION_BYTE, _LAST_CONTINUATION_BYTE = 0x80, 0xBF


def byte_tokens_of(tokenizer: Tokenizer) -> dict[int, int]:
    """Return the byte that each byte token spells, by the token's id.

    Asks for 256 ids, so make it once per tokenizer where asking is slow (across a language
    boundary), and hand it to every `TextStream`.
    """
    ids = ((tokenizer.id_of(token), byte) for byte, token in enumerate(BYTE_TOKENS))
    return {id_: byte for id_, byte in ids if id_ is not None}


class TextStream:
    """The text of one completion, while its ids arrive.

    What has been handed out, joined, is at any time a prefix of `tokenizer.decode` of all ids,
    cut before the end-of-sequence id and at the first stop string; after `flush` it is all of it.
    The chunks in which ids are pushed make no difference.

    Args:
        tokenizer: decodes.
        stop: strings that end the text and are not part of it. The one that is complete first
            counts; of several complete at the same character, the longest.
        eos_ids: ids that end the text; they are not part of it.
        byte_tokens: what `byte_tokens_of(tokenizer)` returns, if at hand.

    Attributes:
        stopped: an end-of-sequence id or a stop string has come. Further ids are ignored.
        stop_string: the stop string that ended the text, if one did.
        tokens: the ids that the text is made of. After a stop string: those whose text begins
            before the cut, so decoding them gives the text and at most the rest of one token.

    Raises:
        RequestError: a stop string is empty or no string.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        stop: Sequence[str] = (),
        eos_ids: Collection[int] = (),
        byte_tokens: dict[int, int] | None = None,
    ) -> None:
        self.stopped = False
        self.stop_string: str | None = None
        self.tokens: list[int] = []
        self._tokenizer = tokenizer
        self._eos_ids = frozenset(eos_ids)
        self._byte_tokens = byte_tokens_of(tokenizer) if byte_tokens is None else byte_tokens
        self._matchers = [_StopMatcher(string) for string in _checked_stop(stop)]
        self._is_flushed = False

        # Stage 1. `_window` starts with `_num_context_tokens` ids whose text is certain (decoders
        # may treat a text's first token specially, so the window never starts with a new one).
        self._window: list[int] = []
        self._num_context_tokens = 0
        self._num_certain_chars = 0  # of the window's text, handed to stage 2
        self._is_in_byte_run = False

        self._token_starts: list[int] = []  # where the text of each of `tokens` begins
        self._num_chars = 0  # certain so far: stages 2 and 3
        self._matching = ""  # stage 2
        self._released: list[str] = []  # stage 3

    @property
    def text(self) -> str:
        """All text handed out so far."""
        if len(self._released) > 1:
            self._released = ["".join(self._released)]
        return self._released[0] if self._released else ""

    def push(self, ids: Iterable[int]) -> str:
        """Take the next ids; return the text that became final through them (often "")."""
        assert not self._is_flushed, "push after flush"
        return "".join(self._push_one(id_) for id_ in ids)

    def flush(self) -> str:
        """Return the rest of the text when no more ids will come.

        What waited for the rest of a stop string is text after all. An unfinished character
        comes as U+FFFD, as `Tokenizer.decode` gives it.
        """
        self._is_flushed = True
        if self.stopped:
            return ""
        return self._take_certain(self._tokenizer.decode(self._window)) + self._release_all()

    # ---- stage 1: ids to certain characters -------------------------------------------------

    def _push_one(self, id_: int) -> str:
        if self.stopped:
            return ""
        if id_ in self._eos_ids:
            delta = self._take_certain(self._tokenizer.decode(self._window))
            if not self.stopped:
                delta += self._release_all()
                self.stopped = True
            return delta

        self.tokens.append(id_)
        self._token_starts.append(self._start_of(id_))
        self._window.append(id_)
        if id_ in self._byte_tokens:
            self._is_in_byte_run = True
            return ""
        # A token without text does not end a run of bytes: decoding leaves it out first.
        if self._is_in_byte_run and not self._tokenizer.decode([id_]):
            return ""
        was_in_byte_run, self._is_in_byte_run = self._is_in_byte_run, False

        text = self._tokenizer.decode(self._window)
        num_unfinished = _num_unfinished_chars(text, self._num_certain_chars)
        delta = self._take_certain(text[: len(text) - num_unfinished])
        if was_in_byte_run and not self.stopped:
            self._place_last_token(len(text))
        if num_unfinished == 0:
            self._start_next_window(has_new_text=len(text) > self._num_context_chars())
        return delta
