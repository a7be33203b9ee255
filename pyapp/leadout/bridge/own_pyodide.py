"""Leadout in a Pyodide of somebody's own: a notebook's, or a page's.

web/own_pyodide.js calls `install` with what JavaScript offers; from then on `leadout.load` works.
There is no worker of ours in between, so nothing is posted: what is loaded here is used here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from leadout.bridge.model_loader import ModelLoader
from leadout.bridge.values import js_errors
from leadout.devices.base import Progress
from leadout.engine import Engine, LoadOptions, OnPhase
from leadout.errors import DeviceUnavailableError


@dataclass(frozen=True)
class _Installed:
    """What JavaScript gave.

    Attributes:
        host: the host object of web/host.js.
        find: from a model's and a drafter's name to both `ModelRef`s, as JSON.
    """

    host: Any
    find: Any


_installed: list[_Installed] = []


def install(host: Any, find: Any) -> None:
    """Take what JavaScript offers; JavaScript's objects live as long as this module."""
    _installed[:] = [_Installed(host, find)]


async def open_engine(
    model: str,
    drafter: str,
    options: LoadOptions,
    on_phase: OnPhase,
    on_progress: Progress,
) -> tuple[Engine, Callable[[], None]]:
    """Load a model for `leadout.load`; see there.

    Each engine has a device of its own.

    Returns:
        the engine, and what gives its device back.

    Raises:
        LeadoutError: see `leadout.load`.
    """
    if not _installed:
        raise DeviceUnavailableError(
            "Leadout's JavaScript is not here, which computes on the GPU; call `await "
            "installLeadout(pyodide)` of python.js before, see static/docs/python.md."
        )
    here = _installed[0]
    with js_errors():
        found = json.loads(await here.find(model, "none" if drafter == "given" else drafter))
    if found["drafter"] is not None:
        drafter = "mtp"
    elif drafter == "auto":
        drafter = "given"  # what a person's own drafter needs
    loader = ModelLoader(here.host)
    device = await loader.new_device()
    try:
        engine = await loader.load(
            device,
            found["model"],
            found["drafter"],
            replace(options, drafter=drafter),
            on_phase,
            on_progress,
        )
    except BaseException:
        device.close()
        raise
    return engine, device.close
