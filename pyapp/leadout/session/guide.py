"""What keeps one answer to its grammar, as the loop uses it, and counts what that costs."""

from __future__ import annotations

import time
from collections.abc import Sequence

from leadout.errors import RequestError
from leadout.grammar.matcher import TokenMatcher

#: Forced ids that are tried first.
_FIRST_FORCED = 3


class Guide:
    """Says which ids may come next in one answer.

    Args:
        matcher: at the place that the answer has reached.
        kind: of the constraint, see `Constraint.kind`.
        has_ends: the vocabulary has tokens that end answers, so that one is allowed wherever an
            answer may end.

    Attributes:
        kind: as given.
        is_complete: the answer has ended: nothing may follow.
        num_masks: that were made.
        num_forced: ids that were given as drafts, because the grammar left no choice of text.
        num_forced_accepted: those of them that the model chose as well: it may spell the text with
            other tokens.
        host_ms: what the host took for all that, mostly while the device was busy.
    """

    def __init__(self, matcher: TokenMatcher, kind: str, *, has_ends: bool) -> None:
        self.kind = kind
        self._has_ends = has_ends
        self.is_complete = False
        self.num_masks = 0
        self.num_forced = 0
        self.num_forced_accepted = 0
        self._most_forced = _FIRST_FORCED
        self.host_ms = 0.0
        # Drafts of this pass behind which no token may follow, if any.
        self._last_drafts: list[int] | None = None
        self._num_under_way = 0
        self._is_closed = False
        self._matcher = matcher

    def forced(self, most: int, pending: Sequence[int] | None = None) -> list[int]:
        """Return ids of text that the grammar leaves no choice of: drafts that cost no drafting.

        Verifying them has a cost: where the model spells the text in another way, fewer are tried.

        Args:
            most: how many at most.
            pending: allowed drafts of a pass whose choices are not known yet. It is taken to bring
                all of them, and one more: the first id of the text, which is left out.
        """
        most = min(most, self._most_forced)
        if most <= 0 or self._is_closed:
            return []
        began = time.perf_counter()
        num_accepted = 0
        for token in pending or ():
            if not self._matcher.accept(token):
                break
            num_accepted += 1
        ids = self._matcher.forced()[0 if pending is None else 1 :][:most]
        if num_accepted:
            self._matcher.rollback(num_accepted)
        self._took(began)
        return ids

    async def masks_for(self, drafts: Sequence[int]) -> list[bytes]:
        """Return the masks of the next position, and behind each draft as far as these are allowed.

        None at all: nothing may follow, and the answer is complete.

        Raises:
            RequestError: something must follow, and no token begins it.
        """
        if self._is_closed:
            return []
        began = time.perf_counter()
        self._num_under_way += 1
        try:
            masks = await self._matcher.masks_for(drafts)
        finally:
            self._num_under_way -= 1
            self._free()
        # Nothing may follow where an answer is complete and has no token to end with; and where
        # the vocabulary lacks a character's bytes.
        num_found = len(masks)
        while masks and masks[-1] == bytes(len(masks[-1])):
            masks.pop()
        self._last_drafts = list(drafts[: len(masks)]) if len(masks) < num_found else None
        if num_found and not masks and self._has_ends:
            raise RequestError(
                f"{self.kind}: no token of the model's begins what must come next, so the answer "
                "cannot go on; leave out characters that the model does not know."
            )
        self.num_masks += len(masks)
        self.is_complete = not masks
        self._took(began)
        return masks

    def take(self, tokens: Sequence[int], num_forced: int = 0) -> list[int]:
        """Take what was chosen; return it up to the answer's end.

        Args:
            tokens: of one pass.
            num_forced: how many of its drafts `forced` had said.

        Raises:
            RequestError: an id is not allowed, since settings rule out all that are.
        """
        if self._is_closed:
            return []
        began = time.perf_counter()
        taken: list[int] = []
        for token in tokens:
            if not self._matcher.accept(token):
                raise RequestError(
                    f"{self.kind}: the model suppresses every token that may come next, so the "
                    "answer cannot go on; loosen it."
                )
            taken.append(token)
            if taken == self._last_drafts:
                break  # the row behind chose among no tokens
            if self._matcher.is_finished:
                self.is_complete = True
                break
        if num_forced:
            accepted = min(max(len(taken) - 1, 0), num_forced)
            self.num_forced += num_forced
            self.num_forced_accepted += accepted
            is_whole = accepted == num_forced
            self._most_forced = 2 * self._most_forced if is_whole else accepted + 1
        self._took(began)
        return taken

    def close(self) -> None:
        """Free the matcher, once what is under way has ended."""
        self._is_closed = True
        self._free()

    def to_json(self) -> dict[str, object]:
        """Return what `stats.constraint` says."""
        return {
            "kind": self.kind,
            "masks": self.num_masks,
            "forced_tokens": self.num_forced,
            "accepted_forced_tokens": self.num_forced_accepted,
            "host_ms": round(self.host_ms, 3),
        }

    def _free(self) -> None:
        if self._is_closed and self._num_under_way == 0:
            self._matcher.close()

    def _took(self, began: float) -> None:
        self.host_ms += 1000 * (time.perf_counter() - began)
