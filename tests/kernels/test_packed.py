"""Norms and linear layers with activations of 16 bits in between."""

import numpy as np
import pytest
from compare import COLUMNS
from stage import Stage

from leadout import ops
from leadout.layouts import LAYOUTS
from leadout.lowering import lower
from lowered import caps
from matvec_forms import ROWS, forms_in, shape_of
from thoroughness import IS_THOROUGH

QUANTISED = [name for name, layout in LAYOUTS.items() if layout.is_quantised]

#: Of a layer's outputs, relative to the largest; 4e-5 was seen, and 1.5e-4 behind two layers.
TOLERANCE = 4e-4
#: The same with activations of 8 bits.
FAST_TOLERANCE = 3e-2

EPS = 1e-6


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def norm_linear(layout: str, rows: int, n: int, k: int, *, adds=False, **options) -> Stage:
    """Return a stage with a norm, where it `adds` behind a residual, and a layer that reads it."""
    stage = Stage()
    x, weight = stage.tensor("x", normal(1, 8, k)[:rows]), stage.vector("weight", normal(2, k))
    normed, y = stage.output("normed", rows, k), stage.output("y", rows, n + 3)
    if adds:
        h, post = stage.tensor("h", normal(3, 8, k)[:rows]), stage.vector("post", normal(4, k))
        x, before = stage.output("h_out", rows, k), x
        stage.add(ops.AddNorm("add", before, post, h, x, EPS))
    stage.add(ops.RmsNorm("norm", x, weight, normed, EPS, 1.0 if adds else 0.5))
    layer = stage.linear("w", layout, n, k, options.pop("shards", ()))
    stage.add(ops.Linear("l", layer, normed, stage.count(rows), y, 3, **options))
    return stage


def mlp(layout: str, rows: int, k: int, inner: int) -> Stage:
    stage = Stage()
    count = stage.count(rows)
    x, h = stage.tensor("x", normal(1, 8, k)[:rows]), stage.tensor("h", normal(2, 8, k)[:rows])
    post, weight = (stage.vector(name, normal(len(name), k)) for name in ("post", "weight"))
    h_out, normed = stage.output("h_out", rows, k), stage.output("normed", rows, k)
    gated, y = stage.output("gated", rows, inner), stage.output("y", rows, k)
    stage.add(ops.AddNorm("add", x, post, h, h_out, EPS))
    stage.add(ops.RmsNorm("norm", h_out, weight, normed, EPS))
    stage.add(ops.GatedLinear("g", stage.linear("w", layout, 2 * inner, k), normed, count, gated))
    stage.add(ops.Linear("d", stage.linear("v", layout, k, inner), gated, count, y))
    return stage


def close(played, *names: str, tolerance: float = TOLERANCE) -> None:
    tensors = {
        tensor.buffer: tensor
        for op in played.stage.program.build().ops
        for field in ("y", "h_out")
        if (tensor := getattr(op, field, None)) is not None
    }
    for name in names:
        played.assert_close(tensors[name], tolerance=tolerance)


@pytest.mark.parametrize("layout", QUANTISED)
def test_a_norm_and_a_linear_layer_in_every_layout(run_stage, layout) -> None:
    k = COLUMNS[layout]
    played = run_stage(norm_linear(layout, 2, 37, k), takes=["norm_linear"])
    close(played, "y")


@pytest.mark.parametrize("adds", [False, True])
def test_a_norm_that_others_read_too_is_written_both_ways(run_stage, adds) -> None:
    stage = norm_linear("q4_scale", 2, 37, 544, adds=adds)
    normed, y = (op.y for op in stage.program.build().ops[-2:])
    last = stage.output("last", 1, 544)
    stage.add(ops.TakeLastRow("last", normed, last))
    takes = ["add_norm_linear_both" if adds else "norm_linear_both", "take_last_row"]
    played = run_stage(stage, takes=takes)
    played.assert_close(normed, last)
    played.assert_close(y, tolerance=TOLERANCE)


@pytest.mark.parametrize(
    ("form", "layout"),
    forms_in({"narrow": "q4_scale", "deep": "q4_scale", "wide": "q8_super16"}, QUANTISED),
)
def test_a_row_in_every_form_has_the_same_bits_with_others(run_stage, form, layout) -> None:
    together = None
    for rows in reversed(ROWS):
        played = run_stage(
            norm_linear(layout, rows, *shape_of(form, layout)), takes=["norm_linear"]
        )
        close(played, "y")
        found = played.gpu["y"].reshape(rows, -1)
        together = found if together is None else together
        assert np.array_equal(found, together[:rows])


def test_shards_and_a_soft_cap(run_stage) -> None:
    stage = norm_linear("q8_scale", 2, 40, 64, shards=(12, 30), softcap=3.0)
    close(run_stage(stage, takes=["norm_linear"]), "y")


@pytest.mark.parametrize("layout", ["q4_scale", "q4_affine", "q8_super", "q8_super16"])
def test_a_whole_mlp(run_stage, layout) -> None:
    played = run_stage(mlp(layout, 2, 256, 256), takes=["add_norm_mlp"])
    close(played, "h_out", "y")


# How a layout is read does not depend on the number of rows: one layout each.
def test_a_row_has_the_same_bits_however_many_run_with_it(run_stage) -> None:
    results = {
        rows: run_stage(mlp("q4_scale", rows, 512, 512)).gpu["y"].reshape(rows, -1)
        for rows in (1, 2, 4, 8)
    }
    for rows, result in results.items():
        assert np.array_equal(result, results[8][:rows])


def test_rows_apart_have_the_bits_of_rows_together(run_stage, monkeypatch) -> None:
    together = run_stage(mlp("q4_scale", 4, 256, 256))
    monkeypatch.setattr("leadout.lowering.linear.FEW_WEIGHTS", 2 * 256 * 256)
    apart = run_stage(mlp("q4_scale", 4, 256, 256))
    variants = {one.variant for one in lower(apart.stage.program.build(), caps()).pipelines}
    assert {"packed_matvec.q4_scale.1.gated", "packed_matvec.q4_scale.1.shallow"} <= variants
    assert np.array_equal(apart.gpu["y"], together.gpu["y"])


@pytest.mark.parametrize(
    ("layout", "k"),
    [(one, 1536 if "super" in one else 96) for one in QUANTISED]
    if IS_THOROUGH
    else [("q8_super16", 1536), ("q4_affine", 96)],
)
def test_a_layer_that_norms_its_only_row_gives_the_bits_of_two(run_stage, layout, k) -> None:
    played = {rows: run_stage(mlp(layout, rows, k, 512)) for rows in (1, 2)}
    variants = {
        rows: {one.variant for one in lower(one.stage.program.build(), caps()).pipelines}
        for rows, one in played.items()
    }
    assert f"norm_gated.{layout}" in variants[1] - variants[2]
    close(played[1], "h_out", "y")
    for name in ("h_out", "y"):
        alone, beside = (played[rows].gpu[name] for rows in (1, 2))
        assert np.array_equal(alone, beside[: alone.size])


# How a layout is read does not depend on the activations' bits: one of each kind.
@pytest.mark.parametrize("layout", ["q4_scale", "q4_affine", "q8_affine_bf16", "q8_super16"])
def test_activations_of_eight_bits_where_that_is_asked_for(run_stage, layout) -> None:
    stage = norm_linear(layout, 2, 37, 768)
    fast, accurate = (run_stage(stage, is_fast=one, takes=["norm_linear"]) for one in (True, False))
    close(fast, "y", tolerance=FAST_TOLERANCE)
    results = [
        one.view(np.float32).reshape(2, -1)[:, 3:]
        for one in (fast.gpu["y"], accurate.gpu["y"], fast.numpy["y"])
    ]
    errors = [np.abs(result - results[-1]).max() for result in results]
    assert errors[0] > 10 * errors[1]


def test_a_row_of_eight_bits_has_the_same_bits_however_many_run_with_it(run_stage) -> None:
    results = {
        rows: run_stage(mlp("q8_super16", rows, 512, 512), is_fast=True).gpu["y"].reshape(rows, -1)
        for rows in (1, 2, 8)
    }
    for rows, result in results.items():
        assert np.array_equal(result, results[8][:rows])


@pytest.mark.parametrize(
    ("stage", "options"),
    [
        (norm_linear("f16", 2, 8, 64), {}),
        (norm_linear("q4_scale", 2, 8, 64), {"is_software": True}),
    ],
)
def test_what_cannot_be_packed_stays_float32(run_stage, stage, options) -> None:
    played = run_stage(stage, **options)
    played.assert_close(stage.program.build().ops[-1].y)
