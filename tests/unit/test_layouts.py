"""Tests of leadout.layouts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import gguf
import numpy as np
import pytest

from leadout.devices.numpy_ops.weights import dequantize
from leadout.layouts import BLOCK, FORMATS, LAYOUT_OF_FORMAT, LAYOUTS
from leadout_build.site.kernels import read_variants
from leadout_build.site.reflection import reflect
from leadout_build.site.templates import WgslTemplates
from raw_blocks import WHOLE_FORMATS

KERNELS = Path(__file__).parents[2] / "web/kernels"

#: (kernel, layout) -> a variant that reads it.
READERS = {
    (variant.kernel, variant.values["layout"]): variant
    for variant in read_variants(KERNELS)
    if "layout" in variant.values
}

#: Planes that leave room for all that add_matvec binds.
MOST_ADDING_PLANES = 2

#: Kernels that do not read all layouts -> those that they read.
SOME_LAYOUTS = {
    "packed_matvec": {name for name, layout in LAYOUTS.items() if layout.is_quantised},
    "norm_gated": {name for name, layout in LAYOUTS.items() if layout.is_quantised},
    "add_matvec": {
        name for name, layout in LAYOUTS.items() if len(layout.planes) <= MOST_ADDING_PLANES
    },
}


@pytest.mark.parametrize("name", WHOLE_FORMATS)
def test_block_sizes_equal_those_of_the_gguf_package(name: str) -> None:
    expected = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    assert (FORMATS[name].columns, FORMATS[name].bytes) == expected


def test_every_layout_is_made_by_a_format_and_every_format_makes_a_layout() -> None:
    assert set(LAYOUT_OF_FORMAT.values()) == set(LAYOUTS)
    assert LAYOUT_OF_FORMAT.keys() == FORMATS.keys()


@pytest.mark.parametrize(
    ("layout", "bits_per_weight"),
    [
        ("f32", 32),
        ("f16", 16),
        ("bf16", 16),
        ("q4_scale", 4.5),
        ("q4_affine", 5),
        ("q4_affine_bf16", 5),
        ("q4_super", 4.625),
        ("q8_scale", 8.5),
        ("q8_affine", 9),
        ("q8_affine_bf16", 9),
        ("q8_super", 8.625),
        ("q8_super16", 8.625),
    ],
)
def test_layouts_take_the_documented_bits_per_weight(layout: str, bits_per_weight: float) -> None:
    assert LAYOUTS[layout].bytes(64, 256) * 8 == 64 * 256 * bits_per_weight


def test_planes_of_an_odd_number_of_blocks_are_whole_words() -> None:
    quants, scale = LAYOUTS["q4_scale"].planes
    assert (quants.bytes(3), scale.bytes(3)) == (48, 8)
    assert LAYOUTS["q4_scale"].bytes(3, BLOCK) == 56


def test_rows_of_super_blocks_are_a_whole_number_of_words_in_every_plane() -> None:
    for plane in LAYOUTS["q8_super16"].planes:
        assert plane.bytes(8) == 4 * 8 * plane.words_per_block


def test_where_there_is_an_offset_scaled_quants_begin_with_zero() -> None:
    """On this the reader of matmul relies."""
    for layout in LAYOUTS.values():
        assert layout.zero == layout.quants.start or not layout.has_offset


def test_every_layout_has_a_variant_of_every_kernel_that_may_read_it() -> None:
    for kernel in {kernel for kernel, _ in READERS}:
        listed = {name for reader, name in READERS if reader == kernel}
        assert listed == SOME_LAYOUTS.get(kernel, set(LAYOUTS)), f"{kernel} in variants.toml"


@pytest.mark.parametrize("name", LAYOUTS)
def test_kernels_bind_the_planes_of_a_layout_and_read_them_by_its_fields_alone(name: str) -> None:
    templates = WgslTemplates(KERNELS)
    layout = LAYOUTS[name]
    renamed = dataclasses.replace(layout, name="another")
    planes = [{"scale": "scales", "super": "supers"}.get(p.name, "quants") for p in layout.planes]
    variants = {kernel: variant for (kernel, read), variant in READERS.items() if read == name}
    for kernel, variant in variants.items():
        rendered = templates.render(kernel, variant.context)
        bound = [binding.name for binding in reflect(rendered).bindings]
        assert bound[: len(planes)] == planes, kernel
        assert not {"scales", "supers"} & set(bound[len(planes) :]), kernel
        code = templates.render(kernel, variant.context | {"layout": renamed}).code
        assert code == rendered.code.replace(f'layout "{name}"', 'layout "another"'), kernel


@pytest.mark.parametrize("name", LAYOUTS)
def test_numpy_reads_a_layout_by_its_fields_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LAYOUTS, "another", dataclasses.replace(LAYOUTS[name], name="another"))
    rng = np.random.default_rng(0)
    sizes = [plane.bytes(32) // 4 for plane in LAYOUTS[name].planes]
    planes = [rng.integers(0, 1 << 32, size, np.uint32) for size in sizes]
    known, another = (dequantize(key, planes, 4, 256) for key in (name, "another"))
    assert np.array_equal(known.view(np.uint32), another.view(np.uint32))
