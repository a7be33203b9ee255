"""What kernels need beyond WebGPU's baseline: what is asked for, and what happens without it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from gpu_page import GpuPage, GpuRuntime

from leadout.errors import DeviceError
from lowered import all_features


def test_kernels_are_asked_for_features_that_the_runtime_asks_for(gpu_page: GpuPage) -> None:
    wanted = gpu_page.evaluate(
        "import('/web/runtime/requested.js').then((module) => module.WANTED_FEATURES)"
    )
    of_wgsl = gpu_page.evaluate("[...navigator.gpu.wgslLanguageFeatures]")
    assert all_features() <= {*wanted, *of_wgsl}
    assert set(wanted) - all_features() == {"timestamp-query"}, "none that nothing uses"


def test_a_kernel_whose_feature_is_missing_is_refused(
    make_runtime: Callable[..., GpuRuntime],
) -> None:
    missing = "packed_4x8_integer_dot_product"
    with_it, without = make_runtime(), make_runtime(hidden_features=[missing])
    assert missing in with_it.info["features"]
    assert missing not in without.info["features"]
    plan = {
        "name": "packing",
        "pipelines": [{"variant": "rms_norm.packed", "constants": {"D": 32, "EPS": 0}}],
        "dispatches": [],
        "params": [],
    }
    with_it.compile(plan)
    with pytest.raises(DeviceError, match=f"rms_norm.packed.* needs {missing}"):
        without.compile(plan)
