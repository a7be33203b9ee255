"""Sampling settings, and how they lie in device memory.

The choice itself is made on the device (web/kernels/choose_few.wgsl, choose_final.wgsl): a pure
function of the logits, these settings and the absolute position, so that it does not depend
on how a token was drafted or how far the device runs ahead.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from leadout.errors import RequestError
from leadout.plan import Binding, BufferSpec

SETTINGS_BYTES = 32


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen from logits.

    Attributes:
        temperature: ≥ 0; 0 takes the largest logit and ignores the filters below.
        top_k: keep the k most probable tokens; 0 = off.
        top_p: keep the fewest most probable tokens that make up this share; 1 = off.
        min_p: keep tokens with at least this share of the largest probability; 0 = off.
        repetition_penalty: > 0; above 1 makes tokens of the prompt and the output less likely.
        seed: unsigned 32-bit; the same seed gives the same text.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        _check("temperature", self.temperature, 0.0, 100.0, "0 to 100")
        _check("top_k", self.top_k, 0, 2**31 - 1, "0 (off) or a count")
        _check("top_p", self.top_p, 1e-6, 1.0, "above 0, up to 1 (off)")
        _check("min_p", self.min_p, 0.0, 1.0, "0 (off) to 1")
        _check("repetition_penalty", self.repetition_penalty, 1e-3, 1e3, "above 0; 1 is off")
        _check("seed", self.seed, 0, 2**32 - 1, "a whole number from 0 to 4294967295")
        for name in ("top_k", "seed"):
            if not isinstance(getattr(self, name), int):
                raise RequestError(f"{name} is {getattr(self, name)!r}; wanted a whole number.")

    def pack(self) -> bytes:
        """Return the `Settings` struct of web/kernels/shared/settings.wgsl; keep in step."""
        return struct.pack(
            "<fIfffIII",
            self.temperature,
            self.top_k,
            self.top_p,
            self.min_p,
            self.repetition_penalty,
            self.seed,
            0,
            0,
        )


def _check(name: str, value: float, low: float, high: float, wanted: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or math.isnan(value) or not low <= value <= high:
        raise RequestError(f"{name} is {value!r}; wanted {wanted}.", field=name)


def settings(num_lanes: int) -> Binding:
    """Return the binding of all lanes' settings."""
    return Binding("settings", 0, SETTINGS_BYTES * num_lanes)


def buffers(num_lanes: int) -> dict[str, BufferSpec]:
    """Return the buffer of all lanes' settings."""
    return {"settings": BufferSpec(SETTINGS_BYTES * num_lanes)}
