"""A GPU that nobody has seen, for forecasts on the command line."""

from __future__ import annotations

from leadout.devices.base import DeviceInfo
from leadout.ops import Program

#: What bindings and buffers may have at most, as Dawn has it. Where a device allows less, matrices
#: lie in more buffers, and take the same bytes.
_MAX_BYTES = (1 << 31) - 4


class AnyGpu:
    """Implements `planning.PlanningDevice`; kernels of its own might take some scratch on top."""

    def __init__(self) -> None:
        self.info = DeviceInfo("any GPU", _MAX_BYTES, _MAX_BYTES)

    def lower(self, program: Program, precision: str = "accurate") -> Program:
        """Return the Program: which kernels it takes is not known."""
        del precision
        return program
