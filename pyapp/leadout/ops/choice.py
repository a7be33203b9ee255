"""The choice of tokens, and what a cycle commits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from leadout.ops.program import Op, Tensor
from leadout.rows import Rows
from leadout.state import Tables


@dataclass(frozen=True)
class Suppress(Op):
    """Make the logits of some ids as small as they can be, in every row.

    Attributes:
        ids: [count] u32.
        logits: [rows, vocab_size] float32, changed in place.
    """

    ids: Tensor
    logits: Tensor

    WRITES: ClassVar[tuple[str, ...]] = ("logits",)


@dataclass(frozen=True)
class Choose(Op):
    """Choose a token for every row, by the settings of its lane.

    The choice is a function of the row's logits, the settings, the ids before it and the
    absolute position alone: argmax of filtered logit / temperature + noise, the noise a hash of
    seed, position and id; at temperature 0 the argmax of the logits.

    Attributes:
        logits: [rows, count] float32; undefined afterwards.
        ids: [rows, count] u32, the ids of the logits; None: all ids in their order.
        rows: whose table has each choice's lane and position.
        tables: of the engine.
        y: [rows] u32, the choices.

    Source: Gumbel-max sampling; drafter invariance, arXiv:2408.07978; top-p, arXiv:1904.09751;
    min-p, arXiv:2407.01082; repetition penalty, arXiv:1909.05858.
    """

    logits: Tensor
    ids: Tensor | None
    rows: Rows
    tables: Tables
    y: Tensor


@dataclass(frozen=True)
class Accept(Op):
    """Commit the accepted drafts and the bonus token of every lane; see `state.py`.

    Attributes:
        choices: [rows] u32, the target's token behind every row.
        rows: 1 + num_drafts of each lane, one lane behind the other.
        tables: of the engine, whose state, history, seen ids and results are written.
        num_groups: lanes in `rows`.
        num_drafts: drafts of each.
        slots: as of `EmbedPaged`, where a table is paged: what rows without a slot chose was made
            of nothing, so that a lane's rows count up to the first of them alone.
    """

    choices: Tensor
    rows: Rows
    tables: Tables
    num_groups: int
    num_drafts: int
    slots: Tensor | None = None


@dataclass(frozen=True)
class Logprobs(Op):
    """Say how likely the model found what `Accept` committed, for lanes that ask; see `state.py`.

    A row's log-probabilities are a function of its logits alone: log softmax, with no temperature.

    Attributes:
        logits: [rows, vocab_size] float32, as `Choose` had them.
        choices: [rows] u32, as `Accept` had them.
        rows: as `Accept` had them.
        tables: of the engine, whose results `Accept` wrote; what stands behind these is written.
        num_groups: as `Accept` had them.
        num_drafts: as `Accept` had them.
    """

    logits: Tensor
    choices: Tensor
    rows: Rows
    tables: Tables
    num_groups: int
    num_drafts: int


@dataclass(frozen=True)
class TakeAccepted(Op):
    """y[lane, offset :] = x[the row behind which the lane's last token was chosen].

    Attributes:
        x: [rows, columns] float32.
        rows: as `Accept` had them.
        tables: of the engine, whose results `Accept` wrote.
        y: [lanes, at least offset + columns] float32; a lane without new tokens keeps what it has.
        offset: the first column written.
        num_groups: as `Accept` had them.
        num_drafts: as `Accept` had them.
    """

    x: Tensor
    rows: Rows
    tables: Tables
    y: Tensor
    offset: int
    num_groups: int
    num_drafts: int


@dataclass(frozen=True)
class TakeLanes(Op):
    """y[g] = x[the lane of group g].

    Attributes:
        x: [lanes, columns] float32.
        rows: one a group.
        y: [groups, columns] float32.
    """

    x: Tensor
    rows: Rows
    y: Tensor


@dataclass(frozen=True)
class BeginCycle(Op):
    """Write the rows that a cycle begins with: the last known token of each lane that takes part.

    Attributes:
        lane_rows: one row a group, written.
        rows: 1 + num_drafts rows of each group, written; drafts and padding are not valid yet.
        tables: of the engine, whose turns say which lane each group is of.
        num_drafts: of each group in this cycle.
    """

    lane_rows: Rows
    rows: Rows
    tables: Tables
    num_drafts: int


@dataclass(frozen=True)
class PlaceDraft(Op):
    """Put the next draft of every lane into the verify pass's rows and the drafter's.

    Attributes:
        choices: [groups] u32, the drafts.
        lane_rows: the drafter's rows, one a group, whose tokens become the drafts.
        rows: the verify pass's rows, written.
        tables: of the engine.
        num_drafts: of each group in this cycle.
    """

    choices: Tensor
    lane_rows: Rows
    rows: Rows
    tables: Tables
    num_drafts: int


@dataclass(frozen=True)
class PlaceGiven(Op):
    """Put the drafts that the host gives into the verify pass's rows.

    Attributes:
        lane_rows: one a group: its lane's last known token.
        rows: the verify pass's rows; those that get no draft stay as they are.
        tables: of the engine, whose `given` has each lane's drafts.
        num_drafts: of each group in this cycle, at most.
    """

    lane_rows: Rows
    rows: Rows
    tables: Tables
    num_drafts: int
