"""Which kernels a model's Programs take on which adapter."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

from engine_cases import load, open_files
from leadout import lowering, ops
from leadout.checkpoint.synthetic import synthetic_checkpoint
from leadout.errors import DeviceError
from leadout.layouts import Vector
from leadout.lowering import kernels_of, lower
from leadout.lowering.builder import PlanBuilder
from leadout.lowering.kernel import KERNELS
from leadout.lowering.linear import matvec_form
from leadout.ops import Op, Program, ProgramBuilder
from leadout.plan import Binding, Plan
from leadout.planning import LoadOptions, plan_load
from lowered import ListeningDevice, LoweringDevice, all_features, caps
from lowered import kernels as kernels_built
from matvec_forms import FORMS, shape_of
from speculation_cases import pair_files

LOWERING = Path(lowering.__file__).parent

#: What takes the place of these on an adapter that computes on the CPU is solo_matvec.
FOR_GPUS = {"matvec", "matmul"}


async def programs(family: str) -> list[Program]:
    device = ListeningDevice()
    await load(device, *pair_files(family), max_draft_tokens=3)
    return device.programs


def kernels(plans: list[Plan]) -> set[str]:
    return {spec.variant.split(".")[0] for plan in plans for spec in plan.pipelines}


@pytest.mark.parametrize("family", ["e2b", "26b-a4b"])
async def test_software_and_gpus_have_kernels_of_their_own(family) -> None:
    found = await programs(family)
    on_gpu = kernels([lower(program, caps()) for program in found])
    on_software = kernels([lower(program, caps(is_software=True)) for program in found])
    assert on_gpu & FOR_GPUS == FOR_GPUS
    assert not on_software & FOR_GPUS
    assert "solo_matvec" in on_software - on_gpu


@pytest.mark.parametrize("family", ["e2b", "26b-a4b"])
async def test_every_binding_lies_in_a_buffer_that_is_known(family) -> None:
    device = ListeningDevice()
    engine = await load(device, *pair_files(family), max_draft_tokens=3)
    known = {*engine.model.buffers, *engine.decoder.passes.score_buffers}
    for program in device.programs:
        if program.name in ("check-weights", "fill-weights"):
            continue
        plan = lower(program, caps())
        assert set(plan.constants) <= set(plan.buffers)
        bound = {binding.buffer for one in plan.dispatches for binding in one.bindings}
        assert bound <= known | set(plan.buffers)


@pytest.mark.parametrize("is_software", [False, True])
@pytest.mark.parametrize("parallel", [1, 2])
@pytest.mark.parametrize("family", ["e2b", "26b-a4b"])
async def test_loading_writes_the_numbers_of_all_plans_also_of_later_ones(
    family, parallel, is_software
) -> None:
    target, drafter = [await open_files(files) for files in pair_files(family)]
    options = LoadOptions(drafter="mtp", max_draft_tokens=3, parallel=parallel)
    device = LoweringDevice(caps(is_software=is_software))
    passes = (await plan_load(device, target, drafter, options)).passes
    plans = [*passes.prefills(), *passes.checks.values(), passes.score]
    embedded = []
    for rows in passes.prefill_last:
        embedded += [passes.embedded.prefill[rows], passes.embedded.prefill_open[rows]]
        embedded += [passes.embedded.last_prefills(one)[rows] for one in (False, True)]
    for plan in embedded:
        assert plan.buffers.keys() <= passes.buffers.keys(), plan.name
    plans += embedded
    for has_logprobs in (False, True):
        plans += [passes.last_prefills(has_logprobs)[rows] for rows in passes.prefill_last]
        for groups in passes.group_counts:
            plans += [passes.cycles_of(groups, has_logprobs)[k] for k in passes.cycles_of(groups)]
            plans += passes.all_parts(groups, has_logprobs)
    assert len({plan.name for plan in plans}) > (40 if parallel > 1 else 30)
    for plan in plans:
        assert plan.constants.items() <= passes.constants.items(), plan.name
        assert plan.constants.keys() <= passes.buffers.keys(), plan.name


@pytest.mark.parametrize("is_software", [False, True])
@pytest.mark.parametrize("family", ["e2b", "26b-a4b"])
async def test_a_cycle_in_parts_takes_a_cycles_kernels_and_buffers(family, is_software) -> None:
    """So that logits have the same bits, and what a part leaves for the next one is written."""
    device = ListeningDevice()
    engine = await load(device, *pair_files(family), max_draft_tokens=3)
    passes = engine.decoder.passes
    list(passes.all_parts(1, False))
    named = {program.name: program for program in device.programs}
    known = set(engine.model.buffers)

    def dispatches(*names: str) -> list[tuple[object, ...]]:
        found = []
        for name in names:
            plan = lower(named[name], caps(is_software=is_software))
            if name.startswith("cycle"):
                known.update(plan.buffers)
            new = {name for name in plan.buffers if not name.startswith("uniform.")} - known
            assert not new, f"{name} needs {new}, which nobody allocates"
            found += [(plan.pipelines[one.pipeline].key(), one.bindings) for one in plan.dispatches]
        return found

    plain, drafted = dispatches("cycle-0"), dispatches("cycle-3")
    assert dispatches("given-0", "close-0") == plain
    parts = dispatches("draft-3", "forward-3", "close-3")
    given = [one for one in parts if "place_given" in str(one[0])]
    assert len(given) == 1
    assert [one for one in parts if one not in given] == drafted


def test_every_op_has_a_kernel_of_its_own() -> None:
    """So that whatever a model says can be lowered, fused or not."""
    alone = {one.run[0] for entries in KERNELS.values() for one in entries if len(one.run) == 1}
    fused = {kind for entries in KERNELS.values() for one in entries for kind in one.run}
    every = {
        kind
        for name in ops.__all__
        if isinstance(kind := getattr(ops, name), type) and issubclass(kind, Op) and kind is not Op
    }
    assert alone == fused == every


@pytest.mark.parametrize("path", sorted(LOWERING.glob("*.py")), ids=lambda path: path.stem)
def test_how_much_a_workgroup_does_is_read_from_the_index(path: Path) -> None:
    """Never written down beside the WGSL, where it would go out of step."""
    dividing = {"ceil", "groups", "linear_grid"}
    for call in ast.walk(ast.parse(path.read_text())):
        if isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1] in dividing:
            numbers = [one for one in call.args if isinstance(one, ast.Constant)]
            assert not [one for one in numbers if type(one.value) is int], ast.unparse(call)


VECTOR = Vector("v", 64, Binding("vectors", 0, 256))


def add_and_norm(*, reads_stream_twice: bool = False, eps: float = 1e-6) -> Program:
    p = ProgramBuilder("test")
    weight = lambda name: dataclasses.replace(VECTOR, name=name)  # noqa: E731
    x, h, h_out, y = (p.tensor(name, 2, 64) for name in ("x", "h", "h_out", "y"))
    p.add(ops.AddNorm("add", x, weight("a"), h, h_out, 1e-6))
    p.add(ops.RmsNorm("norm", h if reads_stream_twice else h_out, weight("b"), y, eps))
    return p.build()


def test_neighbours_go_into_one_kernel_only_where_they_fit() -> None:
    def names(program: Program) -> list[str]:
        return [one.name for one, _ in kernels_of(program, caps())]

    assert names(add_and_norm()) == ["add_rms_norm"]
    assert names(add_and_norm(reads_stream_twice=True)) == ["add_norm", "rms_norm"]
    assert names(add_and_norm(eps=1e-5)) == ["add_norm", "rms_norm"]


def test_the_kernels_tests_reach_every_form_of_a_linear_layer() -> None:
    names = [name.split(".") for name in caps().kernels]
    for kernel, others in (("matvec", {"gated", "gelu_times"}), ("packed_matvec", {"gated"})):
        assert {one[-1] for one in names if one[0] == kernel} == others | set(FORMS)
    for form in FORMS:
        assert {matvec_form(*shape_of(form, one)) for one in ("f32", "q8_super16")} == {form}


@pytest.mark.parametrize("features", [frozenset(), all_features()])
async def test_variants_are_taken_only_where_the_device_has_their_features(features) -> None:
    """And where it has them they are; a real model of quantised weights asks for all."""
    device = LoweringDevice(caps(features))
    target, drafter = (synthetic_checkpoint("tiny", role) for role in ("target", "drafter"))
    passes = (await plan_load(device, target, drafter, LoadOptions(drafter="mtp"))).passes
    plans = [*passes.cycles.values(), *passes.checks.values(), *passes.prefills(), passes.score]
    variants = {spec.variant for plan in plans for spec in plan.pipelines}
    assert {name for one in variants for name in kernels_built()[one]["features"]} == features


@pytest.mark.parametrize("variant", ["rms_norm.packed", "no such kernel"])
def test_what_a_device_cannot_run_is_never_dispatched(variant: str) -> None:
    builder = PlanBuilder(add_and_norm(), caps(features=()))
    with pytest.raises(DeviceError, match=f"a norm: this device cannot run the kernel {variant}"):
        builder.dispatch(variant, [], (1, 1, 1), "a norm")
