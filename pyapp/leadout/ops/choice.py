"""The choice of tokens, and what a cycle commits."""

from __future__ import annotations

import struct

from leadout import sampling, state
from leadout.ops.grid import activations, ceil
from leadout.plan import Binding, PlanBuilder
from leadout.rows import Rows
from leadout.state import Tables

#: Candidates that one dispatch of web/kernels/choose_few.wgsl chooses from, by its `quads`.
FEW = {4: 4096, 8: 8192}

#: Candidates in a part of web/kernels/choose_partial.wgsl, and how many maxima choose_collect.wgsl
#: can compare.
PART = 4096
MAX_MAXIMA = 256

#: Words of a row of web/kernels/shared/found.wgsl; keep in step.
FOUND_WORDS = 4 + 3 * 1024 + 2 * 2048


def choose(
    b: PlanBuilder,
    logits: Binding,
    num_logits: int,
    rows: Rows,
    tables: Tables,
    label: str,
    *,
    ids: Binding | None = None,
) -> Binding:
    """Choose a token for every row; return the choices, [rows] u32.

    Args:
        b: gets the dispatches.
        logits: [rows, num_logits] float32.
        num_logits: the vocabulary's size, or with `ids` the number of candidates.
        rows: whose table has each choice's lane and position.
        tables: of the engine.
        label: for profiles, and the name of the scratch buffers.
        ids: [rows, num_logits] u32, the candidates' ids; None: all ids in their order.
    """
    choices = b.scratch(label + ".choices", 4 * rows.count)
    kind, mapped = ("all", []) if ids is None else ("mapped", [ids])
    inputs = [logits, rows.table, sampling.settings(tables.num_lanes), tables.seen]
    constants = {"V": tables.vocab_size, "COUNT": num_logits}
    if quads := _few(num_logits):
        b.dispatch(
            f"choose_few.{kind}.choose.{quads}",
            constants,
            [*inputs, choices, *mapped],
            (rows.count, 1, 1),
            label + ".choose_few",
        )
        return choices
    parts = ceil(num_logits, PART)
    assert parts <= MAX_MAXIMA, f"{label}: {num_logits} logits"
    split = 1 << (MAX_MAXIMA // parts).bit_length() - 1
    best = b.scratch(label + ".best", 16 * rows.count * parts)
    maxima = b.scratch(label + ".maxima", 4 * rows.count * parts * split)
    found = b.scratch(label + ".found", 4 * rows.count * FOUND_WORDS)
    grid = (parts, rows.count, 1)
    b.dispatch(
        f"choose_partial.{kind}",
        {**constants, "SPLIT": split},
        [*inputs, best, maxima, found, *mapped],
        grid,
        label + ".choose_partial",
    )
    b.dispatch(
        f"choose_collect.{kind}",
        {**constants, "SPLIT": split},
        [*inputs, maxima, found, *mapped],
        grid,
        label + ".choose_collect",
    )
    b.dispatch(
        f"choose_final.{kind}",
        {**constants, "PARTS": parts},
        [*inputs, best, found, choices, *mapped],
        (rows.count, 1, 1),
        label + ".choose_final",
    )
    return choices


def choose_draft(
    b: PlanBuilder,
    logits: Binding,
    num_logits: int,
    lane_rows: Rows,
    rows: Rows,
    tables: Tables,
    num_drafts: int,
    *,
    ids: Binding | None = None,
) -> None:
    """Choose the next draft of every lane, and put it where `place_draft` does.

    Args:
        b: gets the dispatches.
        logits: [lane_rows, num_logits] float32.
        num_logits: see `choose`.
        lane_rows: the drafter's rows, one a lane, whose tokens become the drafts.
        rows: the verify pass's rows, written.
        tables: of the engine.
        num_drafts: of each lane in this cycle.
        ids: see `choose`.
    """
    quads = _few(num_logits)
    if not quads:
        choices = choose(b, logits, num_logits, lane_rows, tables, "draft", ids=ids)
        place_draft(b, choices, lane_rows, rows, tables, num_drafts)
        return
    kind, mapped = ("all", []) if ids is None else ("mapped", [ids])
    settings = sampling.settings(tables.num_lanes)
    sizes = b.uniforms.binding(struct.pack("<4I", num_drafts, tables.context_length, 0, 0))
    b.dispatch(
        f"choose_few.{kind}.place.{quads}",
        {"V": tables.vocab_size, "COUNT": num_logits},
        [logits, lane_rows.table, settings, tables.seen, rows.table, sizes, *mapped],
        (tables.num_lanes, 1, 1),
        "draft.choose_few",
    )


def _few(num_logits: int) -> int:
    """Return the `quads` of choose_few.wgsl that hold so many candidates; 0 where none do."""
    return next((quads for quads, most in FEW.items() if num_logits <= most), 0)


def suppress(
    b: PlanBuilder, logits: Binding, ids: Binding, num_ids: int, rows: Rows, vocab_size: int
) -> None:
    """Make the logits of some ids, [num_ids] u32, as small as they can be, in every row."""
    b.dispatch(
        "suppress",
        {"V": vocab_size, "COUNT": num_ids},
        [ids, logits],
        (ceil(num_ids, 64), rows.count, 1),
        "suppress",
    )


def accept(
    b: PlanBuilder,
    choices: Binding,
    rows: Rows,
    tables: Tables,
    num_groups: int,
    num_drafts: int,
) -> Binding:
    """Commit the accepted drafts and the bonus token of every lane.

    Args:
        b: gets the dispatch.
        choices: [rows] u32, the target's token behind every row.
        rows: 1 + num_drafts of each lane, one lane behind the other.
        tables: of the engine.
        num_groups: lanes in `rows`.
        num_drafts: drafts of each.

    Returns:
        The results' binding; `state.read_result` reads it.
    """
    b.dispatch(
        "accept",
        {
            "V": tables.vocab_size,
            "LANES": tables.num_lanes,
            "GROUPS": num_groups,
            "DRAFTS": num_drafts,
            "CAPACITY": tables.context_length,
        },
        [
            choices,
            rows.table,
            tables.state,
            tables.seen,
            tables.history,
            tables.results,
        ],
        (1, 1, 1),
        "accept",
    )
    return tables.results


def take_accepted(
    b: PlanBuilder,
    x: Binding,
    rows: Rows,
    tables: Tables,
    y: Binding,
    num_groups: int,
    num_drafts: int,
    columns: int,
    stride: int,
    offset: int,
    label: str,
) -> None:
    """y[lane, offset :] = x[the row behind which the lane's last token was chosen].

    Args:
        b: gets the dispatch.
        x: [rows, columns] float32.
        rows: as `accept` had them.
        tables: of the engine, whose results `accept` wrote.
        y: [lanes, stride] float32; a lane without new tokens keeps what it has.
        num_groups: as `accept` had them.
        num_drafts: likewise.
        columns: of x.
        stride: columns of y.
        offset: the first one written.
        label: for profiles.
    """
    b.dispatch(
        "take_accepted",
        {
            "D": columns,
            "DRAFTS": num_drafts,
            "OUT_STRIDE": stride,
            "OUT_OFFSET": offset,
            "RESULT_WORDS": state.RESULT_WORDS,
        },
        [x, rows.table, tables.results, y],
        (ceil(columns, 256), num_groups, 1),
        label,
    )


def begin_cycle(
    b: PlanBuilder, lane_rows: Rows, rows: Rows, tables: Tables, num_drafts: int
) -> None:
    """Write the rows that a cycle begins with: each lane's last known token.

    Args:
        b: gets the dispatch.
        lane_rows: one row a lane, written.
        rows: 1 + num_drafts rows of each lane, written; drafts and padding are not valid yet.
        tables: of the engine.
        num_drafts: of each lane in this cycle.
    """
    b.dispatch(
        "begin_cycle",
        {
            "LANES": tables.num_lanes,
            "DRAFTS": num_drafts,
            "ROWS": rows.count,
            "CAPACITY": tables.context_length,
        },
        [tables.state, lane_rows.table, rows.table],
        (1, 1, 1),
        "begin_cycle",
    )


def place_draft(
    b: PlanBuilder,
    choices: Binding,
    lane_rows: Rows,
    rows: Rows,
    tables: Tables,
    num_drafts: int,
) -> None:
    """Put the next draft of every lane into the verify pass's rows and the drafter's.

    Args:
        b: gets the dispatch.
        choices: [lanes] u32, the drafts.
        lane_rows: the drafter's rows, whose tokens become the drafts.
        rows: the verify pass's rows, written.
        tables: of the engine.
        num_drafts: of each lane in this cycle.
    """
    b.dispatch(
        "place_draft",
        {
            "LANES": tables.num_lanes,
            "DRAFTS": num_drafts,
            "CAPACITY": tables.context_length,
        },
        [choices, lane_rows.table, rows.table],
        (1, 1, 1),
        "place_draft",
    )
