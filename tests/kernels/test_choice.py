"""The choice of a token: the same as in NumPy, whatever kernels make it."""

import numpy as np
import pytest
from compare import row_table, settings_table
from stage import Stage

from leadout import ops, sampling
from leadout.sampling import Sampling
from leadout.state import AHEAD_BIT, MASK_SLOTS, ROW_OF_DRAFTER, Tables

#: More than two of any kernel's chunks, and no multiple of one.
VOCAB = 4096 + 4096 + 96

#: Candidates that have a kernel of their own on an adapter that computes on the CPU.
MOST_FOR_SOFTWARE = 8192

SETTINGS = [
    {},
    {"temperature": 1.0},
    {"temperature": 0.5},
    {"temperature": 0.0, "top_k": 5},
    {"temperature": 0.7, "top_k": 1},
    {"temperature": 1.0, "top_k": 64, "top_p": 0.95},
    {"temperature": 0.7, "top_k": 64},
    {"temperature": 0.7, "top_k": 5000},
    {"temperature": 1.3, "top_p": 0.9},
    {"temperature": 1.0, "top_p": 0.0001},
    {"temperature": 1.0, "min_p": 0.05},
    {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.02},
    {"temperature": 1.0, "top_k": 3000, "top_p": 0.5},
]

#: What logits may look like.
LOOKS = {
    "normal": lambda x: 4 * x,
    "ties": lambda x: np.round(4 * x),
    "flat": lambda x: 1e-3 * x,
    "level": lambda x: 0 * x,
    "peaked": lambda x: np.where(x > 3.2, x + 15, x),
}


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def choosing(
    logits: np.ndarray,
    settings: np.ndarray,
    table: np.ndarray | None = None,
    seen: np.ndarray | None = None,
    ids: np.ndarray | None = None,
    vocab_size: int | None = None,
    moves: np.ndarray | None = None,
    masks: np.ndarray | None = None,
) -> tuple[Stage, ops.Choose]:
    """Return a stage that chooses for every row.

    Args:
        seen: [lanes, V / 32] bits.
        moves: [lanes, V] words of counts and biases.
        masks: [lanes, MASK_SLOTS, V / 32] bits.
    """
    stage, count = Stage(), len(logits)
    num_lanes = settings.nbytes // sampling.SETTINGS_BYTES
    tables = Tables(num_lanes, vocab_size or logits.shape[1], 64)
    if table is None:
        table = row_table([(0, 11 + i, 0, True) for i in range(count)])
    stage.hold(sampling.settings(num_lanes), settings)
    held = np.zeros((num_lanes, tables.seen_bytes // 4), np.uint32)
    if seen is not None:
        held[:, : tables.moves_offset // 4] = seen
    if moves is not None:
        held[:, tables.moves_offset // 4 : tables.masks_offset // 4] = moves
    if masks is not None:
        held[:, tables.masks_offset // 4 :] = masks.reshape(num_lanes, -1)
    stage.hold(tables.seen, held)
    rows = stage.row_table(table)
    ids = None if ids is None else stage.tensor("ids", ids)
    y = stage.output("y", count, dtype="u32")
    op = ops.Choose("c", stage.tensor("logits", logits), ids, rows, tables, y)
    stage.add(op)
    return stage, op


def choices(run_stage, *args, takes=(), **kwargs) -> list[int]:
    """Return the choices, which are those of NumPy, and of the kernel for software."""
    stage, op = choosing(*args, **kwargs)
    played = run_stage(stage, takes=takes)
    played.assert_equal("y")
    if op.logits.shape[1] <= MOST_FOR_SOFTWARE:
        run_stage(stage, is_software=True, takes=["solo_choose"]).assert_equal("y")
    return played.integers(op.y).tolist()


@pytest.mark.parametrize("fields", SETTINGS, ids=str)
@pytest.mark.parametrize("look", LOOKS)
def test_choices_are_those_of_numpy(run_stage, fields, look) -> None:
    logits = LOOKS[look](normal(3, 4, VOCAB)).astype(np.float32)
    settings = settings_table(**fields, seed=1234)
    found = choices(run_stage, logits, settings, takes=["choose_many"])
    if not fields:
        assert found == logits.argmax(axis=1).tolist()


def all_looks(count: int) -> np.ndarray:
    """Return a row of each look."""
    x = normal(count, len(LOOKS), count)
    return np.stack([look(x[i]) for i, look in enumerate(LOOKS.values())]).astype(np.float32)


@pytest.mark.parametrize("fields", SETTINGS, ids=str)
@pytest.mark.parametrize("vocab", [4064, 8192])
def test_choices_in_one_dispatch_are_those_of_numpy(run_stage, fields, vocab) -> None:
    settings = settings_table(**fields, seed=4321)
    choices(run_stage, all_looks(vocab), settings, takes=["choose_few"])


@pytest.mark.parametrize("fields", SETTINGS[1::3], ids=str)
@pytest.mark.parametrize(("count", "takes"), [(8301, "choose_many"), (4099, "choose_few")])
def test_choices_among_candidates_are_those_of_numpy(run_stage, fields, count, takes) -> None:
    vocab, rng = 9984, np.random.default_rng(8)
    ids = np.stack([rng.permutation(vocab)[:count] for _ in LOOKS]).astype(np.uint32)
    settings = settings_table(**fields, seed=99)
    choices(run_stage, all_looks(count), settings, ids=ids, vocab_size=vocab, takes=[takes])


@pytest.mark.parametrize("fields", SETTINGS[5:], ids=str)
def test_large_logits_of_neighbours_are_not_overlooked(run_stage, fields) -> None:
    """Most of what the filters keep lies in few of the parts that are bounded each for itself."""
    logits = 3 * normal(12, 2, VOCAB)
    logits[0, :3000] += 12
    logits[1, ::64] += 12
    choices(run_stage, logits, settings_table(**fields, seed=5), takes=["choose_many"])


def kept(run_stage, logits: np.ndarray, takes: str, **fields: float) -> set[int]:
    """Return which ids come over many positions, when noise alone decides among those kept."""
    rows = np.repeat(logits.reshape(1, -1), 40, axis=0).astype(np.float32)
    table = row_table([(0, i, 0, True) for i in range(40)])
    settings = settings_table(temperature=100.0, **fields)
    return set(choices(run_stage, rows, settings, table, takes=[takes]))


@pytest.mark.parametrize(("vocab", "takes"), [(320, "choose_few"), (VOCAB, "choose_many")])
def test_top_k_keeps_all_that_equal_the_smallest_kept(run_stage, vocab, takes) -> None:
    logits = normal(5, vocab)
    logits[[5, 70, vocab - 3]] = 9.0
    logits[[6, 80, vocab - 2]] = 8.0
    assert kept(run_stage, logits, takes, top_k=4) == {5, 70, vocab - 3, 6, 80, vocab - 2}


@pytest.mark.parametrize(("vocab", "takes"), [(320, "choose_few"), (VOCAB, "choose_many")])
def test_top_p_keeps_the_fewest_that_reach_the_share(run_stage, vocab, takes) -> None:
    logits = np.full(vocab, -2000.0, np.float32)
    places = np.arange(5) * (vocab // 5)
    logits[places] = 100 * np.log([0.3, 0.25, 0.2, 0.11, 0.06])
    assert kept(run_stage, logits, takes, top_p=0.9) == set(places[:4].tolist())


@pytest.mark.parametrize("fields", SETTINGS[:9], ids=str)
def test_a_row_chooses_the_same_whatever_runs_beside_it(run_stage, fields) -> None:
    logits, settings = 4 * normal(5, 8, VOCAB), settings_table(**fields, seed=9)
    table = row_table([(0, 11 + i, 0, True) for i in range(8)])
    together = choices(run_stage, logits, settings, table)
    for row in (0, 3, 7):
        part = slice(row, row + 1)
        assert choices(run_stage, logits[part], settings, table[part]) == together[part]


def test_lanes_have_their_own_settings(run_stage) -> None:
    logits = 4 * np.repeat(normal(6, 1, VOCAB), 3, axis=0)
    fields = [{}, {"temperature": 1.0, "top_k": 64, "seed": 3}, {"temperature": 1.5, "seed": 4}]
    settings = np.concatenate([settings_table(**one) for one in fields])
    table = row_table([(2, 7, 0, True), (0, 7, 0, True), (1, 7, 0, True)])
    found = choices(run_stage, logits, settings, table)
    assert found[1] == int(logits[0].argmax())


def test_top_k_chooses_among_exactly_the_k_largest(run_stage) -> None:
    """Over many positions every one of them comes, and no other."""
    vocab, k = 320, 3
    logits = np.repeat(0.01 * normal(4, 1, vocab), 64, axis=0)
    table = row_table([(0, i, 0, True) for i in range(64)])
    settings = settings_table(temperature=1.0, top_k=k)
    found = choices(run_stage, logits, settings, table)
    assert set(found) == set(np.argsort(-logits[0])[:k].tolist())


def test_of_equal_logits_the_lowest_id_wins(run_stage) -> None:
    assert choices(run_stage, np.zeros((1, VOCAB), np.float32), settings_table()) == [0]
    logits = np.zeros((1, VOCAB), np.float32)
    logits[0, [9000 % VOCAB, 4100, 8200]] = 1.0
    assert choices(run_stage, logits, settings_table()) == [min(9000 % VOCAB, 4100)]


# The candidates of the larger vocabulary take the larger of two kernels.
@pytest.mark.parametrize(("drafts", "ahead", "vocab"), [(3, 0, 512), (2, 1, 5120)])
@pytest.mark.parametrize("fields", [{}, {"temperature": 1.0, "top_k": 64, "top_p": 0.95}])
@pytest.mark.parametrize("is_mapped", [False, True])
@pytest.mark.parametrize("is_software", [False, True])
def test_a_draft_is_chosen_and_placed_in_one_dispatch(
    run_stage, drafts, ahead, vocab, fields, is_mapped, is_software
) -> None:
    """On software in two: it compiles them much sooner."""
    rng, count = np.random.default_rng(1), vocab - 211
    ids = np.stack([rng.permutation(vocab)[:count] for _ in range(2)]).astype(np.uint32)
    settings = np.concatenate(
        [settings_table(seed=1, **fields), settings_table(repetition_penalty=1.4, **fields)]
    )
    # The second lane's draft lies past the context.
    table = row_table([(0, 5, 11, True), (1, 63 - ahead, 12, True)])
    table[:, 3] |= ahead << AHEAD_BIT
    logits = normal(drafts, 2, count if is_mapped else vocab)
    ids = ids if is_mapped else None
    stage, op = choosing(logits, settings, table, ids=ids, vocab_size=vocab)
    verified = stage.row_table(np.zeros((2 * (1 + drafts), 4), np.uint32), "verified")
    stage.add(ops.PlaceDraft("p", op.y, op.rows, verified, op.tables, drafts))
    takes = ["solo_choose", "place_draft"] if is_software else ["choose_draft"]
    run_stage(stage, is_software=is_software, takes=takes).assert_equal("rows", "verified")


def test_choices_that_are_read_again_are_written(run_stage) -> None:
    stage, op = choosing(normal(0, 1, 512), settings_table())
    verified = stage.row_table(np.zeros((3, 4), np.uint32), "verified")
    place = ops.PlaceDraft("p", op.y, op.rows, verified, op.tables, 2)
    stage.add(place)
    stage.add(place)
    played = run_stage(stage, takes=["choose_few", "place_draft", "place_draft"])
    played.assert_equal("y", "verified")


@pytest.mark.parametrize("vocab", [32, 96, 4096])
def test_small_vocabularies(run_stage, vocab) -> None:
    for fields in SETTINGS[::3]:
        choices(run_stage, normal(vocab, 2, vocab), settings_table(**fields))


@pytest.mark.parametrize("penalty", [1.0, 1.3, 0.8])
@pytest.mark.parametrize("filters", [{}, {"temperature": 0.9}, {"temperature": 0.9, "top_k": 5}])
@pytest.mark.parametrize("vocab", [544, 8320])
def test_a_penalty_counts_history_and_earlier_rows_but_no_later_ones(
    run_stage, penalty, filters, vocab
) -> None:
    logits = np.zeros((3, vocab), np.float32)
    logits[:] = 0.5 * normal(0, vocab)
    favoured = [64, 66, 5, 6, 9]
    logits[:, favoured] = [9.0, 8.9, 8.8, 8.7, 8.6]
    logits[:, 200] = 8.5
    seen = np.zeros((2, vocab // 32), np.uint32)
    seen[1, 2] = 0b101  # ids 64 and 66 of lane 1
    fields = {"repetition_penalty": penalty, "seed": 2, **filters}
    settings = np.concatenate([settings_table(), settings_table(**fields)])
    # Id 9 comes with the last row only.
    table = row_table([(1, 7, 5, True), (1, 8, 6, True), (1, 9, 9, True)])
    found = choices(run_stage, logits, settings, table, seen)
    if penalty == 1.3 and not filters:
        assert found == [6, 9, 200]


def words_of(vocab: int, biases: dict[int, int], counts: dict[int, int]) -> np.ndarray:
    """Return a lane's words of counts and biases."""
    generated = [token for token, count in counts.items() for _ in range(count)]
    return np.frombuffer(Tables(1, vocab, 64).pack_moves(biases, generated), np.uint32)


@pytest.mark.parametrize("filters", [{}, {"temperature": 0.9}, {"temperature": 0.9, "top_k": 5}])
@pytest.mark.parametrize("vocab", [544, 8320])
def test_presence_and_frequency_count_what_was_generated_and_drafts_before_the_row(
    run_stage, vocab, filters
) -> None:
    logits = np.zeros((4, vocab), np.float32)
    logits[:] = 0.5 * normal(0, vocab)
    logits[:, [64, 66, 5, 6, 9]] = [9.0, 8.9, 8.6, 8.5, 8.4]
    moves = np.zeros((2, vocab), np.uint32)
    moves[1] = words_of(vocab, {}, {64: 3, 5: 1})
    # The first row is the last known token, which is counted already; the others are drafts.
    table = row_table([(1, 7, 5, True), (1, 8, 66, True), (1, 9, 66, True), (1, 10, 9, True)])
    for fields in (
        {"presence_penalty": 0.35},
        {"frequency_penalty": 0.15},
        {"presence_penalty": -0.2, "frequency_penalty": 0.25},
        {"presence_penalty": 1.5, "frequency_penalty": -2.0},
        {"presence_penalty": 0.35, "repetition_penalty": 1.2},
    ):
        settings = [settings_table(), settings_table(**fields, **filters, seed=2)]
        found = choices(run_stage, logits, np.concatenate(settings), table, moves=moves)
        if filters:
            continue
        if fields == {"presence_penalty": 0.35}:
            assert found == [66, 64, 64, 64]
        elif fields == {"frequency_penalty": 0.15}:
            assert found == [66, 66, 66, 66], "8.9, 8.75, 8.6 beside 8.55 and 8.5"


@pytest.mark.parametrize("filters", [{}, {"temperature": 0.9, "top_p": 0.9}])
@pytest.mark.parametrize("vocab", [544, 8320])
def test_biases_are_added_and_the_least_bans(run_stage, vocab, filters) -> None:
    logits = 3 * normal(1, 2, vocab)
    best = np.argsort(-logits[0])
    banned = Sampling(logit_bias={int(id_): -100 for id_ in best[:5]})
    for wanted in (
        banned,
        Sampling(logit_bias={7: 100.0, 9: 50.0}),
        Sampling(logit_bias={int(best[i]): -0.7 * i for i in range(40)}),
        Sampling(logit_bias={int(best[0]): -5}, frequency_penalty=1.0),
    ):
        fields = {"logit_bias": wanted.logit_bias, **filters, "seed": 3}
        settings = settings_table(**fields, frequency_penalty=wanted.frequency_penalty)
        moves = words_of(vocab, wanted.biases(), {int(best[1]): 2})[None]
        found = choices(run_stage, logits, settings, moves=moves)
        if wanted is banned:
            assert not set(found) & set(best[:5].tolist())
        if 7 in wanted.logit_bias:
            assert found == [7, 7]


def test_words_of_lanes_that_ask_for_nothing_are_not_read(run_stage) -> None:
    logits = normal(2, 1, 544)
    moves = np.full((1, 544), 0x80007FFF, np.uint32)
    assert choices(run_stage, logits, settings_table(), moves=moves) == [int(logits.argmax())]


def test_a_drafter_counts_the_token_that_it_drafted_last(run_stage) -> None:
    logits = np.zeros((2, 544), np.float32)
    logits[:, [7, 8]] = [4.0, 3.5]
    table = row_table([(0, 5, 7, True), (1, 5, 7, True)])
    table[1, 3] |= 1 << AHEAD_BIT  # this 7 is a draft, the other one known
    settings = np.tile(settings_table(presence_penalty=1.0), 2)
    assert choices(run_stage, logits, settings, table) == [7, 8]
    stage, op = choosing(logits, settings, table)
    verified = stage.row_table(np.zeros((6, 4), np.uint32), "verified")
    stage.add(ops.PlaceDraft("p", op.y, op.rows, verified, op.tables, 2))
    played = run_stage(stage, takes=["choose_draft"])
    played.assert_equal("rows", "verified")
    assert played.gpu["rows"].reshape(-1, 4)[:, 2].tolist() == [7, 8]


@pytest.mark.parametrize("fields", [{}, {"temperature": 0.8}, {"temperature": 1.0, "top_k": 20}])
@pytest.mark.parametrize("ahead", [0, 2])
def test_candidates_meet_the_noise_of_their_own_ids(run_stage, fields, ahead) -> None:
    """A drafter that considers a part of the vocabulary must meet the target's noise."""
    rng = np.random.default_rng(2)
    count, vocab = 200, 512
    ids = np.stack([rng.permutation(vocab)[:count] for _ in range(2)]).astype(np.uint32)
    logits = normal(2, 2, count)
    table = row_table([(0, 7, 0, True), (0, 9, 0, True)])
    table[:, 3] |= ahead << AHEAD_BIT
    settings = settings_table(**fields, seed=5)
    found = choices(run_stage, logits, settings, table, ids=ids, vocab_size=vocab)
    moved = row_table([(0, 7 + ahead, 0, True), (0, 9 + ahead, 0, True)])
    full = np.full((2, vocab), -1e9, np.float32)
    np.put_along_axis(full, ids.astype(np.int64), logits, axis=1)
    assert choices(run_stage, full, settings, moved) == found


def test_candidates_are_penalised_by_their_ids(run_stage) -> None:
    vocab, ids = 544, np.array([[300, 7, 90, 8]], np.uint32)
    logits = np.array([[4.0, 3.9, 3.8, 3.7]], np.float32)
    seen = np.zeros((1, vocab // 32), np.uint32)
    seen[0, 300 // 32] |= np.uint32(1 << 300 % 32)
    table = row_table([(0, 4, 7, True)])
    settings = settings_table(repetition_penalty=1.7)
    assert choices(run_stage, logits, settings, table, seen, ids, vocab) == [90]


def test_of_equal_candidates_the_lowest_id_wins(run_stage) -> None:
    ids = np.array([[90, 7, 300, 8]], np.uint32)
    logits = np.zeros((1, 4), np.float32)
    assert choices(run_stage, logits, settings_table(), ids=ids, vocab_size=512) == [7]


def test_suppressed_ids_are_never_the_largest_and_others_keep_their_logits(run_stage) -> None:
    stage, logits = Stage(), normal(0, 2, 200)
    ids = np.array([0, 7, 199], np.uint32)
    changed = stage.tensor("logits", logits)
    stage.add(ops.Suppress("s", stage.tensor("ids", ids), changed))
    played = run_stage(stage)
    played.assert_equal("logits")
    after = played.floats(changed)
    assert (after[:, ids] < -3e38).all()
    others = np.delete(np.arange(200), ids)
    assert np.array_equal(after[:, others], logits[:, others])


def masks_of(vocab: int, allowed: dict[int, list[int]]) -> np.ndarray:
    """Return one lane's masks, by slot; slots that are not named allow nothing."""
    bits = np.zeros((MASK_SLOTS, vocab), np.uint8)
    for slot, ids in allowed.items():
        bits[slot, ids] = 1
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint32)


def masked_settings(**fields: float) -> np.ndarray:
    return np.frombuffer(Sampling(**fields).pack(has_masks=True), np.uint32)


@pytest.mark.parametrize("fields", SETTINGS[1::2], ids=str)
@pytest.mark.parametrize(("vocab", "takes"), [(544, "choose_few"), (VOCAB, "choose_many")])
def test_only_what_the_mask_of_its_position_allows_is_chosen(
    run_stage, fields, vocab, takes
) -> None:
    """Fewer ids than top-k keeps, as many, and more than any list holds."""
    rng = np.random.default_rng(vocab)
    many = np.sort(rng.permutation(vocab)[: vocab - 40]).tolist()
    allowed = {4: [7], 5: many[::9], 6: [3, vocab - 1], 7: many, 0: many[:64]}
    logits = all_looks(vocab)
    # Rows at positions 3 to 7 choose for 4 to 8; the lane before has no masks.
    table = row_table([(1, 3 + i, 0, True) for i in range(5)])
    settings = np.concatenate([settings_table(**fields), masked_settings(**fields, seed=77)])
    masks = np.stack([np.zeros_like(masks_of(vocab, {})), masks_of(vocab, allowed)])
    found = choices(run_stage, logits, settings, table, masks=masks, takes=[takes])
    assert all(id_ in allowed[(4 + i) % MASK_SLOTS] for i, id_ in enumerate(found)), found
    table[:, 0] = 0
    free = choices(run_stage, logits, settings, table, masks=masks, takes=[takes])
    assert free != found, "a lane without masks is free"


def test_a_mask_holds_beside_bans_and_suppressed_ids(run_stage) -> None:
    vocab = 544
    logits = normal(4, 1, vocab)
    biases = {7: -100, 9: -100}
    settings = masked_settings(logit_bias=biases)
    moves = words_of(vocab, Sampling(logit_bias=biases).biases(), {})[None]
    for ids, wanted in (([7], 7), ([7, 30], 30)):
        masks = masks_of(vocab, {12 % MASK_SLOTS: ids})[None]
        assert choices(run_stage, logits, settings, moves=moves, masks=masks) == [wanted]


def test_masks_do_not_hold_for_a_drafters_rows(run_stage) -> None:
    """A drafter runs before the host knows any mask of its cycle."""
    vocab = 544
    logits = np.zeros((2, vocab), np.float32)
    logits[:, 7] = 4.0
    logits = np.concatenate([logits, logits[:1]])
    table = row_table([(0, 5, 3, True), (0, 5, 3, True), (0, 5, 7, True)])
    table[1, 3] |= ROW_OF_DRAFTER
    table[2, 3] |= ROW_OF_DRAFTER | 1 << AHEAD_BIT
    masks = masks_of(vocab, {6: [100]})[None]
    for ids in (None, np.tile(np.arange(vocab, dtype=np.uint32), (3, 1))):
        found = choices(
            run_stage, logits, masked_settings(), table, ids=ids, vocab_size=vocab, masks=masks
        )
        assert found == [100, 7, 7]
