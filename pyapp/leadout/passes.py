"""The Plans of a model: prefill, cycles, score, check.

    prefill(rows)   rows of one lane into the KV cache; with `is_last`, also the first token
    cycle(k)        k drafts of every lane that takes part, one verify pass over their 1 + k rows,
                    accept; k = 0 is plain decoding. One Plan for one lane, one for two, and so on
    score(rows)     like prefill, with the logits of every row kept
    check(rows)     a verify pass over given rows that leaves digests of its logits, for the
                    self-test

    prefill_open    the logits behind a prompt, and prefill_close, the choice there
    draft(k)        the rows of a cycle, with k drafts of every lane that takes part, read back
    forward(k)      the logits of these rows
    given(k)        both in one, where all drafts are the host's
    close(k)        the choices behind these rows, and accept

The latter are passes in parts, for choices that the host has a say in. For answers that keep to a
grammar it finds what may stand behind each draft while the device computes logits; and a person's
functions change logits before a token is chosen. Logits, hidden states and rows stay on the
device, so nothing else is submitted between `forward` or `given` and `close`, or between the two
parts of a prompt's pass. Until `close`, a
cycle has changed nothing that counts, and may be given up. The parts are lowered when a request
asks for them, and so are `prefill_with_logprobs` and `cycles_with_logprobs`, which say how likely
their tokens are as well.

All share scratch buffers: a device runs one pass at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field

from leadout.devices.base import Runnable
from leadout.ops import Tensor
from leadout.plan import Binding, BufferSpec
from leadout.state import Tables

#: Row counts of prefill passes, ascending. A prompt is cut into passes of the last size, and the
#: rest takes the smallest that holds it.
PREFILL_ROWS = (32, 64, 256)

#: Drafts of cycles in which several lanes take part. Fewer than of one lane: every number is a Plan
#: more for each number of lanes.
BATCH_DRAFTS = (0, 1, 3, 7)

#: Words of a row's digest.
DIGEST_WORDS = 2


class LazyPlans(dict[int, Runnable]):
    """Plans by a number, each made when it is first looked up."""

    def __init__(self, make: Callable[[int], Runnable]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, number: int) -> Runnable:
        self[number] = plan = self._make(number)
        return plan


@dataclass(frozen=True)
class CycleParts:
    """What comes before the choices of a cycle in parts; each by the number of drafts.

    Attributes:
        draft: its rows, with a drafter's drafts but where the host gives some; it reads them back.
        forward: the logits behind these.
        given: both in one, where no drafts but the host's are wanted; nothing is read back.
    """

    draft: LazyPlans
    forward: LazyPlans
    given: LazyPlans


@dataclass(frozen=True, repr=False)
class PromptPlans:
    """Plans of prompts, each by its number of rows.

    Attributes:
        prefill: the prompt's passes but the last.
        prefill_last: ends with the first token.
        prefill_with_logprobs: ends with the first token; its readback has log-probabilities.
        prefill_open: leaves the logits behind a prompt.
    """

    prefill: dict[int, Runnable]
    prefill_last: dict[int, Runnable]
    prefill_with_logprobs: LazyPlans
    prefill_open: LazyPlans

    def last_prefills(self, has_logprobs: bool) -> dict[int, Runnable]:
        """Return the prompt's last passes, by rows."""
        return self.prefill_with_logprobs if has_logprobs else self.prefill_last


@dataclass(frozen=True, repr=False)
class Passes(PromptPlans):
    """All Plans of a model, and every buffer but the weights'.

    Attributes:
        tables: what stays on the device between them.
        embedded: of prompts with embeddings of the host's; the others are of ids alone.
        embeddings: where these lie, a row for each row of a pass. It is not among `buffers`.
        hidden_size: numbers of an embedding.
        cycles: of one lane, by number of drafts; each reads back the results table.
        batch_cycles: of more lanes: by the most that take part (2, 4, 8), then by number of drafts.
        checks: by rows; each reads back [rows, 2] words.
        buffers: scratch, tables, KV cache and constants, for all of these.
        constants: what to write into buffers once, after allocation.
        min_rows: the fewest rows that a pass with few rows computes.
        cycles_with_logprobs: cycles whose readback has log-probabilities, by the most lanes that
            take part.
        parts: cycles in parts, by the most lanes that take part.
        prefill_close: chooses behind `prefill_open`; by whether it has log-probabilities, then by
            rows.
        closing: what ends them, by the most lanes that take part and whether they have
            log-probabilities.
        score: leaves the logits of `score_rows` rows in `score_logits`.
        score_buffers: what it needs on top; large, and only for evaluation.
    """

    tables: Tables
    embedded: PromptPlans
    embeddings: Binding
    hidden_size: int
    cycles: dict[int, Runnable]
    checks: dict[int, Runnable]
    cycles_with_logprobs: dict[int, LazyPlans]
    parts: dict[int, CycleParts]
    prefill_close: dict[bool, LazyPlans]
    closing: dict[tuple[int, bool], LazyPlans]
    buffers: dict[str, BufferSpec]
    constants: dict[str, bytes]
    min_rows: int
    score: Runnable
    score_rows: int
    score_logits: Tensor
    score_buffers: dict[str, BufferSpec]
    batch_cycles: dict[int, dict[int, Runnable]] = field(default_factory=dict)

    def cycles_of(self, num_groups: int, has_logprobs: bool = False) -> dict[int, Runnable]:
        """Return the cycles of so many lanes (a number of `group_counts`), by number of drafts."""
        if has_logprobs:
            return self.cycles_with_logprobs[num_groups]
        return self.cycles if num_groups == 1 else self.batch_cycles[num_groups]

    def given_counts(self, num_groups: int) -> list[int]:
        """Return how many drafts the host can give to cycles of so many lanes, ascending, and 0."""
        known = self.cycles_of(num_groups)
        return sorted({0, *(k for k in BATCH_DRAFTS if k in known), max(known)})

    def all_parts(self, num_groups: int, has_logprobs: bool) -> Iterator[Runnable]:
        """Yield what answers that keep to a grammar take, of so many lanes."""
        parts = self.parts[num_groups]
        for num_drafts in self.given_counts(num_groups):
            yield parts.given[num_drafts]
            yield self.closing[num_groups, has_logprobs][num_drafts]
            if num_drafts > 0:
                yield parts.draft[num_drafts]
                yield parts.forward[num_drafts]

    @property
    def group_counts(self) -> list[int]:
        """For how many lanes there are cycles, ascending; fewer take the next larger one."""
        return [1, *self.batch_cycles]

    def with_logprobs(self, compiled: Container[str]) -> Iterator[Runnable]:
        """Yield the cycles that a request which asks for logprobs takes while it is alone.

        Args:
            compiled: names of Plans; cycles are wanted with as many drafts as these have.
        """
        for num_drafts, plan in self.cycles.items():
            if plan.name in compiled:
                yield self.cycles_with_logprobs[1][num_drafts]

    def prefills(self) -> Iterator[Runnable]:
        """Yield the Plans that every prompt may take."""
        yield from self.prefill.values()
        yield from self.prefill_last.values()
