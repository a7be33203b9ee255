"""Digests, values that are not finite, weights made up."""

import numpy as np
import pytest
from compare import poison
from stage import Stage

from leadout import ops

BAD = {
    "f32": [0x7F800000, 0xFF800000, 0x7FC00000, 0xFF800001],
    "bf16": [0x00007F80, 0xFF800000, 0x7FC03F80],
    "f16": [0x00007C00, 0xFC000000, 0x7E003C00],
}
GOOD = {
    "f32": [0, 0x7F7FFFFF, 0xFF7FFFFF, 0x00000001, 0x3F807F80],
    "bf16": [0, 0x7F7F7F7F, 0xFF7FFF7F, 0x00010001],
    "f16": [0, 0x7BFF7BFF, 0xFBFFFBFF, 0x00010001],
}
SIZE = 5000


def digests(run_stage, x: np.ndarray) -> np.ndarray:
    stage = Stage()
    y = stage.tensor("y", np.zeros((len(x), 2), np.uint32))
    stage.add(ops.Digest("d", stage.tensor("x", x), y))
    played = run_stage(stage)
    played.assert_equal("y")
    return played.integers(y)


def test_a_digest_tells_rows_apart_by_a_single_bit(run_stage) -> None:
    x = np.random.default_rng(0).standard_normal((3, 5000)).astype(np.float32)
    x[1] = x[0]
    x[2] = x[0]
    x.view(np.uint32)[2, 4999] ^= 1
    result = digests(run_stage, x)
    assert np.array_equal(result[0], result[1])
    assert (result[0] != result[2]).all()


def test_a_digest_tells_exchanged_values_apart(run_stage) -> None:
    x = np.random.default_rng(1).standard_normal((2, 64)).astype(np.float32)
    x[1] = x[0]
    x[1, [3, 4]] = x[1, [4, 3]]
    result = digests(run_stage, x)
    assert (result[0] != result[1]).all()


def flag(run_stage, kind: str, words: np.ndarray) -> int:
    stage = Stage()
    values = stage.tensor("values", words)
    found = stage.tensor("flag", np.zeros(1, np.uint32))
    stage.add(ops.CheckFinite("c", values.binding, kind, found))
    played = run_stage(stage)
    played.assert_equal("flag")
    return int(played.integers(found)[0])


@pytest.mark.parametrize("kind", BAD)
def test_every_bad_value_is_found_wherever_it_stands(run_stage, kind) -> None:
    for bad in BAD[kind]:
        for place in (0, 4095, 4096, SIZE - 1):
            words = np.resize(np.array(GOOD[kind], np.uint32), SIZE)
            words[place] = bad
            assert flag(run_stage, kind, words) == 1, (hex(bad), place)


@pytest.mark.parametrize("kind", GOOD)
def test_finite_values_set_no_flag(run_stage, kind) -> None:
    assert flag(run_stage, kind, np.resize(np.array(GOOD[kind], np.uint32), SIZE)) == 0


def test_fill_keeps_and_sets_the_bits_it_was_told_to(run_stage) -> None:
    stage = Stage()
    words = stage.tensor("words", poison(6000))
    stage.add(ops.Fill("f", words.binding, 9, 0x807FFFFF, 0x3C000000))
    played = run_stage(stage)
    played.assert_equal("words")
    values = np.abs(played.gpu["words"].view(np.float32))
    assert values.min() >= 2**-7
    assert values.max() < 2**-6
    assert len(np.unique(played.gpu["words"])) > 5900
