"""Norms, residuals and taking a row."""

import numpy as np
import pytest
from stage import Stage

from leadout import ops

EPS = 1e-6

on_both = pytest.mark.parametrize("is_software", [False, True])


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("size", [4, 32, 640, 1152, 1536])
@pytest.mark.parametrize("scale", [1.0, 0.125])
@on_both
def test_a_norm(run_stage, size, scale, is_software) -> None:
    stage, x = Stage(), normal(size, 3, size)
    x[1] *= 1e-4  # so small that eps counts
    y = stage.output("y", 3, size)
    weight = stage.vector("weight", normal(1, size))
    stage.add(ops.RmsNorm("n", stage.tensor("x", x), weight, y, EPS, scale))
    run_stage(stage, is_software=is_software).assert_close(y)


@pytest.mark.parametrize("size", [4, 32, 640, 1152, 1536])
@pytest.mark.parametrize("is_followed", [True, False])
@pytest.mark.parametrize("is_scaled", [True, False])
@on_both
def test_a_residual_and_the_norm_behind_it(
    run_stage, size, is_followed, is_scaled, is_software
) -> None:
    stage = Stage()
    x, h = stage.tensor("x", normal(size, 3, size)), stage.tensor("h", normal(2, 3, size))
    post, weight = (stage.vector(name, normal(len(name), size)) for name in ("post", "weight"))
    scalar = stage.vector("scalar", np.array([0.37], np.float32)) if is_scaled else None
    h_out, y = stage.output("h_out", 3, size), stage.output("y", 3, size)
    stage.add(ops.AddNorm("add", x, post, h, h_out, EPS, scalar))
    if is_followed:
        stage.add(ops.RmsNorm("norm", h_out, weight, y, EPS))
    takes = ["add_rms_norm" if is_followed else "add_norm"]
    played = run_stage(stage, is_software=is_software, takes=takes)
    played.assert_close(h_out, y)
    played.assert_equal("h")


@pytest.mark.parametrize("size", [4, 96, 1152])
def test_the_sum_of_two_norms(run_stage, size) -> None:
    stage = Stage()
    x, z = stage.tensor("x", normal(1, 3, size)), stage.tensor("z", 50 * normal(2, 3, size))
    x_weight, z_weight = (stage.vector(name, normal(7, size)) for name in ("xw", "zw"))
    y = stage.output("y", 3, size)
    stage.add(ops.RmsNormSum("s", x, x_weight, z, z_weight, y, EPS))
    run_stage(stage).assert_close(y)


@pytest.mark.parametrize(("size", "layers"), [(32, 3), (256, 5), (260, 1)])
@on_both
def test_per_layer_inputs(run_stage, size, layers, is_software) -> None:
    stage, shape = Stage(), (2, layers, size)
    projected = stage.tensor("projected", normal(1, *shape))
    embedded = stage.tensor("embedded", normal(2, *shape))
    weight, y = stage.vector("weight", normal(3, size)), stage.output("y", *shape)
    stage.add(ops.PerLayerInput("p", projected, embedded, weight, y, EPS, 0.02))
    run_stage(stage, is_software=is_software).assert_close(y)


def test_the_last_row_is_copied_and_nothing_else(run_stage) -> None:
    stage = Stage()
    x, y = stage.tensor("x", normal(0, 5, 300)), stage.output("y", 1, 300)
    stage.add(ops.TakeLastRow("t", x, y))
    run_stage(stage).assert_equal("y")
