"""Hostile headers: a named error or success, whatever the bytes, at a cost the file's size bounds.

`GuardedSource` fails a test on any read outside of the file. Coroutines are driven by hand: on
bytes in memory they never wait, and an event loop for each example would take most of the time.
"""

from __future__ import annotations

import json
import struct
import tempfile
import time
import tracemalloc
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_gemma4
from leadout.checkpoint import Checkpoint, open_checkpoint
from leadout.checkpoint.gguf import read_gguf_header
from leadout.checkpoint.safetensors import read_safetensors_header
from leadout.checkpoint.token_ordering import read_token_ordering
from leadout.config import Gemma3TextConfig, Gemma4AssistantConfig, Gemma4TextConfig, read_config
from leadout.errors import LeadoutError
from raw_headers import (
    ARRAY,
    BOOL,
    STRING,
    GuardedSource,
    array_key,
    gguf_file,
    key,
    safetensors_file,
    string,
    tensor,
)
from thoroughness import FUZZ, MAX_HOSTILE_S, bounded_memory
from tiny_checkpoints import (
    Vocabulary,
    random_gemma3_weights,
    safetensors_bytes,
    tiny_gemma3_config,
    write_gguf,
)

T = TypeVar("T")

#: Peak of memory while opening a file: this many times the file's bytes, plus a constant. The
#: most seen is 26 (a JSON header of empty objects) and 4 KB.
MEMORY_FACTOR = 32
MEMORY_BYTES = 128 << 10

CONFIG = tiny_gemma3_config(
    vocab_size=32,
    hidden_size=32,
    intermediate_size=32,
    num_hidden_layers=1,
    num_attention_heads=1,
    num_key_value_heads=1,
)
CONFIG_JSON = json.dumps(CONFIG).encode()


def _valid_gguf() -> bytes:
    vocabulary = Vocabulary([f"token {i}" for i in range(32)], [0.0] * 32, [1] * 32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        weights = random_gemma3_weights(CONFIG)
        return write_gguf(path, CONFIG, weights, "Q8_0", vocabulary).read_bytes()


def _valid_gemma4_gguf(config: dict[str, Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        weights = tiny_gemma4.tiny_weights(config)
        return tiny_gemma4.write_gguf(Path(folder) / "model.gguf", config, weights)


VALID_GGUF = _valid_gguf()
VALID_SAFETENSORS = safetensors_bytes(random_gemma3_weights(CONFIG))


@pytest.fixture(scope="module", autouse=True)
def bounded() -> Iterator[None]:
    """No header of this file takes much memory."""
    with bounded_memory():
        yield


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("it waited")


def check_error(error: LeadoutError) -> None:
    """A message can be shown on one line and cross to JavaScript."""
    assert 10 < len(error.message) < 1000
    assert "\n" not in error.message
    json.dumps(error.to_json())


def open_files(**files: bytes) -> Checkpoint | None:
    """Open files and read the configuration; None where a named error says what is wrong."""
    named = {name.replace("__", "."): data for name, data in files.items()}
    started = time.monotonic()
    try:
        checkpoint = run(open_checkpoint({n: GuardedSource(d, n) for n, d in named.items()}))
        read_config(checkpoint)
    except LeadoutError as error:
        check_error(error)
        return None
    finally:
        assert time.monotonic() - started < MAX_HOSTILE_S
    for info in checkpoint.tensors.values():
        assert info.offset >= 0
        assert info.offset + info.bytes <= len(named[checkpoint.sources[info.source].name])
    return checkpoint


def edited(data: bytes, edits: list[tuple[int, bytes]], cut: int | None) -> bytes:
    """Overwrite bytes here and there, and cut the end off."""
    result = bytearray(data)
    for at, new in edits:
        result[at : at + len(new)] = new
    return bytes(result[:cut])


HUGE = [struct.pack("<Q", n) for n in (0, 1, 1 << 31, 1 << 32, 1 << 61, 1 << 63, (1 << 64) - 1)]


def edits_of(length: int) -> st.SearchStrategy[list[tuple[int, bytes]]]:
    new = st.binary(min_size=1, max_size=4) | st.sampled_from(HUGE)
    return st.lists(st.tuples(st.integers(0, length - 8), new), min_size=1, max_size=6)


def test_the_files_to_be_damaged_are_valid() -> None:
    assert open_files(model__gguf=VALID_GGUF) is not None
    assert open_files(config__json=CONFIG_JSON, model__safetensors=VALID_SAFETENSORS) is not None
    assert all(open_files(model__gguf=valid) is not None for valid in VALID_GEMMA4_GGUFS)
    packed = MLX_CONFIG | {"quantization": {"group_size": 64, "bits": 4}}
    mlx = safetensors_file(PACKED, bytes(2304))
    assert open_files(config__json=json.dumps(packed).encode(), model__safetensors=mlx) is not None


# ---- random and damaged bytes -------------------------------------------------------------


@FUZZ
@given(st.binary(max_size=400))
def test_random_bytes_after_the_magic_are_refused_or_read(data: bytes) -> None:
    open_files(model__gguf=data)
    open_files(model__gguf=b"GGUF\3\0\0\0" + data)


@FUZZ
@given(
    st.integers(0, 8),
    st.integers(0, 8),
    st.lists(st.sampled_from(HUGE) | st.binary(max_size=12) | st.just(string("k")), max_size=30),
)
def test_random_gguf_fields_are_refused_or_read(
    num_keys: int, num_tensors: int, parts: list[bytes]
) -> None:
    file = gguf_file(parts, num_keys=num_keys, num_tensors=num_tensors)
    open_files(model__gguf=file)


@FUZZ
@given(edits_of(1900), st.none() | st.integers(0, len(VALID_GGUF)))
def test_a_damaged_gguf_is_refused_or_read(edits: list[tuple[int, bytes]], cut: int | None) -> None:
    open_files(model__gguf=edited(VALID_GGUF, edits, cut))


TARGET, DRAFTER = tiny_gemma4.tiny_target(), tiny_gemma4.tiny_drafter()
VALID_GEMMA4_GGUFS = [_valid_gemma4_gguf(config) for config in (TARGET, DRAFTER)]


@FUZZ
@given(st.integers(0, 1), edits_of(5000), st.none() | st.integers(0, 9000))
def test_a_damaged_gemma4_gguf_is_refused_or_read(
    number: int, edits: list[tuple[int, bytes]], cut: int | None
) -> None:
    valid = VALID_GEMMA4_GGUFS[number]
    checkpoint = open_files(model__gguf=edited(valid, edits, cut))
    if checkpoint is not None and "masked_embedding.token_ordering" in checkpoint.tensors:
        try:
            assert len(run(read_token_ordering(checkpoint, 128))) == 4 * 128
        except LeadoutError as error:
            check_error(error)


SAFETENSORS_HEADER_BYTES = 8 + int.from_bytes(VALID_SAFETENSORS[:8], "little")


@FUZZ
@given(edits_of(SAFETENSORS_HEADER_BYTES), st.none() | st.integers(0, len(VALID_SAFETENSORS)))
def test_a_damaged_safetensors_is_refused_or_read(
    edits: list[tuple[int, bytes]], cut: int | None
) -> None:
    damaged = edited(VALID_SAFETENSORS, edits, cut)
    open_files(config__json=CONFIG_JSON, model__safetensors=damaged)


@FUZZ
@given(edits_of(len(CONFIG_JSON)), st.none() | st.integers(0, len(CONFIG_JSON)))
def test_a_damaged_config_is_refused_or_read(
    edits: list[tuple[int, bytes]], cut: int | None
) -> None:
    damaged = edited(CONFIG_JSON, edits, cut)
    open_files(config__json=damaged, model__safetensors=VALID_SAFETENSORS)


def test_every_truncation_of_a_gguf_is_refused() -> None:
    for cut in [*range(0, 1900, 7), *range(1900, len(VALID_GGUF), 997), len(VALID_GGUF) - 1]:
        assert open_files(model__gguf=VALID_GGUF[:cut]) is None


# ---- well-formed, but with any values -----------------------------------------------------

NUMBERS = st.integers(-2, 70) | st.integers() | st.sampled_from([1 << 63, 1 << 64, 10**30])
LEAVES = st.sampled_from([None, True, False, 0.5, float("inf"), float("nan"), "", "x"]) | NUMBERS
JSON = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(st.sampled_from("ab"), LEAVES)
NAMES = st.sampled_from(["model.norm.weight", "vision_tower.x", "__metadata__", "", "\n", "\ud800"])
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "I64", "F4", "new"]) | JSON,
        "shape": st.lists(NUMBERS, max_size=4) | JSON,
        "data_offsets": st.lists(NUMBERS, max_size=3) | JSON,
    }
)


@FUZZ
@given(st.dictionaries(NAMES, ENTRIES | JSON, max_size=4))
def test_any_safetensors_header_is_refused_or_read(header: dict[str, Any]) -> None:
    file = safetensors_file(header, bytes(64))
    open_files(config__json=CONFIG_JSON, model__safetensors=file)


@FUZZ
@given(st.dictionaries(st.sampled_from([*CONFIG, "rope_scaling", "text_config"]), JSON, min_size=1))
def test_any_value_of_any_field_is_refused_or_read(changes: dict[str, Any]) -> None:
    try:
        Gemma3TextConfig.from_json(CONFIG | changes)
        Gemma3TextConfig.from_json({"model_type": "gemma3", "text_config": CONFIG | changes})
    except LeadoutError as error:
        check_error(error)


# ---- safetensors with something beside them -------------------------------------------------

MLX_CONFIG = {**CONFIG, "hidden_size": 64}
PACKED = {
    f"model.layers.0.mlp.down_proj.{part}": entry
    for part, entry in {
        "weight": {"dtype": "U32", "shape": [64, 8], "data_offsets": [0, 2048]},
        "scales": {"dtype": "BF16", "shape": [64, 1], "data_offsets": [2048, 2176]},
        "biases": {"dtype": "BF16", "shape": [64, 1], "data_offsets": [2176, 2304]},
    }.items()
}
PACKINGS = st.dictionaries(
    st.sampled_from(
        ["group_size", "bits", "mode", "model.layers.0.mlp.down_proj", "model.layers.0"]
    ),
    JSON
    | st.sampled_from([32, 64, 128, 4, 8, "affine", "mxfp4"])
    | st.fixed_dictionaries({"group_size": JSON, "bits": JSON}),
)


@FUZZ
@given(
    JSON | PACKINGS | PACKINGS.map(lambda packing: {"group_size": 64, "bits": 4} | packing),
    st.dictionaries(st.sampled_from([*PACKED]), ENTRIES | st.none(), max_size=2),
    st.sampled_from(["quantization", "quantization_config"]),
)
def test_any_quantization_of_mlx_is_refused_or_read(
    quantization: object, changes: dict[str, Any], where: str
) -> None:
    config = json.dumps(MLX_CONFIG | {where: quantization}).encode()
    header = {name: entry for name, entry in (PACKED | changes).items() if entry is not None}
    open_files(config__json=config, model__safetensors=safetensors_file(header, bytes(2304)))


SHARDS = st.sampled_from(["a.safetensors", "b.safetensors", "../a.safetensors", "", "config.json"])


@FUZZ
@given(
    JSON
    | st.fixed_dictionaries(
        {"weight_map": JSON | st.dictionaries(NAMES, SHARDS | JSON, max_size=4)}
    ),
    st.lists(st.dictionaries(NAMES, ENTRIES, max_size=2), min_size=2, max_size=2),
)
def test_any_index_is_refused_or_read(index: object, headers: list[dict[str, Any]]) -> None:
    shards = {
        f"{name}__safetensors": safetensors_file(header, bytes(64))
        for name, header in zip("ab", headers, strict=True)
    }
    open_files(
        config__json=CONFIG_JSON,
        model__safetensors__index__json=json.dumps(index).encode(),
        **shards,
    )


@FUZZ
@given(
    st.sampled_from(["generation_config.json", "tokenizer_config.json"]),
    JSON
    | st.dictionaries(
        st.sampled_from(["eos_token_id", "bos_token_id", "suppress_tokens", "chat_template"]),
        JSON | st.lists(st.fixed_dictionaries({"name": JSON, "template": JSON}), max_size=2),
    ),
)
def test_any_file_beside_the_weights_is_refused_or_read(name: str, content: object) -> None:
    files = {name.replace(".", "__"): json.dumps(content).encode()}
    open_files(config__json=CONFIG_JSON, model__safetensors=VALID_SAFETENSORS, **files)


GEMMA4_FIELDS = st.sampled_from([*TARGET, "per_layer_config", "rope_parameters", "text_config"])
PER_LAYER = st.dictionaries(
    st.sampled_from(["0", "1", "03", 2, "x"]),
    st.dictionaries(st.sampled_from(["head_dim", "num_key_value_heads", "skip"]), LEAVES) | JSON,
)


@FUZZ
@given(st.dictionaries(GEMMA4_FIELDS, JSON | PER_LAYER, min_size=1))
def test_any_value_of_any_field_of_gemma4_is_refused_or_read(changes: dict[str, Any]) -> None:
    drafter = DRAFTER | {"text_config": DRAFTER["text_config"] | changes}
    for config in (TARGET | changes, {"model_type": "gemma4", "text_config": TARGET | changes}):
        try:
            Gemma4TextConfig.from_json(config)
        except LeadoutError as error:
            check_error(error)
    for config in (drafter, DRAFTER | changes):
        try:
            Gemma4AssistantConfig.from_json(config)
        except LeadoutError as error:
            check_error(error)


@FUZZ
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.lists(st.integers(0, 70) | st.sampled_from([1 << 31, 1 << 63]), max_size=5),
            st.integers(0, 42),
            st.integers(0, 256).map(lambda n: 32 * n) | st.integers(0, (1 << 64) - 1),
        ),
        max_size=5,
    )
)
def test_any_gguf_directory_is_refused_or_lies_inside_the_file(
    entries: list[tuple[str, list[int], int, int]],
) -> None:
    file = gguf_file([], [tensor(*entry) for entry in entries], bytes(4096))
    try:
        header = run(read_gguf_header(GuardedSource(file)))
    except LeadoutError:
        return
    ends = [0]
    for info in sorted(header.tensors, key=lambda info: info.offset):
        assert info.offset >= ends[-1]
        ends.append(info.offset + info.bytes)
    assert ends[-1] <= len(file)


# ---- memory -------------------------------------------------------------------------------

SIZE = 100_000

GREEDY = {
    "empty strings": gguf_file([array_key("a", STRING, SIZE // 8, bytes(SIZE))]),
    "strings of one character": gguf_file(
        [array_key("a", STRING, SIZE // 12, string("語x") * (SIZE // 12))]
    ),
    "booleans": gguf_file([array_key("a", BOOL, SIZE, bytes(SIZE))]),
    "keys": gguf_file([key(f"{i:05}", BOOL, b"\0") for i in range(SIZE // 18)]),
    "tensors": gguf_file(
        [], [tensor(f"{i:05}", [], 24, 32 * i) for i in range(SIZE // 62)], bytes(SIZE // 62 * 32)
    ),
    "one long string": gguf_file([key("a", STRING, string("x" * SIZE))]),
    "one long key": gguf_file([string("k" * SIZE) + struct.pack("<IB", 13, 0)]),
    "a count of strings that just fits": gguf_file(
        [array_key("a", STRING, SIZE // 8, b"\1" * SIZE)]
    ),
    "arrays in arrays": gguf_file([key("a", ARRAY, struct.pack("<IQ", ARRAY, 1) * (SIZE // 12))]),
}
GREEDY_JSON = {
    "lists": b'{"t": [' + b"[]," * (SIZE // 3) + b"0]}",
    "objects": b'{"t": [' + b"{}," * (SIZE // 3) + b"0]}",
    "numbers": b'{"t": [' + b"9," * (SIZE // 2) + b"0]}",
    "brackets": b"[" * SIZE,
    "keys": b"{" + b",".join(b'"%d":0' % i for i in range(SIZE // 9)) + b"}",
    "one digit after the other": b'{"t": ' + b"9" * SIZE + b"}",
    "one name": b'{"' + b"n" * SIZE + b'": 0}',
}


def peak_bytes(parsing: Coroutine[Any, Any, object]) -> int:
    tracemalloc.start()
    try:
        run(parsing)
    except LeadoutError as error:
        check_error(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize("what", GREEDY)
def test_a_gguf_header_takes_memory_in_proportion_to_the_file(what: str) -> None:
    data = GREEDY[what]
    peak = peak_bytes(read_gguf_header(GuardedSource(data)))
    assert peak < MEMORY_FACTOR * len(data) + MEMORY_BYTES


@pytest.mark.parametrize("what", GREEDY_JSON)
def test_a_safetensors_header_takes_memory_in_proportion_to_the_file(what: str) -> None:
    data = safetensors_file(GREEDY_JSON[what])
    peak = peak_bytes(read_safetensors_header(GuardedSource(data)))
    assert peak < MEMORY_FACTOR * len(data) + MEMORY_BYTES


@pytest.mark.parametrize("huge", HUGE[2:])
def test_a_huge_count_in_a_small_file_allocates_nothing(huge: bytes) -> None:
    count = struct.unpack("<Q", huge)[0]
    files = [
        gguf_file(num_keys=count),
        gguf_file(num_tensors=count),
        gguf_file([huge]),
        gguf_file([key("a", STRING, huge)]),
        *(gguf_file([array_key("a", kind, count, b"")]) for kind in range(13)),
        gguf_file([], [tensor("t", [count])], bytes(4)),
    ]
    for file in files:
        assert peak_bytes(read_gguf_header(GuardedSource(file))) < MEMORY_BYTES
    lying = safetensors_file(b"{}", header_bytes=count)
    assert peak_bytes(read_safetensors_header(GuardedSource(lying))) < MEMORY_BYTES
