"""What a person's own Python does in one request: logits processors, and a drafter.

    processor(ids, logits)   changes the logits of one row before a token is chosen there
    drafter(ids)             proposes the ids that may come next

`ids` are all ids before the row: the prompt, what was generated, and in a verify pass the drafts
before it. A processor is called for every row of a pass, in their order, so it says the same with
drafts and without them as long as it goes by its arguments alone. It is called for drafts that are
not accepted, too, and may be called twice for the same row.

A drafter changes the speed, never an id: the model checks what it proposes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from leadout.errors import DrafterError, ProcessorError, RequestError
from leadout.logits import FLOAT_BYTES, as_row, find_numpy, to_bytes

#: Changes a row of logits in place and returns None, or returns another row.
LogitsProcessor = Callable[[list[int], Any], Any]

#: Returns ids that may come next, the likeliest one at each place; as many or as few as it likes.
DraftFunction = Callable[[list[int]], Iterable[int]]


class OwnCode:
    """Runs the functions of one request; whatever they raise ends that request alone.

    Args:
        vocab_size: how many logits a row has; ids lie below.
        processors: called one behind the other, each with what the one before left.
        drafter: what proposes ids, or None, where the model's own drafter does.

    Attributes:
        ids: all that are known of the request.
    """

    def __init__(
        self,
        vocab_size: int,
        processors: Sequence[LogitsProcessor] = (),
        drafter: DraftFunction | None = None,
    ) -> None:
        for function in (*processors, *([] if drafter is None else [drafter])):
            if not callable(function):
                kind = type(function).__name__
                raise RequestError(f"A processor or drafter is a {kind}; wanted a function.")
        self.ids: list[int] = []
        self._vocab_size = vocab_size
        self._processors = tuple(processors)
        self._drafter = drafter
        self._numpy = find_numpy() if processors else None

    @property
    def processes(self) -> bool:
        """Whether it changes logits."""
        return bool(self._processors)

    @property
    def drafts(self) -> bool:
        """Whether it proposes ids."""
        return self._drafter is not None

    def process(self, drafts: Sequence[int], logits: bytes) -> bytes:
        """Return the logits of the rows behind the last known id and behind each draft, processed.

        Args:
            drafts: ids behind the known ones.
            logits: [1 + drafts, vocab_size] float32.

        Raises:
            ProcessorError: a processor raised something, which is its cause, or gave back no row.
        """
        row_bytes = FLOAT_BYTES * self._vocab_size
        rows = [logits[at : at + row_bytes] for at in range(0, len(logits), row_bytes)]
        known = [*self.ids, *drafts]
        first = len(self.ids)
        return b"".join(
            self._process_row(known[: first + place], row) for place, row in enumerate(rows)
        )

    def propose(self, most: int) -> list[int]:
        """Return what the drafter proposes.

        Args:
            most: how many there is room for; more are left out.

        Raises:
            DrafterError: it raised something, which is its cause, or proposed what is no id.
        """
        if self._drafter is None or most <= 0:
            return []
        name = _name_of(self._drafter)
        try:
            proposed = [operator.index(id_) for id_ in self._drafter([*self.ids])][:most]
        except Exception as error:
            raise DrafterError(
                f"The drafter {name} failed: {type(error).__name__}: {error}", drafter=name
            ) from error
        for id_ in proposed:
            if not 0 <= id_ < self._vocab_size:
                raise DrafterError(
                    f"The drafter {name} proposed {id_}, which is outside of the vocabulary of "
                    f"{self._vocab_size}.",
                    drafter=name,
                    token=id_,
                )
        return proposed

    def _process_row(self, ids: list[int], data: bytes) -> bytes:
        for processor in self._processors:
            name, row = _name_of(processor), as_row(data, self._numpy)
            try:
                # A list of its own: what a function does with it reaches nobody else.
                changed = processor([*ids], row)
            except Exception as error:
                raise ProcessorError(
                    f"The logits processor {name} failed: {type(error).__name__}: {error}",
                    processor=name,
                ) from error
            data = to_bytes(
                row if changed is None else changed, self._vocab_size, name, self._numpy
            )
        return data


def _name_of(function: object) -> str:
    return str(getattr(function, "__name__", None) or type(function).__name__)
