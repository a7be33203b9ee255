"""Linear layers by the kernels that adapters take for them."""

import dataclasses

import numpy as np
import pytest
from compare import COLUMNS, POISON, assert_close, random_planes
from stage import Stage

from leadout import ops
from leadout.layouts import LAYOUTS
from leadout.lowering import lower
from leadout.ops import Tensor
from leadout.state import REACH_BIT, ROW_EMBEDDED, ROW_VALID
from lowered import caps
from matvec_forms import ROWS, forms_in, shape_of
from thoroughness import IS_THOROUGH


def linear(layout: str, rows: int, n: int, k: int, *, prefill=False, offset=5, **options) -> Stage:
    """Return a stage with one linear layer, whose y has columns before and behind its outputs."""
    stage = Stage()
    x = np.random.default_rng(1).standard_normal((rows, k)).astype(np.float32)
    scale = options.pop("scale", 1.0)
    layer = stage.linear("w", layout, n, k, options.pop("shards", ()))
    y = stage.output("y", rows, n + offset + 5)
    x = stage.tensor("x", np.float32(scale) * x)
    stage.add(ops.Linear("l", layer, x, stage.count(rows, prefill=prefill), y, offset, **options))
    return stage


def gated(layout: str, rows: int, n: int, k: int, *, prefill: bool = False) -> Stage:
    """Return a stage with gate and up of n outputs together."""
    stage = Stage()
    x = np.random.default_rng(1).standard_normal((rows, k)).astype(np.float32)
    layer, y = stage.linear("w", layout, n, k), stage.output("y", rows, n // 2)
    rows = stage.count(rows, prefill=prefill)
    stage.add(ops.GatedLinear("l", layer, stage.tensor("x", x), rows, y))
    return stage


def close(played) -> None:
    y = played.stage.program.build().ops[-1].y
    played.assert_close(y)


#: Layouts of each kind: without scales, with one, with two levels of them.
KINDS = ("f32", "q4_scale", "q8_super16")

# Compiling for 8 rows takes a CPU seconds, and how a layout is read does not depend on the rows.
EVERY_LAYOUT = [(layout, 1) for layout in LAYOUTS]
EVERY_NUMBER = [(layout, rows) for layout in KINDS for rows in (2, 4, 8)]


@pytest.mark.parametrize(("layout", "rows"), EVERY_LAYOUT + EVERY_NUMBER)
def test_few_rows_in_every_layout(run_stage, layout, rows) -> None:
    # 20 outputs fill a part of their last workgroup; 17 blocks leave some threads with one more.
    close(run_stage(linear(layout, rows, 20, COLUMNS[layout]), takes=["matvec"]))


@pytest.mark.parametrize(
    ("form", "layout"),
    forms_in({"narrow": "f32", "deep": "q4_scale", "wide": "q8_super16"}, list(KINDS)),
)
def test_a_row_in_every_form_has_the_same_bits_with_others(run_stage, form, layout) -> None:
    together = None
    for rows in reversed(ROWS):
        played = run_stage(linear(layout, rows, *shape_of(form, layout)), takes=["matvec"])
        close(played)
        found = played.gpu["y"].reshape(rows, -1)
        together = found if together is None else together
        assert np.array_equal(found, together[:rows])


def test_more_rows_than_a_kernel_takes_at_once(run_stage) -> None:
    close(run_stage(linear("q4_scale", 16, 54, 64), takes=["matvec"]))


@pytest.mark.parametrize("kind", [linear, gated])
def test_rows_apart_have_the_bits_of_rows_together(run_stage, monkeypatch, kind) -> None:
    """Small layers' rows have workgroups of their own; see `lowering.linear.rows_at_once`."""
    n = 128 if kind is gated else 70
    together = run_stage(kind("q4_scale", 4, n, 544))
    monkeypatch.setattr("leadout.lowering.linear.FEW_WEIGHTS", n * 544)
    apart = run_stage(kind("q4_scale", 4, n, 544))
    close(apart)
    (dispatch,) = lower(apart.stage.program.build(), caps()).dispatches
    assert dispatch.workgroups[2] == 4
    assert np.array_equal(apart.gpu["y"], together.gpu["y"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_many_rows_in_every_layout(run_stage, layout) -> None:
    rows = 64 if layout in KINDS else 32  # likewise: the smaller tile compiles sooner
    close(run_stage(linear(layout, rows, 70, 256, prefill=True), takes=["matmul"]))


@pytest.mark.parametrize("rows", [32, 64])
def test_many_rows_of_a_deep_matrix_in_parts_that_blocks_do_not_divide_into(
    run_stage, rows
) -> None:
    stage = linear("q8_affine", rows, 70, 32 * 37, prefill=True, shards=(24,), softcap=30.0)
    close(run_stage(stage, takes=["matmul"]))


@pytest.mark.parametrize("make", [linear, gated])
def test_a_prefill_row_has_the_same_bits_in_tiles_of_both_sizes(run_stage, make) -> None:
    together = run_stage(make("q4_scale", 64, 72, 1024, prefill=True))
    alone = make("q4_scale", 32, 72, 1024, prefill=True)
    alone.contents["x"] = together.stage.contents["x"][: 32 * 1024].copy()
    few = run_stage(alone).gpu["y"]
    assert np.array_equal(few, together.gpu["y"][: len(few)])


@pytest.mark.parametrize("layout", KINDS)
def test_gate_and_up_of_many_rows(run_stage, layout) -> None:
    close(run_stage(gated(layout, 64, 70, 256, prefill=True), takes=["gated_matmul"]))


@pytest.mark.parametrize(
    ("layout", "rows", "prefill"),
    [(layout, 1, False) for layout in LAYOUTS]
    + [(layout, rows, rows == 64) for layout in KINDS for rows in (8, 64)],
)
def test_software_in_every_layout(run_stage, layout, rows, prefill) -> None:
    stage = linear(layout, rows, 37, 256, prefill=prefill)
    close(run_stage(stage, is_software=True, takes=["solo_matvec"]))


@pytest.mark.parametrize("is_software", [False, True])
def test_more_outputs_than_workgroups_in_one_direction(run_stage, monkeypatch, is_software) -> None:
    monkeypatch.setattr("leadout.lowering.builder.MAX_WORKGROUPS_PER_DIMENSION", 4)
    stage = linear("q4_scale", 2, 150, 64)
    (dispatch,) = lower(stage.program.build(), caps(is_software=is_software)).dispatches
    assert dispatch.workgroups[1] > 1
    close(run_stage(stage, is_software=is_software))


@pytest.mark.parametrize("make", [linear, gated])
def test_software_computes_no_eight_rows_of_padding(run_stage, make) -> None:
    stage = make("q4_scale", 32, 72, 64, prefill=True)
    stage.contents["rows"].reshape(-1, 4)[:18, 3] = 0
    played = run_stage(stage, is_software=True)
    computed, wanted = (found["y"].reshape(32, -1) for found in (played.gpu, played.numpy))
    assert (computed[:16] == POISON).all()
    assert_close(computed[16:], wanted[16:])


@pytest.mark.parametrize("is_software", [False, True])
@pytest.mark.parametrize(("rows", "prefill"), [(2, False), (32, True)])
def test_a_soft_cap_bends_what_is_large(run_stage, is_software, rows, prefill) -> None:
    stage = linear("f32", rows, 8, 64, prefill=prefill, scale=100.0, softcap=30.0, offset=0)
    played = run_stage(stage, is_software=is_software)
    close(played)
    y = played.floats(dataclasses.replace(stage.program.build().ops[0].y, shape=(rows, 13)))
    assert 29 < np.abs(y[:, :8]).max() <= 30


@pytest.mark.parametrize(("rows", "prefill"), [(2, False), (32, True)])
def test_shards_write_their_own_outputs(run_stage, rows, prefill) -> None:
    close(run_stage(linear("q4_scale", rows, 40, 64, prefill=prefill, shards=(12, 30))))


@pytest.mark.parametrize("layout", KINDS)
def test_gate_and_up(run_stage, layout) -> None:
    close(run_stage(gated(layout, 2, 4104, 256), takes=["gated_matvec"]))


@pytest.mark.parametrize("layout", KINDS)
def test_gate_and_up_on_software(run_stage, layout) -> None:
    stage = gated(layout, 4, 38, 256)
    close(run_stage(stage, is_software=True, takes=["solo_gated"]))


def test_gate_and_up_even_where_tanh_would_overflow(run_stage) -> None:
    stage = gated("f32", 32, 140, 64, prefill=True)
    stage.contents["x"].view(np.float32)[:64] *= 300
    close(run_stage(stage))


@pytest.mark.parametrize("layout", KINDS)
@pytest.mark.parametrize("is_software", [False, True])
@pytest.mark.parametrize("make", [linear, gated])
def test_a_row_has_the_same_bits_however_many_run_with_it(
    run_stage, layout, is_software, make
) -> None:
    n, k = 16, 512
    results = {}
    for rows in (1, 2, 4, 8):
        stage = make(layout, rows, n, k)
        x = np.random.default_rng(2).standard_normal((8, k)).astype(np.float32)
        stage.contents["x"] = x[:rows].ravel().view(np.uint32).copy()
        played = run_stage(stage, is_software=is_software)
        results[rows] = played.gpu["y"].reshape(rows, -1)
    for rows, result in results.items():
        assert np.array_equal(result, results[8][:rows])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_embeddings_in_every_layout_over_shards(run_stage, layout) -> None:
    stage = Stage()
    table = stage.matrix("table", layout, 40, 256, shards=(20,))
    rows = stage.rows([(0, i, token, True) for i, token in enumerate((0, 19, 20, 39))])
    y = stage.output("y", 4, 320)
    stage.add(ops.Embed("e", table, rows, y, 16.5))
    run_stage(stage).assert_close(y)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_embeddings_of_a_paged_table_in_every_layout(run_stage, layout) -> None:
    stage = Stage()
    table = stage.matrix("table", layout, 8, 256)
    slots = np.zeros(40, np.uint32)
    slots[[3, 39, 7]] = [1, 8, 4]
    rows = stage.rows([(0, i, token, True) for i, token in enumerate((39, 4, 3, 7))])
    y = stage.output("y", 4, 256)
    stage.add(ops.EmbedPaged("e", table, stage.tensor("slots", slots), rows, y, 16.5))
    played = run_stage(stage)
    played.assert_close(y)
    found = played.floats(y)
    assert not found[1].any(), "a token without a slot"
    assert all(found[i].any() for i in (0, 2, 3))


def test_given_embeddings_stand_in_the_place_of_tokens(run_stage) -> None:
    stage = Stage()
    table = np.array([(0, i, 3, ROW_VALID) for i in range(4)], np.uint32)
    table[1:3, 3] |= ROW_EMBEDDED | 5 << REACH_BIT
    rng = np.random.default_rng(0)
    given = stage.tensor("given", rng.standard_normal((4, 260)).astype(np.float32))
    y = stage.tensor("y", rng.standard_normal((4, 300)).astype(np.float32))
    stage.add(ops.PlaceEmbeddings("p", given, stage.row_table(table), y))
    played = run_stage(stage, takes=["place_embeddings"])
    assert np.array_equal(played.gpu["y"], played.numpy["y"])
    found, before = played.floats(y), stage.contents["y"].view(np.float32).reshape(4, 300)
    assert (found[[0, 3]] == before[[0, 3]]).all()
    assert (found[1:3, 260:] == before[1:3, 260:]).all()
    assert (found[1:3, :260] != before[1:3, :260]).all()


def test_gelu_times_takes_a_layers_columns(run_stage) -> None:
    rows, size, stride, offset = 3, 70, 300, 140
    rng = np.random.default_rng(0)
    stage = Stage()
    x = 4 * rng.standard_normal((rows, size)).astype(np.float32)
    x[0, :2] = [300.0, -300.0]
    factors = stage.tensor("factors", rng.standard_normal((rows, stride)).astype(np.float32))
    y = stage.output("y", rows, size)
    stage.add(ops.GeluTimes("g", stage.tensor("x", x), factors, y, offset))
    run_stage(stage).assert_close(y)


@pytest.mark.parametrize("layout", LAYOUTS if IS_THOROUGH else ["q4_super"])
def test_a_layer_gates_by_factors_with_the_same_bits_for_all_numbers_of_rows(
    run_stage, layout
) -> None:
    n, k, together = 20, COLUMNS[layout], None
    for rows in reversed(ROWS):
        stage = Stage()
        x, factors = (
            stage.tensor(name, np.random.default_rng(1).standard_normal((rows, size), np.float32))
            for name, size in (("x", k), ("factors", 3 * n))
        )
        gate, y = stage.output("gate", rows, n), stage.output("y", rows, n)
        stage.add(ops.Linear("l", stage.linear("w", layout, n, k), x, stage.count(rows), gate))
        stage.add(ops.GeluTimes("g", gate, factors, y, n))
        played = run_stage(stage, takes=["matvec_gelu_times"])
        played.assert_close(y)
        together = played.integers(y) if together is None else together
        assert np.array_equal(played.integers(y), together[:rows])


def test_random_planes_cover_every_layout() -> None:
    for layout, known in LAYOUTS.items():
        assert len(random_planes(layout, 2, 256)) == len(known.planes)


def adding(layout: str, rows: int, n: int, k: int) -> tuple[Stage, Tensor, Tensor]:
    """Return a stage with a residual, and the gate behind it."""
    stage = Stage()
    x, h = np.random.default_rng(1).standard_normal((2, rows, k)).astype(np.float32)
    weight = stage.vector("post", np.random.default_rng(2).standard_normal(k).astype(np.float32))
    h_out, gate = stage.output("h_out", rows, k), stage.output("gate", rows, n)
    x, h = stage.tensor("x", x), stage.tensor("h", h)
    stage.add(ops.AddNorm("add", x, weight, h, h_out, 1e-6))
    stage.add(ops.Linear("l", stage.linear("w", layout, n, k), h_out, stage.count(rows), gate))
    factors = np.random.default_rng(3).standard_normal((rows, 3 * n)).astype(np.float32)
    y = stage.output("y", rows, n)
    stage.add(ops.GeluTimes("g", gate, stage.tensor("factors", factors), y, n))
    return stage, h_out, y


@pytest.mark.parametrize(
    ("layout", "rows"),
    # Units of 4, 8, 32 and 16 columns, without scales, with them, and with offsets.
    [("f32", 1), ("bf16", 1), ("q4_scale", 1), ("q4_scale", 4), ("q8_affine_bf16", 1)]
    if not IS_THOROUGH
    else [(one, 1) for one in LAYOUTS if caps().has(f"add_matvec.{one}")],
)
def test_a_residual_and_the_gate_behind_it(run_stage, layout, rows) -> None:
    stage, h_out, y = adding(layout, rows, 20, 32 * 17)
    run_stage(stage, takes=["add_matvec"]).assert_close(h_out, y)


def test_a_residual_and_gate_have_the_same_bits_for_all_numbers_of_rows(run_stage) -> None:
    results = {}
    for rows in (1, 2, 4, 8):
        stage, h_out, y = adding("q4_scale", rows, 16, 1536)
        for name, seed in (("x", 4), ("h", 5), ("factors", 6)):
            size = stage.contents[name].size // rows
            values = np.random.default_rng(seed).standard_normal((8, size)).astype(np.float32)
            stage.contents[name] = values[:rows].ravel().view(np.uint32).copy()
        played = run_stage(stage)
        results[rows] = [played.integers(one) for one in (h_out, y)]
    for rows, found in results.items():
        for one, eight in zip(found, results[8], strict=True):
            assert np.array_equal(one, eight[:rows])
