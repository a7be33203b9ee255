"""The tokenizer.json made from a GGUF's vocabulary, and the native tokenizer."""

from __future__ import annotations

import itertools
import json
from array import array
from pathlib import Path
from typing import Any

import pytest

from leadout.errors import RequestError, TokenizerError
from leadout.tokenizer import BYTE_TOKENS, SPACE, Tokenizer, tokenizer_json_from_gguf
from leadout.tokenizer_native import HuggingFaceTokenizer
from tiny_vocabulary import BOS, EOS, UNK, gguf_metadata
from varied_text import varied_texts


@pytest.fixture(scope="module")
def tokenizer() -> HuggingFaceTokenizer:
    return HuggingFaceTokenizer.from_gguf(gguf_metadata())


def sentencepiece_ids(text: str) -> list[int]:
    """Return the ids of a text without special tokens, by SentencePiece's own definition.

    Merge the adjacent pair that gives the best-scored piece, the leftmost of equals, until no
    pair gives a piece; then spell what is no piece in bytes. Slow and independent of merges.
    """
    metadata = gguf_metadata()
    pieces: Any = metadata["tokenizer.ggml.tokens"]
    types: Any = metadata["tokenizer.ggml.token_type"]
    scores: Any = metadata["tokenizer.ggml.scores"]
    ids = {piece.replace(" ", SPACE): id_ for id_, piece in enumerate(pieces)}
    best = {
        piece: 0.0 if types[id_] == 4 else scores[id_]
        for piece, id_ in ids.items()
        if types[id_] in (1, 4)
    }
    parts = list(text.replace(" ", SPACE))
    while True:
        pairs = [
            (-best[left + right], at)
            for at, (left, right) in enumerate(itertools.pairwise(parts))
            if left + right in best
        ]
        if not pairs:
            break
        _, at = min(pairs)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return [
        id_
        for part in parts
        for id_ in (
            [ids[part]] if part in best else [ids[BYTE_TOKENS[byte]] for byte in part.encode()]
        )
    ]


def test_a_native_tokenizer_is_a_tokenizer(tokenizer: HuggingFaceTokenizer) -> None:
    as_protocol: Tokenizer = tokenizer
    assert as_protocol.vocab_size == len(gguf_metadata()["tokenizer.ggml.tokens"])  # type: ignore[arg-type]


def test_ids_equal_sentencepieces_definition(tokenizer: HuggingFaceTokenizer) -> None:
    added = [
        piece.replace(" ", SPACE)
        for piece, type_ in zip(
            gguf_metadata()["tokenizer.ggml.tokens"],  # type: ignore[call-overload]
            gguf_metadata()["tokenizer.ggml.token_type"],
            strict=True,
        )
        if type_ in (3, 4)
    ]
    texts = [
        text
        for text in [*varied_texts(600), "that capital of France is", "aaaaaaa", "thathat 日本語"]
        if len(text) < 120 and not any(token in text for token in added)
    ]
    assert len(texts) > 300
    for text in texts:
        assert tokenizer.encode(text) == sentencepiece_ids(text), text


def test_text_without_special_tokens_survives_a_round_trip(tokenizer: HuggingFaceTokenizer) -> None:
    for text in varied_texts(300):
        # A "▁" in the text reads back as a space: the vocabulary has no other spelling for both.
        wanted = text.replace(SPACE, " ")
        assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=False) == wanted


def test_special_tokens_inside_text_become_their_ids(tokenizer: HuggingFaceTokenizer) -> None:
    ids = tokenizer.encode("<start_of_turn>a<end_of_turn><bos>")
    assert ids == [6, tokenizer.id_of("a"), 7, BOS]


def test_bos_is_added_only_when_asked_for(tokenizer: HuggingFaceTokenizer) -> None:
    assert tokenizer.encode("a", add_special_tokens=True) == [BOS, *tokenizer.encode("a")]
    assert tokenizer.encode("", add_special_tokens=True) == [BOS]
    assert tokenizer.encode("") == []


def test_eos_is_added_where_the_gguf_asks_for_it() -> None:
    tokenizer = HuggingFaceTokenizer.from_gguf(gguf_metadata(add_eos_token=True))
    a = tokenizer.encode("a")
    assert tokenizer.encode("a", add_special_tokens=True) == [BOS, *a, EOS]


def test_a_gguf_without_bos_and_eos_adds_nothing() -> None:
    metadata = gguf_metadata(add_bos_token=False, bos_token_id=None, eos_token_id=None)
    tokenizer = HuggingFaceTokenizer.from_gguf(metadata)
    assert tokenizer.encode("a", add_special_tokens=True) == tokenizer.encode("a")


def test_special_tokens_are_no_text_but_reserve_tokens_are(tokenizer: HuggingFaceTokenizer) -> None:
    text = "<bos>a<unused0><start_of_image><mask><table><end_of_turn>"
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == "a<unused0><mask><table>"
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_a_byte_token_is_not_spelled_by_text(tokenizer: HuggingFaceTokenizer) -> None:
    ids = tokenizer.encode("<0x41>")
    assert tokenizer.id_of("<0x41>") not in ids
    assert tokenizer.decode(ids) == "<0x41>"


def test_bytes_decode_as_utf8_and_broken_bytes_as_one_replacement_each(
    tokenizer: HuggingFaceTokenizer,
) -> None:
    def decode(data: bytes) -> str:
        return tokenizer.decode([tokenizer.id_of(BYTE_TOKENS[byte]) or 0 for byte in data])

    assert decode("ž\ufeffž".encode()) == "ž\ufeffž"
    assert decode(b"\xf0\x9f\x98") == "\ufffd" * 3
    assert decode(b"a\xff") == "\ufffd" * 2


def test_decoding_nothing_gives_no_text(tokenizer: HuggingFaceTokenizer) -> None:
    assert tokenizer.decode([]) == ""


def test_ids_past_the_vocabulary_have_no_text(tokenizer: HuggingFaceTokenizer) -> None:
    a = tokenizer.encode("a")
    assert tokenizer.decode([*a, tokenizer.vocab_size + 7, *a]) == "aa"


def test_id_of_knows_tokens_and_nothing_else(tokenizer: HuggingFaceTokenizer) -> None:
    assert tokenizer.id_of("<bos>") == BOS
    assert tokenizer.id_of("no such token") is None


def test_a_lone_surrogate_is_a_request_error(tokenizer: HuggingFaceTokenizer) -> None:
    with pytest.raises(RequestError, match="lone surrogate at position 1"):
        tokenizer.encode("a\ud800")


def test_user_defined_pieces_merge_before_learned_ones() -> None:
    tokenizer = HuggingFaceTokenizer.from_gguf(gguf_metadata())
    # "▁the" is the best learned piece with "▁t"; the runs of spaces still come first.
    assert tokenizer.encode("   the") == [
        tokenizer.id_of(SPACE * 3),
        tokenizer.id_of("the"),
    ]


def test_a_space_prefix_goes_in_and_comes_out_again() -> None:
    tokenizer = HuggingFaceTokenizer.from_gguf(gguf_metadata(add_space_prefix=True))
    ids = tokenizer.encode("the capital")
    assert ids == [tokenizer.id_of("▁the"), tokenizer.id_of("▁capital")]
    assert tokenizer.decode(ids) == "the capital"


def test_merges_in_the_gguf_are_taken_as_they_are() -> None:
    merges = ["t h", "th e", "h e"]
    for model in ("gemma4", "llama"):
        metadata = gguf_metadata(model=model, merges=merges, scores=None)
        built: Any = tokenizer_json_from_gguf(metadata)
        assert built["model"]["merges"] == merges
    tokenizer = HuggingFaceTokenizer.from_gguf(metadata)
    assert tokenizer.encode("the") == [tokenizer.id_of("the")]


def test_gemma4_has_no_space_prefix_unless_it_says_so() -> None:
    metadata = gguf_metadata(model="gemma4", merges=[], add_space_prefix=None)
    built: Any = tokenizer_json_from_gguf(metadata)
    assert built["normalizer"]["type"] == "Replace"


def test_the_unknown_token_is_found_by_its_type() -> None:
    types = list(gguf_metadata()["tokenizer.ggml.token_type"])  # type: ignore[call-overload]
    types[UNK] = 2
    built: Any = tokenizer_json_from_gguf(gguf_metadata(unknown_token_id=None, token_type=types))
    assert built["model"]["unk_token"] == "<unk>"
    assert built["added_tokens"][UNK]["special"] is True


def test_packed_arrays_are_read_like_lists() -> None:
    metadata = gguf_metadata()
    packed = gguf_metadata(
        scores=array("f", metadata["tokenizer.ggml.scores"]),  # type: ignore[call-overload]
        token_type=array("i", metadata["tokenizer.ggml.token_type"]),  # type: ignore[call-overload]
    )
    assert tokenizer_json_from_gguf(packed) == tokenizer_json_from_gguf(metadata)


def changed(key: str, at: int, value: object) -> list[object]:
    values = list(gguf_metadata()[f"tokenizer.ggml.{key}"])  # type: ignore[call-overload]
    values[at] = value
    return values


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "gpt2"}, "model 'gpt2'"),
        ({"model": None}, "model None"),
        ({"model": ["llama"]}, "model a list, and"),
        ({"tokens": None}, r"no array tokenizer\.ggml\.tokens"),
        ({"scores": None}, r"no array tokenizer\.ggml\.scores"),
        ({"token_type": None}, r"no array tokenizer\.ggml\.token_type"),
        ({"model": "gemma4"}, r"no array tokenizer\.ggml\.merges"),
        ({"tokens": "abc"}, "is str, not an array"),
        ({"tokens": 7}, "is int, not an array"),
        ({"tokens": []}, "values for 0 tokens"),
        ({"scores": [0.0]}, "has 1 values for"),
        ({"token_type": [1]}, "has 1 values for"),
        ({"tokens": changed("tokens", 300, "<bos>")}, "tokens 2 and 300 are the same"),
        ({"tokens": changed("tokens", 300, "")}, "token 300 is ''"),
        ({"tokens": changed("tokens", 300, "x" * 400_000)}, "token 300 has 400,000 characters"),
        ({"tokens": changed("tokens", 300, 5)}, "token 300 is 5"),
        ({"tokens": changed("tokens", 300, b"a")}, "token 300 is a bytes, not"),
        ({"tokens": changed("tokens", 16, "<0xXY>")}, "lacks 1 of the 256 byte tokens"),
        ({"token_type": changed("token_type", 300, 0)}, "token 300 is of type 0"),
        ({"token_type": changed("token_type", 300, 7)}, "token 300 is of type 7"),
        ({"token_type": changed("token_type", 300, "1")}, "token 300 is of type '1'"),
        ({"scores": changed("scores", 300, float("nan"))}, "score of token 300 is nan"),
        ({"scores": changed("scores", 300, None)}, "score of token 300 is None"),
        ({"bos_token_id": 10**6}, "bos_token_id is 1,000,000, but ids go from 0"),
        ({"eos_token_id": -1}, "eos_token_id is -1"),
        ({"padding_token_id": "0"}, "padding_token_id is '0'"),
        ({"unknown_token_id": True}, "unknown_token_id is True"),
        ({"unknown_token_id": None}, "no unknown token"),
        ({"bos_token_id": None}, "asks for a bos token"),
        ({"add_eos_token": True, "eos_token_id": None}, "asks for a eos token"),
        ({"add_bos_token": 1}, "neither true nor false"),
        ({"merges": ["t h", "h"]}, "merge 1 is 'h'"),
        ({"merges": ["t 日"]}, "merge 0 is 't 日'"),
        ({"merges": ["t" * 10**6]}, "merge 0 is 't{100}'…, not"),
        ({"merges": [["t", "h"]]}, "merge 0 is a list, not"),
    ],
)
def test_an_invalid_vocabulary_is_a_tokenizer_error(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(TokenizerError, match=message):
        tokenizer_json_from_gguf(gguf_metadata(**changes))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"model": {"type": "BPE"}}'])
def test_an_invalid_tokenizer_json_is_a_tokenizer_error(text: str) -> None:
    with pytest.raises(TokenizerError, match="invalid"):
        HuggingFaceTokenizer.from_json(text)


def test_a_tokenizer_json_on_disk_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    built = tokenizer_json_from_gguf(gguf_metadata())
    # What a training run may have left in the file must not cut or pad prompts.
    built["truncation"] = {
        "direction": "Right",
        "max_length": 2,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    path.write_text(json.dumps(built), encoding="utf-8")
    tokenizer = HuggingFaceTokenizer.from_file(path)
    assert len(tokenizer.encode("a b c d e")) > 2


def test_a_missing_tokenizer_json_is_a_tokenizer_error(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"tokenizer\.json cannot be read"):
        HuggingFaceTokenizer.from_file(tmp_path / "tokenizer.json")
