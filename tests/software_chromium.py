"""How tests start a Chromium of their own, which computes on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from playwright.sync_api import Page

from leadout_build.serving.browser import launch_options
from leadout_build.serving.headless import headless_page

#: How much a function of WebAssembly runs before V8 compiles it once more, optimised; some thirty
#: times V8's own. Most of these pages live for seconds: optimising Python's interpreter took up to
#: two fifths of their CPU time, and saved less. What runs for long is still optimised.
WASM_TIERING_BUDGET = 400_000_000

#: Workgroup memory is zero at first. With this feature of Dawn it is SwiftShader that makes it so,
#: and it compiles a store for every word: four fifths of what kernels took to compile. Without it
#: Dawn writes a loop into the kernel, as it does for Metal and Direct3D.
ZEROS_BY_DRIVER = "use_vulkan_zero_initialize_workgroup_memory_extension"


def software_options(*js_flags: str) -> dict[str, Any]:
    """Return what Playwright's `launch` takes.

    Args:
        js_flags: more flags of V8.
    """
    options = launch_options(software=True)
    options["args"] += _flags(js_flags)
    return options


def software_page(url: str, extra_args: Sequence[str] = ()) -> AbstractContextManager[Page]:
    """Open a URL in a browser that ends with the context; see `headless_page`."""
    return headless_page(url, [*_flags(), *extra_args])


def _flags(js_flags: Sequence[str] = ()) -> list[str]:
    """Return what all these browsers are started with, beside what `launch_options` has."""
    of_v8 = " ".join([f"--wasm-tiering-budget={WASM_TIERING_BUDGET}", *js_flags])
    return [f"--js-flags={of_v8}", f"--disable-dawn-features={ZEROS_BY_DRIVER}"]
