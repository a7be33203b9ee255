"""Ops on WebGPU and on NumPy, from the same memory.

A `Stage` collects tensors with contents and the ops over them. `run_stage` (a fixture) lowers the
ops for one adapter, runs the Plan in the browser and the ops in NumPy, and gives back what both
left in every tensor. So whatever kernels lowering takes for a run of ops are tested against the
meaning of these ops; a test says which kernels it is about by `takes`.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from compare import POISON, Array, assert_close, random_planes, row_table, words
from gpu_page import GpuRuntime

from leadout import ops
from leadout.devices.numpy_ops import Memory, load_meanings
from leadout.kv_cache import KvCache
from leadout.layouts import LAYOUTS, Matrix, Shard, Vector
from leadout.lowering import Caps, kernels_of, lower
from leadout.ops import Op, ProgramBuilder, Tensor
from leadout.plan import Binding, align
from leadout.rows import Rows, padded

Words = npt.NDArray[np.uint32]


class Stage:
    """Tensors with contents, and ops over them."""

    def __init__(self) -> None:
        self.program = ProgramBuilder("stage")
        self.contents: dict[str, Words] = {}

    def add(self, op: Op) -> None:
        self.program.add(op)

    def tensor(self, name: str, values: Array) -> Tensor:
        """Return a tensor that holds values of f32 or u32."""
        dtype = "u32" if values.dtype == np.uint32 else "f32"
        self.contents[name] = words(values).copy()
        return Tensor(name, values.shape, dtype)

    def output(self, name: str, *shape: int, dtype: str = "f32") -> Tensor:
        """Return a tensor that nobody has written."""
        self.contents[name] = np.full(int(np.prod(shape)), POISON, np.uint32)
        return Tensor(name, shape, dtype)

    def hold(self, binding: Binding, values: Array) -> None:
        """Give a whole buffer its contents."""
        self.contents[binding.buffer] = words(values).copy()
        assert self.contents[binding.buffer].nbytes == binding.bytes

    def rows(
        self,
        rows: Sequence[tuple[int, int, int, bool]],
        name: str = "rows",
        *,
        prefill: bool = False,
    ) -> Rows:
        """Return rows with a table of (lane, position, token, is_valid)."""
        return self.row_table(row_table(rows), name, prefill=prefill)

    def row_table(self, table: Words, name: str = "rows", *, prefill: bool = False) -> Rows:
        """Return rows with a whole table, and as many more, not valid, as kernels want."""
        table = table.reshape(-1, 4)
        count = len(table) if prefill else padded(len(table))
        table = np.concatenate([table, np.zeros((count - len(table), 4), np.uint32)])
        self.contents[name] = words(table).copy()
        return Rows(count, Binding(name, 0, table.nbytes), prefill)

    def count(self, rows: int, *, prefill: bool = False) -> Rows:
        """Return rows of which only the number counts."""
        return self.rows([(0, i, 0, True) for i in range(rows)], prefill=prefill)

    def vector(self, name: str, values: Array) -> Vector:
        """Return a vector of the weights; all lie in one buffer, as loading places them."""
        known = self.contents.get("vectors", np.zeros(0, np.uint32))
        added = words(values.astype(np.float32))
        size = align(added.nbytes) // 4
        self.contents["vectors"] = np.concatenate([known, np.zeros(size, np.uint32)])
        self.contents["vectors"][len(known) : len(known) + len(added)] = added
        return Vector(name, len(values), Binding("vectors", known.nbytes, added.nbytes))

    def matrix(
        self, name: str, layout: str, num_rows: int, num_cols: int, shards: Sequence[int] = ()
    ) -> Matrix:
        """Return a matrix of any quants, cut before the rows in `shards`."""
        starts = [0, *shards, num_rows]
        made = []
        for i, (first, end) in enumerate(itertools.pairwise(starts)):
            planes = [words(p) for p in random_planes(layout, end - first, num_cols, seed=i)]
            bindings, parts, place = [], [], 0
            for plane in planes:
                bindings.append(Binding(f"{name}#{i}", place, plane.nbytes))
                padding = align(plane.nbytes) - plane.nbytes
                parts += [plane, np.zeros(padding // 4, np.uint32)]
                place += plane.nbytes + padding
            self.contents[f"{name}#{i}"] = np.concatenate(parts)
            made.append(Shard(first, end - first, tuple(bindings)))
        assert len(planes) == len(LAYOUTS[layout].planes)
        return Matrix(name, num_rows, num_cols, layout, tuple(made))

    def linear(
        self, name: str, layout: str, num_rows: int, num_cols: int, shards: Sequence[int] = ()
    ) -> ops.LinearLayer:
        """Return a linear layer of one matrix."""
        return ops.LinearLayer(
            [(self.matrix(name, layout, num_rows, num_cols, shards), 0)], num_rows
        )

    def cache(self, cache: KvCache, seed: int | None = None) -> KvCache:
        """Give a cache random contents, or (seed None) none that anybody wrote."""
        for binding in (cache.keys, cache.values):
            if seed is None:
                self.contents[binding.buffer] = np.full(binding.bytes // 4, POISON, np.uint32)
                continue
            size = binding.bytes // (4 if cache.dtype == "f32" else 2)
            rng = np.random.default_rng(seed)
            values = rng.standard_normal(size).astype(
                np.float32 if cache.dtype == "f32" else np.float16
            )
            self.hold(binding, values)
            seed += 1
        return cache


@dataclasses.dataclass(frozen=True)
class Played:
    """What a stage's buffers hold afterwards, as words by name: on WebGPU, and in NumPy."""

    gpu: dict[str, Words]
    numpy: dict[str, Words]
    stage: Stage

    def floats(self, tensor: Tensor) -> npt.NDArray[np.float32]:
        """Return a tensor as WebGPU left it."""
        return (
            self.gpu[tensor.buffer]
            .view(np.float32)[: int(np.prod(tensor.shape))]
            .reshape(tensor.shape)
        )

    def integers(self, tensor: Tensor) -> Words:
        """Return a tensor of u32 as WebGPU left it."""
        return self.gpu[tensor.buffer][: int(np.prod(tensor.shape))].reshape(tensor.shape)

    def assert_close(self, *tensors: Tensor, **options: float) -> None:
        """Assert that both left float32 tensors alike, as far as orders of adding allow."""
        for tensor in tensors:
            assert_close(self.gpu[tensor.buffer], self.numpy[tensor.buffer], **options)

    def assert_equal(self, *names: str) -> None:
        """Assert that both left buffers with the same words."""
        for name in names:
            assert np.array_equal(self.gpu[name], self.numpy[name]), name


def play(
    runtime: GpuRuntime,
    stage: Stage,
    caps: Caps,
    *,
    num_positions: int = 0,
    takes: Sequence[str] = (),
) -> Played:
    """Run a stage on both.

    Args:
        runtime: in the browser.
        stage: is left as it is.
        caps: of the adapter that lowering is to think of.
        num_positions: see `Device.submit`.
        takes: the kernels' functions that lowering must choose, all of them in order.
    """
    program = stage.program.build()
    chosen = [one.name for one, _ in kernels_of(program, caps)]
    assert not takes or chosen == list(takes), chosen
    plan = lower(program, caps)
    # What a kernel does not write is seen: scratch is poisoned too.
    buffers: dict[str, Words | bytes] = {
        name: np.full(spec.bytes // 4, POISON, np.uint32) for name, spec in plan.buffers.items()
    }
    buffers |= plan.constants
    buffers |= stage.contents
    read = list(stage.contents)
    gpu = runtime.run_plan(plan.to_json(), buffers, plan.values(num_positions), read)
    held = {name: content.copy() for name, content in stage.contents.items()}
    memory, meanings = Memory(held), load_meanings()
    for op in program.ops:
        meanings[type(op)](op, memory)
    return Played(gpu, held, stage)
