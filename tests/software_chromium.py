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


def software_options(*js_flags: str) -> dict[str, Any]:
    """Return what Playwright's `launch` takes.

    Args:
        js_flags: more flags of V8.
    """
    options = launch_options(software=True)
    options["args"].append(_js_flags(*js_flags))
    return options


def software_page(url: str, extra_args: Sequence[str] = ()) -> AbstractContextManager[Page]:
    """Open a URL in a browser that ends with the context; see `headless_page`."""
    return headless_page(url, [_js_flags(), *extra_args])


def _js_flags(*more: str) -> str:
    return " ".join([f"--js-flags=--wasm-tiering-budget={WASM_TIERING_BUDGET}", *more])
