"""A stand-in for an unknown GPU, for forecasts on the command line."""

from __future__ import annotations

from leadout.devices.base import DeviceInfo
from leadout.ops import Program

#: The largest binding and buffer, as in Dawn. On a device with a lower limit, matrices are split
#: over more buffers, and take the same number of bytes.
_MAX_BYTES = (1 << 31) - 4


class AnyGpu:
    """Implements `planning.PlanningDevice`. A real device may need some scratch memory on top."""

    def __init__(self) -> None:
        self.info = DeviceInfo("any GPU", _MAX_BYTES, _MAX_BYTES)

    def lower(self, program: Program, precision: str = "accurate") -> Program:
        """Return the Program unchanged, because the device's kernels are not known."""
        del precision
        return program
