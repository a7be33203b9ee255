"""The options of the Chromium that tests start."""

from __future__ import annotations

from typing import Any

from leadout_build.serving.browser import launch_options

#: How much a function of WebAssembly runs before V8 compiles it once more, optimised; some thirty
#: times V8's own. Most of these pages live for seconds: optimising Python's interpreter took up to
#: two fifths of their CPU time, and saved less. What runs for long is still optimised.
WASM_TIERING_BUDGET = 400_000_000

#: Workgroup memory is zero at first. With this feature of Dawn it is SwiftShader that makes it so,
#: and it compiles a store for every word: four fifths of what kernels took to compile. Without it
#: Dawn writes a loop into the kernel, as it does for Metal and Direct3D.
ZEROS_BY_DRIVER = "use_vulkan_zero_initialize_workgroup_memory_extension"


def software_options(*js_flags: str) -> dict[str, Any]:
    """Return what Playwright's `launch` takes, for a Chromium that computes on the CPU.

    Args:
        js_flags: more flags of V8.
    """
    return _with_flags(launch_options(software=True), *js_flags)


def engine_options() -> dict[str, Any]:
    """Return the same for pages that load a real model: these take a GPU, if there is one."""
    return _with_flags(launch_options())


def _with_flags(options: dict[str, Any], *js_flags: str) -> dict[str, Any]:
    of_v8 = " ".join([f"--wasm-tiering-budget={WASM_TIERING_BUDGET}", *js_flags])
    more = [f"--js-flags={of_v8}", f"--disable-dawn-features={ZEROS_BY_DRIVER}"]
    return {**options, "args": [*options["args"], *more]}
