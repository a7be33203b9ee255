"""Collects the dispatches of a Plan, and the buffers they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leadout.errors import DeviceError, DeviceLimitError
from leadout.lowering.caps import Caps
from leadout.ops import Program, Tensor
from leadout.plan import (
    BINDING_ALIGNMENT_BYTES,
    MAX_WORKGROUPS_PER_DIMENSION,
    Binding,
    BufferSpec,
    Dispatch,
    Param,
    Pipeline,
    Plan,
    align,
)

#: What a kernel binds.
Bound = Tensor | Binding

#: x, y, z: counts, or a param.
Grid = tuple[int | Param, int | Param, int | Param]


class PlanBuilder:
    """Builds the Plan of one Program.

    Attributes:
        caps: of the adapter.
    """

    def __init__(self, program: Program, caps: Caps) -> None:
        self.caps = caps
        self._program = program
        self._buffers: dict[str, BufferSpec] = {}
        self._constants: dict[str, bytes] = {}
        self._params: dict[str, Param] = {}
        self._pipelines: dict[str, int] = {}
        self._pipeline_list: list[Pipeline] = []
        self._dispatches: list[Dispatch] = []

    def scratch(self, name: str, *shape: int, dtype: str = "f32") -> Tensor:
        """Reserve memory for what stays between a few dispatches; shared by name."""
        tensor = Tensor(name, shape, dtype)
        known = self._buffers.get(name)
        self._buffers[name] = BufferSpec(max(tensor.bytes, known.bytes if known else 0))
        return tensor

    def uniform(self, data: bytes) -> Binding:
        """Return the binding of numbers that a kernel reads instead of having them compiled in.

        So one pipeline serves many shapes. Equal numbers share a buffer, in all Plans of a device.
        """
        data = data.ljust(align(len(data), 16), b"\0")
        name = "uniform." + data.hex()
        self._buffers[name] = BufferSpec(len(data))
        self._constants[name] = data
        return Binding(name, 0, len(data))

    def groups(self, variant: str, count: int, per: str | None = None) -> int:
        """Return how many workgroups of a kernel variant do so many things.

        Args:
            variant: a key of index.json.
            count: of what each thread does one of.
            per: the kernel's `const` that says how many a workgroup does, where threads do more
                or fewer.
        """
        caps = self.caps
        return ceil(count, caps.threads(variant) if per is None else caps.constant(variant, per))

    def dispatch(
        self,
        variant: str,
        bindings: Sequence[Bound],
        workgroups: Grid,
        label: str,
        constants: Mapping[str, int | float] | None = None,
    ) -> None:
        """Append one kernel call.

        Args:
            variant: a key of index.json.
            bindings: in the order of the kernel's.
            workgroups: the grid.
            label: for profiles and error messages.
            constants: values of the kernel's `override` constants.

        Raises:
            DeviceError: the variant was not built, or needs a feature that is not there.
            DeviceLimitError: the grid is larger than WebGPU's.
        """
        if not self.caps.has(variant):
            raise DeviceError(f"{label}: this device cannot run the kernel {variant}.")
        for count in workgroups:
            if isinstance(count, Param):
                self._params[count.name] = count
                continue
            assert count > 0, f"{label}: grid {workgroups}"
            if count > MAX_WORKGROUPS_PER_DIMENSION:
                raise DeviceLimitError(
                    f"{label} takes {count:,} workgroups in one direction, and WebGPU allows "
                    f"{MAX_WORKGROUPS_PER_DIMENSION:,}: the model has more of something than "
                    "Leadout runs. Choose another model.",
                    dispatch=label,
                    workgroups=count,
                    limit=MAX_WORKGROUPS_PER_DIMENSION,
                )
        bound = [one.binding if isinstance(one, Tensor) else one for one in bindings]
        for binding in bound:
            assert binding.offset % BINDING_ALIGNMENT_BYTES == 0, f"{label}: {binding}"
        pipeline = Pipeline(variant, dict(constants or {}))
        index = self._pipelines.setdefault(pipeline.key(), len(self._pipeline_list))
        if index == len(self._pipeline_list):
            self._pipeline_list.append(pipeline)
        x, y, z = (count.name if isinstance(count, Param) else count for count in workgroups)
        self._dispatches.append(Dispatch(index, tuple(bound), (x, y, z), label))

    def build(self) -> Plan:
        """Return the finished Plan; of the Program's tensors, those that kernels still use."""
        program = self._program
        bound = {binding.buffer for one in self._dispatches for binding in one.bindings}
        if program.readback is not None:
            bound.add(program.readback.buffer)
        tensors = {name: spec for name, spec in program.buffers.items() if name in bound}
        return Plan(
            program.name,
            tuple(self._pipeline_list),
            tuple(self._dispatches),
            tuple(self._params.values()),
            program.readback,
            tensors | self._buffers,
            self._constants,
            program.inputs,
        )


def ceil(count: int, per: int) -> int:
    """Return count / per, rounded up."""
    return -(-count // per)


def linear_grid(groups: int, times: int = 1) -> Grid:
    """Spread a linear number of workgroups over x and y, `times` over in z."""
    height = ceil(groups, MAX_WORKGROUPS_PER_DIMENSION)
    return (ceil(groups, height), height, times)
