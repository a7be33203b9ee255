"""Tests of leadout.layouts."""

from __future__ import annotations

import gguf
import pytest

from leadout.layouts import BLOCK, FORMATS, LAYOUT_OF_FORMAT, LAYOUTS
from raw_blocks import WHOLE_FORMATS


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
