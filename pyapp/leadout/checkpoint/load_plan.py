"""LoadPlans: how a checkpoint's bytes become weights on a device, as data.

A `LoadPlan` is made in Python from parsed headers and executed by the device (on WebGPU by
web/runtime/load.js; keep in step). Each step reads one byte range of one source into the staging
buffer, behind four words of parameters, and runs one repacking kernel over it. Steps are in the
order of the file's bytes, and none is larger than `STEP_BYTES`, so that neither Python nor
JavaScript ever holds more than a few steps of a checkpoint.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from leadout.plan import Binding, BufferSpec, Json, Pipeline

#: The most bytes one step reads.
STEP_BYTES = 4 << 20

#: Bytes of parameters before the payload in the staging buffer: four 32-bit words.
PARAMS_BYTES = 16


@dataclass(frozen=True)
class LoadStep:
    """Read one range, repack it.

    Attributes:
        source: index of the source (a shard of the checkpoint).
        offset: first byte in that source.
        bytes: how many, at most `STEP_BYTES`.
        params: up to four unsigned words, written before the payload; the repacking kernels
            take (blocks of 32 columns in this step, first block in the destination).
        pipeline: index into `LoadPlan.pipelines`.
        bindings: the kernel's bindings after the first, which is always the staging buffer.
        workgroups: x, y, z.
        label: the tensor's name.
    """

    source: int
    offset: int
    bytes: int
    params: tuple[int, ...]
    pipeline: int
    bindings: tuple[Binding, ...]
    workgroups: tuple[int, int, int]
    label: str


@dataclass(frozen=True)
class LoadPlan:
    """Everything a device needs to load a model; see the module's docstring.

    Attributes:
        buffers: the weights' buffers, by name.
        pipelines: repacking pipelines, without duplicates.
        steps: in file order.
    """

    buffers: Mapping[str, BufferSpec]
    pipelines: tuple[Pipeline, ...]
    steps: tuple[LoadStep, ...]

    @property
    def total_bytes(self) -> int:
        """Bytes that all steps read."""
        return sum(step.bytes for step in self.steps)

    def to_json(self) -> Json:
        """Return the form that crosses to JavaScript (snake_case on both sides)."""
        return Json({**dataclasses.asdict(self), "total_bytes": self.total_bytes})
