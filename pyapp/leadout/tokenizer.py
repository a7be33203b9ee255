"""What Leadout asks of a tokenizer, and a tokenizer.json made from a GGUF's vocabulary.

Tokenizing itself is done by two libraries that agree id for id: `tokenizers` in CPython
(tokenizer_native.py) and `@huggingface/tokenizers` in the worker (web/tokenizer.js). Both read
a tokenizer.json, so a GGUF, which carries only pieces and their scores, is turned into one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import IntEnum
from itertools import groupby
from typing import Final, Protocol

from leadout.errors import TokenizerError
from leadout.shown import shown


class Tokenizer(Protocol):
    """Text to ids and back. `decode` joins: a text's ids, decoded in one go, give the text."""

    @property
    def vocab_size(self) -> int:
        """The number of ids, added tokens included."""

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Return the ids of a text.

        Args:
            text: any text without lone surrogates. Special tokens written in it
                ("<start_of_turn>") become their ids, wherever they stand.
            add_special_tokens: add what the model wants around a text, such as a leading <bos>.

        Raises:
            RequestError: the text has a lone surrogate.
        """

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of ids.

        Args:
            ids: any number of ids, none included. Ids outside the vocabulary (the padding of an
                embedding table) have no text.
            skip_special_tokens: leave out tokens that steer the model and are no text.

        Returns:
            The text. Bytes spelled by byte tokens are decoded as UTF-8, a whole run of adjacent
            byte tokens at once; a run that is not UTF-8 gives one U+FFFD per byte.
        """

    def id_of(self, token: str) -> int | None:
        """Return the id of exactly this token ("<bos>"), or None if there is no such token."""


class _TokenType(IntEnum):
    """The values of `tokenizer.ggml.token_type`."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


_TOKENS: Final = "tokenizer.ggml.tokens"
_SCORES: Final = "tokenizer.ggml.scores"
_TOKEN_TYPES: Final = "tokenizer.ggml.token_type"
_MERGES: Final = "tokenizer.ggml.merges"

#: The longest piece of a vocabulary. Gemma's longest have 31. Every split of a piece is looked at,
#: and each costs the piece's length, so that one long piece would take minutes.
MAX_PIECE_CHARS: Final = 256

#: The most characters that all pieces of a vocabulary together may have: Gemma's 262,144 have 1.4
#: million. Each is a place to split a piece at.
MAX_VOCABULARY_CHARS: Final = 4_000_000

SPACE: Final = "\u2581"  # "▁", how the vocabulary spells a space

_MODELS: Final = ("llama", "gemma4")

_ADDED_TYPES: Final = frozenset((_TokenType.UNKNOWN, _TokenType.CONTROL, _TokenType.USER_DEFINED))
_PIECE_TYPES: Final = frozenset((_TokenType.NORMAL, _TokenType.USER_DEFINED))

# Where the types that converters write differ from the flags in Gemma's own tokenizer.json: its
# reserve tokens are control tokens there but are not special (a model that writes one shows it),
# and the marks around an image are user-defined there but are special.
_RESERVE: Final = re.compile(r"<unused\d+>|<mask>")
_MARK: Final = re.compile(r"<(start|end)_of_\w+>")


def tokenizer_json_from_gguf(metadata: Mapping[str, object]) -> dict[str, object]:
    """Build the tokenizer.json that gives the same ids as the one the GGUF was made from.

    Byte-pair encoding with byte fallback over a text whose spaces are "▁". A GGUF of model
    "llama" has SentencePiece's scores instead of merges: every split of a piece into two known
    pieces is a merge, and the merge of the better-scored piece comes first.

    Args:
        metadata: the GGUF's keys and values; read are those of `tokenizer.ggml.*`.

    Returns:
        A tokenizer.json as a dict, ready for json.dumps; for Gemma's 262,144 pieces about
        12.3 MB as compact UTF-8. Merges are strings ("left right"), shorter than pairs.

    Raises:
        TokenizerError: the model is neither "llama" nor "gemma4", an array is missing or of
            another length, tokens are doubled, empty or far too long, an id is out of range, a
            merge has an unknown piece, or the unknown token or one of the 256 byte tokens is
            missing.

    Source: transformers, convert_slow_tokenizer.py (the order of merges); llama.cpp,
    convert_hf_to_gguf.py (what the keys hold).
    """
    model = metadata.get("tokenizer.ggml.model")
    if model not in _MODELS:
        raise TokenizerError(
            f"the GGUF's tokenizer is of model {shown(model)}, and only {' and '.join(_MODELS)} "
            "can be read; put the model's tokenizer.json beside it",
            model=model if isinstance(model, str) else None,
        )
    types = _token_types(metadata)
    pieces = _pieces(metadata, types)
    vocab = dict(zip(pieces, range(len(pieces)), strict=True))
    if len(vocab) < len(pieces):
        raise _doubled_token(pieces)
    _check_byte_tokens(vocab)

    special_ids = {
        role: _token_id(metadata, f"tokenizer.ggml.{role}_token_id", len(pieces))
        for role in ("bos", "eos", "unknown", "padding")
    }
    unknown_id = special_ids["unknown"]
    if unknown_id is None:
        if _TokenType.UNKNOWN not in types:
            raise TokenizerError("the GGUF's tokenizer has no unknown token; the file is invalid")
        unknown_id = types.index(_TokenType.UNKNOWN)

    if _MERGES in metadata:
        merges = _given_merges(metadata, vocab)
    elif model == "gemma4":
        raise _missing_array(_MERGES)
    else:
        merges = _merges_from_scores(pieces, types, _scores(metadata, len(pieces)))

    always_special = {id_ for id_ in special_ids.values() if id_ is not None} | {unknown_id}
    space_prefix = _flag(metadata, "add_space_prefix", default=model == "llama")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(pieces, types, always_special),
        "normalizer": _normalizer(space_prefix),
        # Never matches, because no space is left; the libraries want it, as does Gemma's file.
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"String": " "},
            "behavior": "MergedWithPrevious",
            "invert": False,
        },
        "post_processor": _post_processor(metadata, pieces, special_ids),
        "decoder": _decoder(space_prefix),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": pieces[unknown_id],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": merges,
        },
    }


# ---- reading the metadata -----------------------------------------------------------------


def _missing_array(key: str) -> TokenizerError:
    return TokenizerError(
        f"the GGUF has no array {key}, so it has no usable tokenizer; "
        "put the model's tokenizer.json beside it",
        key=key,
    )


def _array(metadata: Mapping[str, object], key: str, length: int | None) -> Sequence[object]:
    value = metadata.get(key)
    if value is None:
        raise _missing_array(key)
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TokenizerError(f"{key} is {type(value).__name__}, not an array", key=key)
    if length is not None and len(value) != length:
        raise TokenizerError(
            f"{key} has {len(value)} values for {length} tokens; the file is invalid",
            key=key,
            found=len(value),
            wanted=length,
        )
    return value


def _token_types(metadata: Mapping[str, object]) -> list[int]:
    num_tokens = len(_array(metadata, _TOKENS, None))
    types: list[int] = []
    for id_, value in enumerate(_array(metadata, _TOKEN_TYPES, num_tokens)):
        if not isinstance(value, int) or not _TokenType.NORMAL <= value <= _TokenType.BYTE:
            raise TokenizerError(
                f"token {id_} is of type {shown(value)}, not 1 to 6; the file is invalid", id=id_
            )
        types.append(value)
    return types


def _pieces(metadata: Mapping[str, object], types: Sequence[int]) -> list[str]:
    """Return the pieces with spaces spelled "▁" throughout.

    llama.cpp's converters write user-defined pieces the other way round, with plain spaces.
    """
    pieces: list[str] = []
    for id_, (piece, type_) in enumerate(
        zip(_array(metadata, _TOKENS, len(types)), types, strict=True)
    ):
        if not isinstance(piece, str) or not piece:
            raise TokenizerError(
                f"token {id_} is {shown(piece)}, not a text of one character or more; "
                "the file is invalid",
                id=id_,
            )
        if len(piece) > MAX_PIECE_CHARS:
            raise TokenizerError(
                f"token {id_} has {len(piece):,} characters, {MAX_PIECE_CHARS} are allowed; "
                "the file is invalid",
                id=id_,
                found=len(piece),
                limit=MAX_PIECE_CHARS,
            )
        pieces.append(piece.replace(" ", SPACE) if type_ == _TokenType.USER_DEFINED else piece)
    num_chars = sum(map(len, pieces))
    if num_chars > MAX_VOCABULARY_CHARS:
        raise TokenizerError(
            f"the tokens have {num_chars:,} characters, at most {MAX_VOCABULARY_CHARS:,} are "
            "taken; the file is invalid",
            found=num_chars,
            limit=MAX_VOCABULARY_CHARS,
        )
    return pieces


def _scores(metadata: Mapping[str, object], length: int) -> list[float]:
    scores: list[float] = []
    for id_, value in enumerate(_array(metadata, _SCORES, length)):
        if not isinstance(value, int | float) or value != value:
            raise TokenizerError(
                f"the score of token {id_} is {shown(value)}, not a number; the file is invalid",
                id=id_,
            )
        scores.append(value)
    return scores


def _token_id(metadata: Mapping[str, object], key: str, num_tokens: int) -> int | None:
    id_ = metadata.get(key)
    if id_ is None:
        return None
    if not isinstance(id_, int) or isinstance(id_, bool) or not 0 <= id_ < num_tokens:
        raise TokenizerError(
            f"{key} is {shown(id_)}, but ids go from 0 to {num_tokens - 1}; the file is invalid",
            key=key,
        )
    return id_


def _flag(metadata: Mapping[str, object], name: str, *, default: bool) -> bool:
    key = f"tokenizer.ggml.{name}"
    value = metadata.get(key, default)
    if not isinstance(value, bool):
        raise TokenizerError(f"{key} is {shown(value)}, neither true nor false", key=key)
    return value


def _doubled_token(pieces: Sequence[str]) -> TokenizerError:
    first_ids: dict[str, int] = {}
    for id_, piece in enumerate(pieces):
        first = first_ids.setdefault(piece, id_)
        if first != id_:
            return TokenizerError(
                f"tokens {first} and {id_} are the same ({piece[:40]!r}); the file is invalid",
                ids=[first, id_],
            )
    raise AssertionError("called only when a token is doubled")


def _check_byte_tokens(vocab: Mapping[str, int]) -> None:
    missing = [token for token in BYTE_TOKENS if token not in vocab]
    if missing:
        raise TokenizerError(
            f"the GGUF's tokenizer lacks {len(missing)} of the 256 byte tokens, the first "
            f"{missing[0]}; the file is invalid",
            missing=len(missing),
        )


BYTE_TOKENS: Final = tuple(f"<0x{byte:02X}>" for byte in range(256))


# ---- merges -------------------------------------------------------------------------------


def _given_merges(metadata: Mapping[str, object], vocab: Mapping[str, int]) -> list[str]:
    merges: list[str] = []
    for rank, merge in enumerate(_array(metadata, _MERGES, None)):
        left, _, right = merge.partition(" ") if isinstance(merge, str) else ("", "", "")
        if left not in vocab or right not in vocab or left + right not in vocab:
            raise TokenizerError(
                f"merge {rank} is {shown(merge)}, not two known tokens that give a third; "
                "the file is invalid",
                merge=rank,
            )
        merges.append(f"{left} {right}")
    return merges


def _merges_from_scores(
    pieces: Sequence[str], types: Sequence[int], scores: Sequence[float]
) -> list[str]:
    """Return every split of a piece into two known pieces, best first.

    The order is by the piece's score, then the longer left half, then the longer right half,
    then the piece's id. SentencePiece prefers user-defined pieces to all others: they score 0,
    whatever the file says, and learned pieces at most that. Control, byte and unused tokens
    neither merge nor are merged.

    This is the slow part of loading a tokenizer: 1.1 million splits for Gemma's vocabulary.
    """
    known = frozenset(
        piece
        for piece, type_ in zip(pieces, types, strict=True)
        if type_ in _PIECE_TYPES and " " not in piece
    )
    rank = [
        0.0 if type_ == _TokenType.USER_DEFINED else -score
        for type_, score in zip(types, scores, strict=True)
    ]
    ids = [id_ for id_, piece in enumerate(pieces) if len(piece) > 1 and piece in known]
    ids.sort(key=rank.__getitem__)

    merges: list[str] = []
    for _, group in groupby(ids, key=rank.__getitem__):
        equals = [pieces[id_] for id_ in group]
        splits = [
            f"{left} {right}"
            for piece in equals
            for end in range(len(piece) - 1, 0, -1)
            # The right half first: for Gemma's pieces it rules out more splits.
            if (right := piece[end:]) in known and (left := piece[:end]) in known
        ]
        if len(equals) > 1:  # rare: learned pieces have scores of their own
            splits.sort(key=lambda split: (-split.index(" "), -len(split)))
        merges += splits
    return merges


# ---- the parts around the model -----------------------------------------------------------


def _added_tokens(
    pieces: Sequence[str], types: Sequence[int], always_special: set[int]
) -> list[dict[str, object]]:
    """Return the tokens that are cut out of a text before anything else looks at it."""
    return [
        {
            "id": id_,
            "content": piece,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": id_ in always_special
            or bool(_MARK.fullmatch(piece))
            or (type_ != _TokenType.USER_DEFINED and not _RESERVE.fullmatch(piece)),
        }
        for id_, (piece, type_) in enumerate(zip(pieces, types, strict=True))
        if type_ in _ADDED_TYPES or id_ in always_special
    ]


def _normalizer(space_prefix: bool) -> dict[str, object]:
    spaces: dict[str, object] = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    if not space_prefix:
        return spaces
    return {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, spaces]}


def _decoder(space_prefix: bool) -> dict[str, object]:
    decoders: list[dict[str, object]] = [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if space_prefix:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"type": "Sequence", "decoders": decoders}


def _post_processor(
    metadata: Mapping[str, object], pieces: Sequence[str], special_ids: Mapping[str, int | None]
) -> dict[str, object]:
    """Return the template that puts <bos> before (and, where wanted, <eos> after) a text."""
    wanted = {
        "bos": _flag(metadata, "add_bos_token", default=True),
        "eos": _flag(metadata, "add_eos_token", default=False),
    }
    special_tokens: dict[str, object] = {}
    around: dict[str, str] = {}
    for role in (role for role, is_wanted in wanted.items() if is_wanted):
        id_ = special_ids[role]
        if id_ is None:
            raise TokenizerError(
                f"the GGUF asks for a {role} token around texts, but tokenizer.ggml."
                f"{role}_token_id is missing; the file is invalid"
            )
        token = pieces[id_]
        special_tokens[token] = {"id": token, "ids": [id_], "tokens": [token]}
        around[role] = token
    single = _template("A", 0, around)
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": single + _template("B", 1, around),
        "special_tokens": special_tokens,
    }


def _template(sequence: str, type_id: int, around: Mapping[str, str]) -> list[dict[str, object]]:
    items: list[dict[str, object]] = [{"Sequence": {"id": sequence, "type_id": type_id}}]
    if "bos" in around:
        items.insert(0, {"SpecialToken": {"id": around["bos"], "type_id": type_id}})
    if "eos" in around:
        items.append({"SpecialToken": {"id": around["eos"], "type_id": type_id}})
    return items
