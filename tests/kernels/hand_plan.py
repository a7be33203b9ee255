"""Plans written by hand, for tests of the runtime: no ops, no lowering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leadout.plan import Binding, Dispatch, Param, Pipeline, Plan


class PlanBuilder:
    """Collects dispatches over buffers that the test allocates."""

    def __init__(self, name: str, params: Sequence[str] = ()) -> None:
        self._name = name
        self._params = tuple(Param(param, 1) for param in params)
        self._pipelines: list[Pipeline] = []
        self._dispatches: list[Dispatch] = []

    def scratch(self, name: str, num_bytes: int) -> Binding:
        """Return a binding to the first bytes of a buffer."""
        return Binding(name, 0, num_bytes)

    def dispatch(
        self,
        variant: str,
        constants: Mapping[str, int | float],
        bindings: Sequence[Binding],
        workgroups: tuple[int | str, int | str, int | str],
        label: str,
    ) -> None:
        """Append one kernel call."""
        pipeline = Pipeline(variant, constants)
        if pipeline not in self._pipelines:
            self._pipelines.append(pipeline)
        index = self._pipelines.index(pipeline)
        self._dispatches.append(Dispatch(index, tuple(bindings), workgroups, label))

    def build(self, readback: Binding | None = None) -> Plan:
        """Return the Plan."""
        return Plan(
            self._name, tuple(self._pipelines), tuple(self._dispatches), self._params, readback
        )
