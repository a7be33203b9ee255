"""One function per kernel: constants, bindings and grid, from what the caller means.

Activations are row-major float32 [rows, columns]. A pass has 1, 2, 4 or 8 rows (decode, verify)
or a multiple of 32 (prefill); see `check_rows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leadout import sampling, state
from leadout.kv_cache import TILE, KvCache
from leadout.layouts import BLOCK, Matrix, Vector
from leadout.plan import MAX_WORKGROUPS_PER_DIMENSION, Binding, PlanBuilder

#: Rows for which web/kernels/matvec.wgsl has a variant.
MATVEC_ROWS = (1, 2, 4, 8)

#: Rows in a tile of web/kernels/matmul.wgsl.
MATMUL_ROWS = 32

#: From so many outputs on, a matrix fills a GPU with four outputs a lane group.
LARGE_MATRIX_OUTPUTS = 4096

#: Ids in a chunk of web/kernels/choose_partial.wgsl.
CHOOSE_CHUNK = 4096

FLOAT_BYTES = 4

Grid = tuple[int | str, int | str, int | str]


@dataclass(frozen=True)
class Linear:
    """A linear layer: matrices stacked along the outputs, each with its first output column.

    One matrix where all parts share a layout, several where they do not (a GGUF may keep v_proj
    in another format than q_proj).
    """

    parts: Sequence[tuple[Matrix, int]]
    num_outputs: int

    @property
    def single_shard(self) -> Matrix | None:
        """The matrix, if it is one and lies in one shard."""
        matrix = self.parts[0][0]
        return matrix if len(self.parts) == 1 and len(matrix.shards) == 1 else None


def matvec_outputs(num_outputs: int) -> int:
    """Return how many outputs a lane group of matvec computes at once; 4 or 2, same bits.

    Four halve the reading of activations, which pays on large matrices (on an NVIDIA H100 a
    1536 x 262144 head takes 131 us instead of 261); small ones need the workgroups.
    """
    return 4 if num_outputs >= LARGE_MATRIX_OUTPUTS and num_outputs % 4 == 0 else 2


def check_rows(rows: int) -> None:
    """Assert that the kernels take this many rows in a pass."""
    assert rows in MATVEC_ROWS or rows % MATMUL_ROWS == 0, f"{rows} rows"


def _ceil(count: int, per: int) -> int:
    return -(-count // per)


def _linear_grid(groups: int) -> Grid:
    """Spread a linear number of workgroups over x and y."""
    height = _ceil(groups, MAX_WORKGROUPS_PER_DIMENSION)
    return (_ceil(groups, height), height, 1)


def activations(b: PlanBuilder, name: str, rows: int, columns: int) -> Binding:
    """Reserve a scratch buffer for [rows, columns] float32."""
    return b.scratch(name, FLOAT_BYTES * rows * columns)


def embed(b: PlanBuilder, table: Matrix, y: Binding, rows: int, scale: float, label: str) -> None:
    """y[r] = scale * table[token of row r]."""
    for shard in table.shards:
        b.dispatch(
            f"embed.{table.layout}",
            {
                "K": table.num_cols,
                "N": shard.num_rows,
                "FIRST": shard.row_start,
                "SCALE": scale,
            },
            [*shard.planes, state.row_table(rows), y],
            (_ceil(table.num_cols // BLOCK, 64), rows, 1),
            label,
        )


def linear(b: PlanBuilder, layer: Linear, x: Binding, y: Binding, rows: int, label: str) -> None:
    """y[r] = W x[r], for every part of the layer; y is [rows, layer.num_outputs]."""
    check_rows(rows)
    for matrix, first_output in layer.parts:
        for shard in matrix.shards:
            constants = {
                "K": matrix.num_cols,
                "N": shard.num_rows,
                "OUT_STRIDE": layer.num_outputs,
                "OUT_OFFSET": first_output + shard.row_start,
            }
            bindings = [*shard.planes, x, y]
            if rows in MATVEC_ROWS:
                outputs = matvec_outputs(shard.num_rows)
                variant = f"matvec.{matrix.layout}.{rows}.{outputs}.none"
                grid = _linear_grid(_ceil(shard.num_rows, 4 * outputs))
            else:
                variant = f"matmul.{matrix.layout}"
                grid = (_ceil(shard.num_rows, 64), rows // MATMUL_ROWS, 1)
            b.dispatch(variant, constants, bindings, grid, label)


def gated_linear(
    b: PlanBuilder, gate_up: Linear, x: Binding, y: Binding, rows: int, label: str
) -> None:
    """y[r] = gelu(gate x[r]) * (up x[r]), gate and up stacked in one layer."""
    size = gate_up.num_outputs // 2
    matrix = gate_up.single_shard
    if rows in MATVEC_ROWS and matrix is not None:
        outputs = matvec_outputs(matrix.num_rows)
        b.dispatch(
            f"matvec.{matrix.layout}.{rows}.{outputs}.gelu_mul",
            {"K": matrix.num_cols, "N": matrix.num_rows, "OUT_STRIDE": size},
            [*matrix.shards[0].planes, x, y],
            _linear_grid(_ceil(matrix.num_rows, 4 * outputs)),
            label,
        )
        return
    both = activations(b, "gate_up", rows, gate_up.num_outputs)
    linear(b, gate_up, x, both, rows, label)
    b.dispatch("gelu_mul", {"N": size}, [both, y], (_ceil(size, 64), rows, 1), label + ".gelu")


def rms_norm(
    b: PlanBuilder, x: Binding, weight: Vector, y: Binding, rows: int, eps: float, label: str
) -> None:
    """y[r] = rms_norm(x[r]) * weight."""
    constants = {"D": weight.length, "EPS": eps}
    b.dispatch("rms_norm", constants, [x, weight.binding, y], (rows, 1, 1), label)


def add_rms_norm(
    b: PlanBuilder,
    x: Binding,
    post: Vector,
    following: Vector,
    h: Binding,
    y: Binding,
    rows: int,
    eps: float,
    label: str,
) -> None:
    """h[r] += rms_norm(x[r]) * post; y[r] = rms_norm(h[r]) * following."""
    b.dispatch(
        "add_rms_norm",
        {"D": post.length, "EPS": eps},
        [x, post.binding, following.binding, h, y],
        (rows, 1, 1),
        label,
    )


def take_row(b: PlanBuilder, x: Binding, row: int, columns: int, y: Binding, label: str) -> None:
    """y[0] = x[row]."""
    constants = {"D": columns, "ROW": row}
    b.dispatch("take_row", constants, [x, y], (_ceil(columns, 256), 1, 1), label)


def qk_norm_rope(
    b: PlanBuilder,
    qkv: Binding,
    q_norm: Vector,
    k_norm: Vector,
    inv_freq: Vector,
    q: Binding,
    cache: KvCache,
    num_heads: int,
    rows: int,
    eps: float,
    label: str,
) -> None:
    """Norm and turn queries and keys; keys and values go to the cache."""
    b.dispatch(
        f"qk_norm_rope.{cache.dtype}",
        {
            "HEADS": num_heads,
            "KV_HEADS": cache.num_key_value_heads,
            "D": cache.head_dim,
            "EPS": eps,
            "CAPACITY": cache.capacity,
        },
        [
            qkv,
            state.row_table(rows),
            q_norm.binding,
            k_norm.binding,
            inv_freq.binding,
            q,
            cache.keys,
            cache.values,
        ],
        (num_heads + 2 * cache.num_key_value_heads, rows, 1),
        label,
    )


def attention(
    b: PlanBuilder,
    q: Binding,
    cache: KvCache,
    o: Binding,
    num_heads: int,
    scale: float,
    rows: int,
    in_tiles: bool,
    label: str,
) -> None:
    """o[r] = attention of row r's queries over the cache.

    Args:
        in_tiles: spread each row's tiles over workgroups (decode and verify; needs the plan's
            param "kv_tiles") instead of the rows alone (prefill).
    """
    group = num_heads // cache.num_key_value_heads
    shared_heads = next(heads for heads in (4, 2, 1) if group % heads == 0)
    constants = {
        "HEADS": num_heads,
        "KV_HEADS": cache.num_key_value_heads,
        "D": cache.head_dim,
        "SCALE": scale,
        "WINDOW": cache.window,
        "CAPACITY": cache.capacity,
    }
    inputs = [q, state.row_table(rows), cache.keys, cache.values]
    head_groups = num_heads // shared_heads
    if not in_tiles:
        variant = f"attention.rows.{shared_heads}.{cache.dtype}"
        b.dispatch(variant, constants, [*inputs, o], (1, head_groups, rows), label)
        return
    slots = cache.max_tiles
    part_o = activations(b, "part_o", rows * num_heads * slots, cache.head_dim)
    part_ml = activations(b, "part_ml", rows * num_heads * slots, 2)
    b.dispatch(
        f"attention.tiles.{shared_heads}.{cache.dtype}",
        {**constants, "SLOTS": slots},
        [*inputs, part_o, part_ml],
        (slots if cache.window else "kv_tiles", head_groups, rows),
        label,
    )
    b.dispatch(
        "attention_combine",
        {"HEADS": num_heads, "D": cache.head_dim, "WINDOW": cache.window, "SLOTS": slots},
        [part_o, part_ml, state.row_table(rows), o],
        (num_heads, rows, 1),
        label + ".combine",
    )


def choose(
    b: PlanBuilder,
    logits: Binding,
    vocab_size: int,
    num_lanes: int,
    table_rows: int,
    first_row: int,
    num_choices: int,
) -> Binding:
    """Choose a token for `num_choices` rows of logits; return the choices, [num_choices] u32.

    Args:
        logits: [num_choices, vocab_size] float32; penalised in place.
        vocab_size: a multiple of 32.
        num_lanes: lanes with settings and seen ids.
        table_rows: rows of the pass.
        first_row: row of the table to which the first logits belong.
        num_choices: how many.
    """
    rows = state.row_table(table_rows)
    settings = Binding("settings", 0, num_lanes * sampling.SETTINGS_BYTES)
    seen = Binding("seen", 0, num_lanes * state.seen_bytes(vocab_size))
    thresholds = activations(b, "thresholds", num_choices, 1)
    choices = b.scratch("choices", 4 * num_choices)
    chunks = _ceil(vocab_size, CHOOSE_CHUNK)
    best = b.scratch("best", 8 * num_choices * chunks)
    where = {"V": vocab_size, "FIRST_ROW": first_row}
    b.dispatch(
        "penalize",
        {**where, "ROWS": num_choices},
        [rows, settings, seen, logits],
        (_ceil(vocab_size, 1024), num_choices, 1),
        "penalize",
    )
    b.dispatch(
        "sample_filter",
        where,
        [logits, rows, settings, thresholds],
        (num_choices, 1, 1),
        "sample_filter",
    )
    b.dispatch(
        "choose_partial",
        where,
        [logits, rows, settings, thresholds, best],
        (chunks, num_choices, 1),
        "choose_partial",
    )
    b.dispatch(
        "choose_final",
        {"V": vocab_size, "CHUNKS": chunks},
        [best, choices],
        (num_choices, 1, 1),
        "choose_final",
    )
    return choices


def mark_seen(b: PlanBuilder, rows: int, vocab_size: int, num_lanes: int) -> None:
    """Mark the rows' tokens as seen in their lanes."""
    seen = Binding("seen", 0, num_lanes * state.seen_bytes(vocab_size))
    b.dispatch(
        "mark_seen",
        {"V": vocab_size, "ROWS": rows},
        [state.row_table(rows), seen],
        (_ceil(rows, 64), 1, 1),
        "mark_seen",
    )


def advance(
    b: PlanBuilder,
    choices: Binding,
    vocab_size: int,
    num_lanes: int,
    first_row: int,
    num_choices: int,
    capacity: int,
) -> Binding:
    """Commit the choices, write the next decode step's rows; return the results' binding."""
    num_rows = max(num_lanes, first_row + num_choices)
    results = Binding("results", 0, state.RESULT_BYTES * num_lanes)
    b.dispatch(
        "advance",
        {
            "V": vocab_size,
            "LANES": num_lanes,
            "CHOICES": num_choices,
            "FIRST_ROW": first_row,
            "CAPACITY": capacity,
        },
        [
            choices,
            state.row_table(num_rows),
            Binding("state", 0, state.STATE_BYTES * num_lanes),
            Binding("seen", 0, num_lanes * state.seen_bytes(vocab_size)),
            results,
        ],
        (1, 1, 1),
        "advance",
    )
    return results


def visible_tiles(position: int) -> int:
    """Return the value of the param "kv_tiles" for rows up to this position."""
    return position // TILE + 1
