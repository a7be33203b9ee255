"""What configurations allow, and what the kernels have room for."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from gemma4_configs import SMALL
from leadout import ops
from leadout.checkpoint.synthetic import checkpoint_of
from leadout.config.checks import (
    MAX_EXPERTS,
    MAX_HEAD_DIM,
    MAX_HIDDEN_SIZE,
    MAX_TOP_K_EXPERTS,
    MAX_VOCAB_SIZE,
)
from leadout.devices.numpy import NumpyDevice
from leadout.errors import DeviceLimitError, RequestError
from leadout.forecast import forecast
from leadout.layouts import Matrix, Shard
from leadout.lowering import lower
from leadout.ops import ProgramBuilder
from leadout.plan import Binding
from leadout.planning import LoadOptions, plan_load
from leadout.rows import rows_of
from leadout.state import MAX_CONTEXT_LENGTH
from leadout_build.site.kernels import read_variants
from leadout_build.site.templates import WgslTemplates
from lowered import FOLDER, LoweringDevice, caps

#: Of workgroup memory, on every adapter.
LEAST_WORKGROUP_BYTES = 16_384

#: All kernels whose workgroup memory grows with an `override`, and the most that it is in a model.
GROWING = {
    "rms_norm": {"D": MAX_HIDDEN_SIZE},
    "add_rms_norm": {"D": MAX_HIDDEN_SIZE},
    "attention_segments": {"D": MAX_HEAD_DIM},
    "attention_combine": {"D": MAX_HEAD_DIM},
}

#: A workgroup's arrays: the type of what they hold, and how many.
ARRAY = re.compile(r"^var<workgroup> \w+: array<((?:[^<>,]|<\w+>)+), ([^>]+)>;", re.MULTILINE)
NUMBER = re.compile(r"^(?:const|override) (\w+)(?:: \w+)? = ([^;]+);", re.MULTILINE)
SIZES = {"f32": 4, "i32": 4, "u32": 4, "atomic<u32>": 4, "vec2<f32>": 8, "vec2<u32>": 8}


def test_configurations_allow_what_the_kernels_have_room_for() -> None:
    constant = caps().constant
    assert constant("route", "MAX_EXPERTS") == constant("expert_tiles", "MAX_EXPERTS")
    assert constant("route", "MAX_EXPERTS") == MAX_EXPERTS
    assert constant("route", "MAX_TOP") == MAX_TOP_K_EXPERTS
    assert 1 << constant("ngram_draft", "POSITION_BITS") == MAX_CONTEXT_LENGTH
    assert constant("add_rms_norm.norm.plain", "MAX_COLUMNS") >= MAX_HIDDEN_SIZE
    for parts, behind in (
        ("choose_partial.all", "choose_collect.all"),
        ("choose_partial.mapped", "choose_collect.mapped"),
        ("logprobs_partial", "logprobs_final"),
    ):
        assert constant(parts, "CHUNK") * caps().threads(behind) == MAX_VOCAB_SIZE, parts


class Numbers(dict[str, object]):
    """The numbers of a kernel's code by name, worked out as they are wanted."""

    def __init__(self, code: str, overrides: Mapping[str, int]) -> None:
        super().__init__(overrides)
        self["max"] = max
        self["select"] = lambda no, yes, which: yes if which else no
        self._texts = dict(NUMBER.findall(code))

    def __missing__(self, name: str) -> int:
        return self.value(self._texts[name])

    def value(self, text: str) -> int:
        """Return what an expression over whole numbers is."""
        return int(eval(re.sub(r"(\d)u\b", r"\1", text).replace("/", "//"), {}, self))


def workgroup_bytes(code: str, overrides: Mapping[str, int]) -> int:
    """Return how much a workgroup's arrays take, of vec4<f32> where `SIZES` has nothing else."""
    numbers = Numbers(code, overrides)
    return sum(SIZES.get(kind, 16) * numbers.value(count) for kind, count in ARRAY.findall(code))


def test_the_largest_models_fit_into_the_workgroup_memory_that_every_adapter_has() -> None:
    templates = WgslTemplates(FOLDER)
    found = {
        variant.name: workgroup_bytes(
            templates.render(variant.kernel, variant.values).code, GROWING[variant.kernel]
        )
        for variant in read_variants(FOLDER)
        if variant.kernel in GROWING
    }
    assert max(found.values()) <= LEAST_WORKGROUP_BYTES
    assert found["rms_norm.packed"] > LEAST_WORKGROUP_BYTES - 64, "a wider row would fit"


def matrix(num_rows: int, num_cols: int) -> ops.LinearLayer:
    planes = (Binding("w", 0, 4 * num_rows * num_cols),)
    shard = Shard(0, num_rows, planes)
    return ops.LinearLayer([(Matrix("w", num_rows, num_cols, "f32", (shard,)), 0)], num_rows)


def test_a_grid_that_webgpu_does_not_take_is_refused_by_name() -> None:
    num_outputs = 1 << 23
    p = ProgramBuilder("test")
    x, y = p.tensor("x", 32, 64), p.tensor("y", 32, num_outputs)
    p.add(ops.Linear("wide", matrix(num_outputs, 64), x, rows_of("rows", 32, is_prefill=True), y))
    with pytest.raises(DeviceLimitError, match=r"wide takes 131,072 workgroups .* allows 65,535"):
        lower(p.build(), caps())


async def test_no_context_is_longer_than_positions_can_be_told_apart() -> None:
    checkpoint = checkpoint_of("long", {**SMALL, "max_position_embeddings": 1 << 30})
    options = LoadOptions(context_length=MAX_CONTEXT_LENGTH + 1)
    with pytest.raises(RequestError, match="allows at most 16777216"):
        await plan_load(NumpyDevice(), checkpoint, None, options)
    found = await forecast(NumpyDevice(1 << 40), checkpoint, None, LoadOptions())
    assert found.max_context_length == MAX_CONTEXT_LENGTH


@pytest.mark.parametrize("is_software", [False, True])
async def test_the_largest_vocabulary_has_kernels_on_every_adapter(is_software: bool) -> None:
    sizes = {"vocab_size": MAX_VOCAB_SIZE, "vocab_size_per_layer_input": MAX_VOCAB_SIZE}
    device = LoweringDevice(caps(is_software=is_software))
    planned = await plan_load(
        device, checkpoint_of("wide", {**SMALL, **sizes}), None, LoadOptions()
    )
    assert planned.passes.tables.vocab_size == MAX_VOCAB_SIZE
