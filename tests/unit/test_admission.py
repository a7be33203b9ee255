"""Which lane a prompt gets, and what it takes over (session/admission.py, kv_rings.py)."""

from __future__ import annotations

import numpy as np
import pytest

from leadout.devices.numpy import NumpyDevice
from leadout.kv_cache import KvCache
from leadout.kv_rings import KvRings
from leadout.session.admission import Admission, Start
from leadout.session.lane import KeptRings, Known, Lane

CONTEXT = 4096

#: Of three positions more than the window a row sees none.
RING = KvCache("layers.0.kv", 4, 1, 8, 64, 320, "f32")
FULL = KvCache("layers.1.kv", 4, 2, 8, 0, CONTEXT, "f32")


def ids(length: int, seed: int = 0) -> list[int]:
    return [seed * 10_000 + i for i in range(length)]


def admission(num_lanes: int = 2, num_places: int = 2, rings: bool = True) -> Admission:
    caches = [RING, FULL] if rings else [FULL]
    places = KvRings.of(caches, CONTEXT, num_places)
    return Admission([Lane(number) for number in range(num_lanes)], places)


def run(one: Admission, prompt: list[int], answer: int = 0, *, stays: bool = False) -> Start:
    """Take a prompt in, prefill it, and have an answer written behind it; as the loop does."""
    start = one.choose(prompt)
    assert start is not None
    one.take(start)
    lane = start.lane
    for first in range(start.length, len(prompt), 256):
        lane.prefilled += prompt[first : first + 256]
        end = len(lane.prefilled)
        lane.written = max(lane.written, end)
        parts_at = start.parts_at if first < start.parts_at <= end else 0
        if end < len(prompt):
            one.keep_parting(lane, parts_at)
        else:
            one.keep_end(lane, parts_at, end + answer)
    lane.written = max(lane.written, len(prompt) + answer)
    lane.is_taken = stays
    return start


@pytest.mark.parametrize("written", [0, 1, 100, 253, 254, 255, 256, 2000])
def test_a_ring_is_of_use_until_something_that_is_seen_was_overwritten(written: int) -> None:
    known = Known(0, ids(500), 500 + written)
    # Behind 500 positions the first that is seen, by a drafter, is 500 + 1 - 64 - 2 = 435.
    assert known.has_rings(500, [RING]) == (500 + written - 320 <= 435)
    assert known.has_rings(500, [])


@pytest.mark.parametrize("length", [0, 1, 2, 3, 7, 8, 500])
def test_what_two_prompts_have_in_common_is_found(length: int) -> None:
    for more in (0, 1, 9):
        known = Known(0, [*ids(length), *ids(more, 3)])
        assert known.common([*ids(length), *ids(5, 4)]) == length
        assert known.common(ids(length)) == length


def test_the_next_turn_prefills_what_is_new_however_long_the_answer() -> None:
    one = admission(1)
    text = ids(300)
    run(one, text, 600)
    for turn in range(1, 5):
        before = len(text)
        text += ids(620, turn)
        assert run(one, text, 600).length == before


def test_without_places_a_long_answer_has_all_prefilled_again() -> None:
    one = admission(1, num_places=0)
    run(one, ids(300), 200)
    assert run(one, ids(520), 600).length == 300
    assert run(one, ids(1100), 0).length == 0


def test_models_without_rings_need_no_places() -> None:
    one = admission(1, rings=False)
    assert not one.kept
    assert one.rings.buffers() == {}
    run(one, ids(300), 3000)
    assert run(one, ids(3500)).length == 300


def test_a_conversation_that_begins_like_another_leaves_it_its_lane() -> None:
    one = admission(2)
    system = ids(1000)
    first = run(one, system + ids(200, 1), 10)
    second = run(one, system + ids(200, 2), 10)
    assert second.lane is not first.lane
    assert (second.length, second.source) == (1000, first.lane)
    again = run(one, system + ids(200, 1) + ids(50, 3), 10)
    assert (again.lane, again.length) == (first.lane, 1200)


def test_what_one_pass_makes_again_is_not_worth_another_lane() -> None:
    one = admission(2)
    first = run(one, ids(1000), 10)
    run(one, ids(500, 7), 10)
    edited = run(one, [*ids(900), *ids(50, 1)], 10)
    assert edited.lane is first.lane
    assert edited.length == 900


def test_prompts_take_keys_from_a_lane_that_is_taken() -> None:
    one = admission(3)
    first = run(one, ids(1000), 10, stays=True)
    second = run(one, [*ids(900), *ids(50, 1)], 10)
    assert second.lane is not first.lane
    assert (second.length, second.source) == (900, first.lane)


def test_where_prompts_part_rings_are_kept_for_the_third_one() -> None:
    one = admission(1, num_places=2)
    system = ids(1000)
    lengths = [run(one, system + ids(500, n), 600).length for n in range(1, 6)]
    assert lengths == [0, 0, 1000, 1000, 1000]
    # Turns of a conversation do not drive out what is shared.
    text = system + ids(500, 5)
    for turn in range(6, 12):
        before = len(text)
        text += ids(700, turn)
        assert run(one, text, 600).length == before
    assert run(one, system + ids(20, 99)).length == 1000


def test_a_beginning_that_nobody_has_any_more_makes_room() -> None:
    one = admission(1, num_places=1)
    run(one, ids(1000), 600)
    run(one, ids(1000, 5), 600)
    assert one.kept[0].prefilled == ids(1000, 5)
    assert run(one, ids(1300), 0).length == 0


def test_no_lane_is_free_while_all_are_taken() -> None:
    one = admission(1)
    run(one, ids(10), stays=True)
    assert one.choose(ids(20)) is None


def test_an_answer_that_cannot_overwrite_rings_needs_no_copy() -> None:
    one = admission(1)
    run(one, ids(300), 100)
    assert not any(place.prefilled for place in one.kept)
    run(one, ids(500), 256)
    assert any(place.prefilled == ids(500) for place in one.kept)


async def test_copies_move_a_lanes_keys_and_values_and_nothing_else() -> None:
    rings = KvRings.of([RING, FULL], CONTEXT, 3)
    device = NumpyDevice()
    buffers = {**RING.buffers(), **FULL.buffers(), **rings.buffers()}
    assert rings.num_places * rings.place_bytes == sum(
        spec.bytes for spec in rings.buffers().values()
    )
    await device.allocate(buffers)
    rng = np.random.default_rng(3)
    before = {}
    for name, spec in buffers.items():
        before[name] = rng.integers(0, 1 << 32, spec.bytes // 4, np.uint32)
        device.write(name, 0, before[name].tobytes())

    async def words(name: str) -> np.ndarray:
        return np.frombuffer(await device.read(name, 0, buffers[name].bytes), np.uint32)

    device.copy([*rings.keep(1, 2), *rings.restore(2, 3), *rings.share(1, 0, 70)])
    for name in (RING.keys.buffer, RING.values.buffer):
        lanes, wanted = (await words(name)).reshape(4, -1), before[name].reshape(4, -1).copy()
        wanted[3] = wanted[1]
        np.testing.assert_array_equal(lanes, wanted)
        places = (await words(name + ".kept")).reshape(3, -1)
        np.testing.assert_array_equal(places[2], wanted[1])
        np.testing.assert_array_equal(places[:2], before[name + ".kept"].reshape(3, -1)[:2])
    for name in (FULL.keys.buffer, FULL.values.buffer):
        shape = (4, 2, CONTEXT // 64, 64 * 8)  # lane, head, tile
        wanted = before[name].reshape(shape).copy()
        wanted[0, :, :2] = wanted[1, :, :2]
        np.testing.assert_array_equal((await words(name)).reshape(shape), wanted)


def test_a_failed_device_leaves_nothing_to_take_over() -> None:
    one = admission(1)
    run(one, ids(300), 600)
    one.forget()
    assert run(one, ids(400)).length == 0
    assert KeptRings(0).common(ids(3)) == 0
