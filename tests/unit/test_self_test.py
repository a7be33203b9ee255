"""A device whose bits depend on the number of rows is found out, and speculation stays exact."""

from collections import Counter

import numpy as np
import pytest

from engine_cases import generated, load
from leadout import ops
from leadout.devices.numpy import NumpyDevice
from leadout.devices.numpy_ops import Memory
from speculation_cases import pair_files

PROMPT = [2, 9, 11, 40, 7]

#: Passes of the self-test, with drafts of up to three tokens.
CHECKS = {"check-1": 4, "check-2": 2, "check-4": 1}


class WobblyDevice(NumpyDevice):
    """Adds in another order, as far as bits can tell, depending on rows."""

    def __init__(self, is_off) -> None:
        """Take `is_off(rows, row)`: whether that row's results are a little off."""
        super().__init__()
        linear = self._meanings[ops.Linear]

        def wobbly(op: ops.Linear, memory: Memory) -> None:
            linear(op, memory)
            y = memory.floats(op.y)
            for row in range(op.rows.count):
                if not op.rows.is_prefill and is_off(op.rows.count, row):
                    y[row] = np.nextafter(y[row], np.float32(np.inf))

        self._meanings = {**self._meanings, ops.Linear: wobbly}


class CountingDevice(NumpyDevice):
    """Counts passes by their Plan's name."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = Counter()

    def submit(self, compiled, num_positions=0):
        self.passes[compiled.plan.name] += 1
        return super().submit(compiled, num_positions)


async def loaded(device, **options):
    target, assistant = pair_files("e2b")
    return await load(device, target, assistant, max_draft_tokens=3, **options)


async def test_a_device_that_keeps_its_bits_is_identical() -> None:
    engine = await loaded(device := CountingDevice())
    assert engine.info()["self_test"] == "identical"
    assert engine.decoder.passes.min_rows == 1
    # As many tokens as the widest pass has rows.
    assert {name: n for name, n in device.passes.items() if name in CHECKS} == CHECKS


async def test_without_a_drafter_nothing_is_tested() -> None:
    target, _ = pair_files("e2b")
    engine = await load(NumpyDevice(), target)
    assert engine.info()["self_test"] == "not run"


async def test_where_fewer_rows_differ_all_passes_take_the_widest() -> None:
    engine = await loaded(WobblyDevice(lambda rows, row: rows < 4))
    assert engine.info()["self_test"] == "widest"
    counts = {
        op.rows.count
        for program in engine.decoder.passes.cycles.values()
        for op in program.ops
        if isinstance(op, ops.Linear) and op.label.startswith("layers.")
    }
    assert counts == {8}
    wanted = await generated(engine, PROMPT, max_tokens=16, draft_tokens=0)
    assert await generated(engine, PROMPT, max_tokens=16, draft_tokens=3) == wanted


async def test_where_even_the_widest_differ_nothing_is_drafted() -> None:
    engine = await loaded(WobblyDevice(lambda rows, row: row == 1))
    info = engine.info()
    assert (info["self_test"], info["drafter"], info["max_draft_tokens"]) == ("off", None, 0)
    assert len(await generated(engine, PROMPT, max_tokens=5)) == 5
    engine.close()
    assert engine.device.allocated_bytes == 0


@pytest.mark.parametrize("context_length", [2, 5, 8, 64])
async def test_a_short_context_is_tested_within_itself(context_length) -> None:
    engine = await loaded(NumpyDevice(), context_length=context_length)
    assert engine.info()["self_test"] == "identical"
