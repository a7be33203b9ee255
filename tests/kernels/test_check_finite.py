import numpy as np
import pytest
from compare import run_both

BAD = {
    "f32": [0x7F800000, 0xFF800000, 0x7FC00000, 0xFF800001],
    "bf16": [0x00007F80, 0xFF800000, 0x7FC03F80],
    "half": [0x00007C00, 0xFC000000, 0x7E003C00],
}
GOOD = {
    "f32": [0, 0x7F7FFFFF, 0xFF7FFFFF, 0x00000001, 0x3F807F80],
    "bf16": [0, 0x7F7F7F7F, 0xFF7FFF7F, 0x00010001],
    "half": [0, 0x7BFF7BFF, 0xFBFFFBFF, 0x00010001],
}
SIZE = 5000


def flag(run_kernel, value: str, words: np.ndarray) -> int:
    bindings = [words, np.zeros(1, np.uint32)]
    gpu, twin = run_both(run_kernel, f"check_finite.{value}", {}, bindings, (2, 1, 1))
    assert gpu[1].tolist() == twin[1].tolist()
    return int(gpu[1][0])


@pytest.mark.parametrize("value", BAD)
def test_every_bad_value_is_found_wherever_it_stands(run_kernel, value) -> None:
    for bad in BAD[value]:
        for place in (0, 4095, 4096, SIZE - 1):
            words = np.resize(np.array(GOOD[value], np.uint32), SIZE)
            words[place] = bad
            assert flag(run_kernel, value, words) == 1, (hex(bad), place)


@pytest.mark.parametrize("value", GOOD)
def test_finite_values_set_no_flag(run_kernel, value) -> None:
    assert flag(run_kernel, value, np.resize(np.array(GOOD[value], np.uint32), SIZE)) == 0
