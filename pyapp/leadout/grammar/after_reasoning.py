"""A constraint that begins behind the model's reasoning, if there is some.

    start      the answer may begin, or a thought (the id of <|channel>)
    thinking   any token, but none that ends all: an answer is still to come
    answer     what the grammar allows; reached by the answer's first token, or by <channel|>

Where the prompt leaves a thought open, thinking is where it begins.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from leadout.grammar.matcher import TokenMatcher


class AfterReasoning:
    """A `TokenMatcher` around another one, which sees the answer's tokens alone.

    Args:
        answer: at its beginning; closed with this one.
        open_id, close_id: of the marks around a thought.
        stop_ids: tokens that end an answer.
        vocab_size: of the model's logits.
        is_thinking: whether the prompt leaves a thought open.

    Attributes:
        tokens: the ids accepted so far, of thought and answer.
    """

    def __init__(
        self,
        answer: TokenMatcher,
        open_id: int,
        close_id: int,
        stop_ids: Collection[int],
        vocab_size: int,
        is_thinking: bool = False,
    ) -> None:
        self.tokens: list[int] = []
        self._answer = answer
        self._marks = (open_id, close_id)
        self._stop_ids = frozenset(stop_ids)
        self._vocab_size = vocab_size
        self._began_thinking = is_thinking
        # How many of `tokens` came before the answer; None while it has not begun.
        self._num_before: int | None = None

    @property
    def is_finished(self) -> bool:
        """Whether a token that ends the answer was accepted."""
        return self._answer.is_finished

    @property
    def is_thinking(self) -> bool:
        """Whether the place lies in a thought, where all but an end is allowed."""
        return self._num_before is None and (self._began_thinking or bool(self.tokens))

    async def mask(self) -> bytes:
        """Return the mask of the next position; see `Matcher.mask`."""
        if self.is_thinking:
            return self._free_mask()
        mask = await self._answer.mask()
        return mask if self.tokens else _with(mask, self._marks[0])

    async def masks_for(self, drafts: Sequence[int]) -> list[bytes]:
        """Return the masks for the rows of a verify pass; see `Matcher.masks_for`."""
        rows: list[bytes] = []
        at = 0
        # One by one as far as drafts may belong to a thought, the answer's in one go.
        while self._num_before is None:
            rows.append(await self.mask())
            if at == len(drafts) or not self.accept(drafts[at]):
                break
            at += 1
        else:
            rows += await self._answer.masks_for(drafts[at:])
        self.rollback(at)
        return rows

    def accept(self, token: int) -> bool:
        """Take the next token; return whether it was allowed. If not, nothing has changed."""
        open_id, close_id = self._marks
        if self._num_before is not None or (not self.is_thinking and token != open_id):
            if not self._answer.accept(token):
                return False
            if self._num_before is None:
                self._num_before = len(self.tokens)
        elif token in self._stop_ids or not 0 <= token < self._vocab_size:
            return False
        elif self.is_thinking and token == close_id:
            self._num_before = len(self.tokens) + 1
        self.tokens.append(token)
        return True

    def rollback(self, num_tokens: int) -> None:
        """Take back the last tokens, at most all of `tokens`."""
        left = len(self.tokens) - num_tokens
        assert left >= 0, (num_tokens, len(self.tokens))
        if self._num_before is not None:
            self._answer.rollback(min(num_tokens, len(self.tokens) - self._num_before))
            # The answer has begun with its first token, or with the mark before it.
            begins_by_mark = (
                self._num_before > 0 and self.tokens[self._num_before - 1] in self._marks
            )
            if left < self._num_before + (not begins_by_mark):
                self._num_before = None
        del self.tokens[left:]

    def forced(self) -> list[int]:
        """Return ids of the text that must come next; see `Matcher.forced`."""
        return [] if self._num_before is None else self._answer.forced()

    async def fork(self) -> AfterReasoning:
        """Return a matcher at the same place that goes its own way; close it as well."""
        twin = AfterReasoning(
            await self._answer.fork(),
            *self._marks,
            self._stop_ids,
            self._vocab_size,
            self._began_thinking,
        )
        twin.tokens = list(self.tokens)
        twin._num_before = self._num_before
        return twin

    def close(self) -> None:
        """Free it."""
        self._answer.close()

    def _free_mask(self) -> bytes:
        mask = bytearray(4 * -(-self._vocab_size // 32))
        mask[: self._vocab_size // 8] = b"\xff" * (self._vocab_size // 8)
        if self._vocab_size % 8:
            mask[self._vocab_size // 8] = (1 << self._vocab_size % 8) - 1
        for id_ in self._stop_ids:
            mask[id_ // 8] &= ~(1 << id_ % 8) & 0xFF
        return bytes(mask)


def _with(mask: bytes, id_: int) -> bytes:
    changed = bytearray(mask)
    changed[id_ // 8] |= 1 << id_ % 8
    return bytes(changed)
